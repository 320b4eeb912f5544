use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::MAX_NAME_BYTES;

/// A pattern over sequence names: `*` is any number of characters, `?` is one, all others are themselves.
///
/// `/*` at the end means all topics of the sequence, which a pattern always covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

/// A text that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing.
    #[error("a pattern is empty; `*` covers all sequences")]
    Empty,
    /// A character that no sequence name has.
    #[error("the pattern `{0}` has {1:?}, which no sequence name has; use A-Z a-z 0-9 - _ and * ?")]
    BadCharacter(String, char),
    /// Longer than a name.
    #[error("a pattern has {0} bytes; at most {MAX_NAME_BYTES} are allowed")]
    TooLong(usize),
}

const TOPICS: &str = "/*";

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] if no sequence name could match.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let body = text.strip_suffix(TOPICS).unwrap_or(text);
        if body.is_empty() {
            return Err(PatternError::Empty);
        }
        if body.len() > MAX_NAME_BYTES {
            return Err(PatternError::TooLong(body.len()));
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "-_*?".contains(*c);
        match body.chars().find(|c| !allowed(c)) {
            Some(c) => Err(PatternError::BadCharacter(text.to_owned(), c)),
            None => Ok(Self(body.to_owned())),
        }
    }

    /// The pattern of all sequences.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// Whether every name matches.
    pub fn is_any(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether a sequence name matches, in time proportional to the product of both lengths at most.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        // The last `*`, and the first character after those that it covers.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == b'?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((at, covered)) = star else { return false };
                    star = Some((at, covered + 1));
                    (p, n) = (at + 1, covered + 1);
                }
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, one character after the other.
    fn defined(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) if defined(rest, name) => true,
            (Some((b'*', _)), Some((_, left))) => defined(pattern, left),
            (Some((c, rest)), Some((n, left))) => (*c == b'?' || c == n) && defined(rest, left),
            _ => false,
        }
    }

    #[test]
    fn patterns() {
        let matches = |pattern: &str, name: &str| Pattern::parse(pattern).unwrap().matches(name);
        assert!(matches("fleet-a-*", "fleet-a-7") && matches("fleet-a-*", "fleet-a-"));
        assert!(!matches("fleet-a-*", "fleet-b-7") && !matches("fleet-a-*", "xfleet-a-7"));
        assert!(matches("run", "run") && matches("run/*", "run") && !matches("run", "run2"));
        assert!(matches("r?n*_9", "ran_8_9") && !matches("r?n", "rn"));
        assert!(!matches("Run", "run"), "names are case-sensitive");
        for bad in ["", "/*", "a/b", "a b", "a.b", "[ab]", "é"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
        assert!(Pattern::any().is_any() && !Pattern::parse("*a").unwrap().is_any());
    }

    #[test]
    fn many_stars_cost_little() {
        let pattern = Pattern::parse(&"a*".repeat(500)).unwrap();
        let begun = std::time::Instant::now();
        assert!(!pattern.matches(&format!("{}b", "a".repeat(400))));
        assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn matching_is_as_defined(pattern in "[ab*?]{1,8}", name in "[ab]{0,10}") {
            let found = Pattern::parse(&pattern).unwrap().matches(&name);
            prop_assert_eq!(found, defined(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn patterns_read_back(text in "[a-c_*?-]{1,12}") {
            let pattern = Pattern::parse(&text).unwrap();
            prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }
}
