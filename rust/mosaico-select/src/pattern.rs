//! SQL `LIKE` with the semantics of `$match`: the pattern may begin and end anywhere in the text, and is
//! case-sensitive.

/// One step of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Char(char),
    /// `_`.
    One,
    /// `%`.
    Run,
}

/// A compiled pattern: `_` matches any character, `%` any run of them, `\` escapes the next character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Without wildcards: found by substring search.
    Plain(String),
    Steps(Vec<Step>),
}

impl Pattern {
    /// Compiles a pattern.
    pub fn new(text: &str) -> Self {
        let mut steps = vec![Step::Run];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let step = match c {
                '%' => Step::Run,
                '_' => Step::One,
                // A backslash at the end stands for itself.
                '\\' => Step::Char(chars.next().unwrap_or('\\')),
                c => Step::Char(c),
            };
            // Adjacent runs are equivalent to one.
            if step != Step::Run || steps.last() != Some(&Step::Run) {
                steps.push(step);
            }
        }
        let plain: Option<String> =
            steps[1..].iter().map(|step| if let Step::Char(c) = step { Some(*c) } else { None }).collect();
        if let Some(plain) = plain {
            return Self(Form::Plain(plain));
        }
        if steps.last() != Some(&Step::Run) {
            steps.push(Step::Run);
        }
        Self(Form::Steps(steps))
    }

    /// Whether a text contains the pattern.
    pub fn accepts(&self, text: &str) -> bool {
        match &self.0 {
            Form::Plain(plain) => text.contains(plain.as_str()),
            Form::Steps(steps) => like(steps, text),
        }
    }
}

/// Greedy matching that backtracks to the last run only: no pattern takes exponential time.
fn like(steps: &[Step], text: &str) -> bool {
    let (mut step, mut rest) = (0, text.chars());
    let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
    loop {
        match steps.get(step) {
            Some(Step::Run) if step + 1 == steps.len() => return true,
            Some(Step::Run) => {
                step += 1;
                retry = Some((step, rest.clone()));
                continue;
            }
            Some(wanted) => {
                let Some(c) = rest.next() else { return false };
                if *wanted == Step::One || *wanted == Step::Char(c) {
                    step += 1;
                    continue;
                }
            }
            None if rest.as_str().is_empty() => return true,
            None => {}
        }
        let Some((from, text)) = &mut retry else { return false };
        if text.next().is_none() {
            return false;
        }
        (step, rest) = (*from, text.clone());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wildcards_and_escapes() {
        for (pattern, text, expected) in [
            ("q-", "raw-q-one", true),
            ("q_o%e", "q-one", true),
            ("q_o%e", "q-two", false),
            ("", "", true),
            ("a", "A", false),
            ("_", "", false),
            ("_", "é", true),
            ("50\\%", "at 50% now", true),
            ("50\\%", "at 500", false),
            ("a\\", "a\\b", true),
            ("%%a%%_", "xa", false),
            ("a%b%c", "a1b2b3", false),
        ] {
            assert_eq!(Pattern::new(pattern).accepts(text), expected, "{pattern} in {text}");
        }
        let slow = "a%".repeat(50) + "b";
        assert!(!Pattern::new(&slow).accepts(&"a".repeat(10_000)));
    }

    /// The definition, applied at every position.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|from| naive(rest, &text[from..])),
            Some((c, rest)) => {
                text.split_first().is_some_and(|(first, text)| (*c == '_' || c == first) && naive(rest, text))
            }
        }
    }

    proptest! {
        #[test]
        fn as_defined(pattern in "[ab%_]{0,7}", text in "[abc]{0,9}") {
            let anywhere: Vec<char> = format!("%{pattern}%").chars().collect();
            let expected = naive(&anywhere, &text.chars().collect::<Vec<_>>());
            prop_assert_eq!(Pattern::new(&pattern).accepts(&text), expected);
        }
    }
}
