//! Counts failures that repeat: a flood of refused calls fills neither the file nor the events. The first one
//! of a kind is a line; those of the following [`PERIOD`] are one more line, with their number.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::line::Line;

/// How long the same failure is counted.
const PERIOD: Duration = Duration::from_secs(60);

/// Different failures per period; all others together are one.
const MOST: usize = 128;

/// What is the same in repeated failures. The port of the caller differs between connections. The names in
/// refused calls are the caller's invention, so they do not distinguish refusals.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Same { who: String, call: String, host: String, result: &'static str, subject: String },
    Other,
}

impl Kind {
    fn of(line: &Line) -> Self {
        let Line { who, call, from, result, subject, .. } = line;
        let subject = if *result == "PERMISSION_DENIED" { String::new() } else { subject.clone() };
        let host = from.rsplit_once(':').map_or(from.as_str(), |(host, _)| host).to_owned();
        Self::Same { who: who.clone(), call: call.clone(), host, result, subject }
    }
}

#[derive(Debug)]
struct Counted {
    until: Instant,
    /// Failures that are not written yet, and the last of them.
    times: u64,
    last: Line,
}

/// The failures of the last period.
#[derive(Debug, Default)]
pub(super) struct Repeats(HashMap<Kind, Counted>);

impl Repeats {
    /// Returns the line if it is to be written now.
    pub(super) fn admit(&mut self, line: Line, now: Instant) -> Option<Line> {
        let mut kind = Kind::of(&line);
        if !self.0.contains_key(&kind) && self.0.len() >= MOST {
            kind = Kind::Other;
        }
        let is_other = kind == Kind::Other;
        let new = || Counted { until: now + PERIOD, times: 0, last: line.clone() };
        match self.0.entry(kind) {
            std::collections::hash_map::Entry::Vacant(entry) if !is_other => {
                entry.insert(new());
                Some(line)
            }
            entry => {
                let counted = entry.or_insert_with(new);
                counted.times += 1;
                counted.last = line;
                None
            }
        }
    }

    /// Takes the lines of periods that are over; with `all`, of every period.
    pub(super) fn take(&mut self, now: Instant, all: bool) -> Vec<Line> {
        let over = self.0.extract_if(|_, counted| all || counted.until <= now);
        let line = |(kind, Counted { times, last, .. }): (Kind, Counted)| {
            let several = Line { times: Some(times), ..last };
            (times > 0).then(|| match kind {
                Kind::Same { .. } => several,
                Kind::Other => Line { who: "others".into(), from: "several addresses".into(), ..several },
            })
        };
        over.filter_map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(from: &str, call: &str, subject: &str, result: &'static str) -> Line {
        Line {
            at_ns: 0,
            who: "key 1b676530".into(),
            call: call.into(),
            subject: subject.into(),
            from: from.into(),
            result,
            request: "r".into(),
            times: None,
            is_event: true,
        }
    }

    const DENIED: &str = "PERMISSION_DENIED";

    #[test]
    fn a_repeated_failure_is_counted_until_its_period_ends() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        assert!(repeats.admit(line("10.0.0.1:1", "query", "", DENIED), now).is_some());
        for port in 2..5 {
            let repeated = line(&format!("10.0.0.1:{port}"), "query", &format!("s{port}"), DENIED);
            assert_eq!(repeats.admit(repeated, now), None);
        }
        assert!(repeats.admit(line("10.0.0.2:1", "query", "", DENIED), now).is_some(), "another host");
        assert!(repeats.admit(line("10.0.0.1:1", "event_list", "", DENIED), now).is_some(), "another call");
        assert_eq!(repeats.take(now, false), []);
        let [summary] = &repeats.take(now + PERIOD, false)[..] else { panic!("one line") };
        assert_eq!((summary.times, summary.from.as_str()), (Some(3), "10.0.0.1:4"));
        assert!(repeats.admit(line("10.0.0.1:1", "query", "", DENIED), now + PERIOD).is_some());
    }

    #[test]
    fn failed_changes_of_different_subjects_are_different() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        for name in ["a", "b"] {
            assert!(repeats.admit(line("10.0.0.1:1", "sequence_delete", name, "NOT_FOUND"), now).is_some());
        }
        assert_eq!(repeats.admit(line("10.0.0.1:1", "sequence_delete", "a", "NOT_FOUND"), now), None);
        assert_eq!(repeats.take(now, true).len(), 1);
        assert_eq!(repeats.take(now, true), []);
    }

    #[test]
    fn a_flood_of_different_failures_is_a_few_lines() {
        let (mut repeats, now) = (Repeats::default(), Instant::now());
        let flood = (0..100_000).map(|host| line(&format!("[2001:db8::{host:x}]:1"), "query", "", DENIED));
        let written = flood.filter_map(|line| repeats.admit(line, now)).count();
        assert_eq!(written, MOST);
        let summaries = repeats.take(now + PERIOD, false);
        let [others] = &summaries[..] else { panic!("one line") };
        assert_eq!((others.who.as_str(), others.times), ("others", Some(100_000 - MOST as u64)));
    }
}
