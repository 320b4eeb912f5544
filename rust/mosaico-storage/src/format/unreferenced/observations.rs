//! Which decisions stayed the same for the whole grace period, by a clock that never jumps.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use mosaico_types::id::SequenceId;

use super::{Decision, ListedFile};

/// The decisions of the last pass over each sequence. Only sequences with decisions take memory.
#[derive(Debug, Default)]
pub struct Observations(BTreeMap<SequenceId, BTreeMap<Decision, Observation>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Observation {
    /// Of the files on which the decision rests.
    fingerprint: u64,
    /// When the decision was made first.
    since: Duration,
}

impl Observations {
    /// Notes the decisions of a pass, all that there are about this sequence, and returns those to apply: every
    /// pass since one that is at least `grace` ago made them, about the same files. `now` is read after the
    /// listing, from a monotonic clock.
    pub fn confirm(
        &mut self,
        id: SequenceId,
        decisions: Vec<Decision>,
        listing: &[ListedFile],
        now: Duration,
        grace: Duration,
    ) -> Vec<Decision> {
        let before = self.0.remove(&id).unwrap_or_default();
        let mut noted = BTreeMap::new();
        let mut confirmed = Vec::new();
        for decision in decisions {
            let fingerprint = fingerprint(&decision.basis(id, listing));
            let same = before.get(&decision).filter(|known| known.fingerprint == fingerprint);
            let since = same.map_or(now, |known| known.since);
            noted.insert(decision.clone(), Observation { fingerprint, since });
            if same.is_some() && now.saturating_sub(since) >= grace {
                confirmed.push(decision);
            }
        }
        if !noted.is_empty() {
            self.0.insert(id, noted);
        }
        confirmed
    }

    /// Forgets sequences that have no folder any more.
    pub fn retain(&mut self, exists: impl Fn(&SequenceId) -> bool) {
        self.0.retain(|id, _| exists(id));
    }
}

fn fingerprint(files: &[&ListedFile]) -> u64 {
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use mosaico_types::id::TopicId;
    use proptest::prelude::*;

    use super::*;
    use crate::format::chunk_id::ChunkId;
    use crate::format::paths::SequencePaths;

    const GRACE: Duration = Duration::from_secs(100);

    struct Sequence {
        id: SequenceId,
        topic: TopicId,
        files: Vec<ListedFile>,
    }

    impl Sequence {
        fn new() -> Self {
            let (id, topic) = (SequenceId::generate(), TopicId::generate());
            let paths = SequencePaths(id).topic(topic);
            let file = |path, at| ListedFile {
                path,
                bytes: 1,
                modified: SystemTime::UNIX_EPOCH + Duration::from_secs(at),
                version: Some("1".to_owned()),
            };
            let chunk = |index| paths.chunk(ChunkId { index, ..ChunkId::first(0) });
            Self { id, topic, files: vec![file(paths.committed(), 0), file(chunk(0), 0), file(chunk(1), 0)] }
        }

        fn removal(&self, index: usize) -> Decision {
            Decision::RemoveFile(self.files[index].path.clone())
        }

        fn look(&self, seen: &mut Observations, decisions: &[Decision], at_s: u64) -> Vec<Decision> {
            seen.confirm(self.id, decisions.to_vec(), &self.files, Duration::from_secs(at_s), GRACE)
        }
    }

    #[test]
    fn a_decision_is_confirmed_after_the_grace_period_whatever_the_time_stamps_say() {
        let (sequence, mut seen) = (Sequence::new(), Observations::default());
        let one = [sequence.removal(1)];
        assert!(sequence.look(&mut seen, &one, 1_000_000).is_empty(), "the file looks old");
        assert!(sequence.look(&mut seen, &one, 1_000_099).is_empty());
        assert_eq!(sequence.look(&mut seen, &one, 1_000_100), one);
    }

    #[test]
    fn each_change_begins_a_new_observation() {
        let changes: [fn(&mut Sequence); 6] = [
            |s| s.files[1].bytes += 1,
            |s| s.files[1].modified += Duration::from_secs(1),
            |s| s.files[1].modified -= Duration::from_secs(1),
            |s| s.files[1].version = Some("2".to_owned()),
            // A compaction, or another change of the commit record.
            |s| s.files[0].version = Some("2".to_owned()),
            |s| drop(s.files.remove(0)),
        ];
        for (number, change) in changes.iter().enumerate() {
            let (mut sequence, mut seen) = (Sequence::new(), Observations::default());
            let one = [sequence.removal(1)];
            sequence.look(&mut seen, &one, 0);
            change(&mut sequence);
            assert!(sequence.look(&mut seen, &one, 100).is_empty(), "change {number}");
            assert_eq!(sequence.look(&mut seen, &one, 200), one, "change {number}");
        }
    }

    #[test]
    fn a_removed_topic_rests_on_all_its_files_and_on_no_other() {
        let (mut sequence, mut seen) = (Sequence::new(), Observations::default());
        let removal = [Decision::RemoveTopic(sequence.topic)];
        sequence.look(&mut seen, &removal, 0);
        let mut other = sequence.files[2].clone();
        other.path = SequencePaths(sequence.id).ended();
        sequence.files.push(other);
        assert_eq!(sequence.look(&mut seen, &removal, 100), removal);
        sequence.files[2].bytes += 1;
        assert!(sequence.look(&mut seen, &removal, 200).is_empty());
    }

    #[test]
    fn two_passes_are_needed_even_without_a_grace_period() {
        let (sequence, mut seen) = (Sequence::new(), Observations::default());
        let now = Duration::from_secs(5);
        let mut look = || {
            let one = vec![sequence.removal(1)];
            seen.confirm(sequence.id, one, &sequence.files, now, Duration::ZERO).len()
        };
        assert_eq!((look(), look()), (0, 1));
    }

    #[test]
    fn sequences_that_are_gone_are_forgotten() {
        let (sequence, mut seen) = (Sequence::new(), Observations::default());
        sequence.look(&mut seen, &[sequence.removal(1)], 0);
        seen.retain(|id| *id == sequence.id);
        assert_eq!(seen.0.len(), 1);
        seen.retain(|_| false);
        assert!(seen.0.is_empty());
    }

    proptest! {
        #[test]
        fn a_confirmed_decision_was_made_by_every_pass_of_the_grace_period(
            passes in prop::collection::vec((0u64..80, prop::collection::vec(any::<bool>(), 2)), 1..20),
        ) {
            let (sequence, mut seen) = (Sequence::new(), Observations::default());
            let mut now = 0;
            let mut history: Vec<(u64, Vec<Decision>)> = Vec::new();
            for (pause, made) in passes {
                now += pause;
                let made = made.iter().enumerate().filter(|(_, made)| **made);
                let made: Vec<Decision> = made.map(|(at, _)| sequence.removal(at + 1)).collect();
                let confirmed = sequence.look(&mut seen, &made, now);
                history.push((now, made.clone()));
                for decision in made {
                    let mut unbroken = history.iter().rev().take_while(|(_, made)| made.contains(&decision));
                    let expected = unbroken.any(|(at, _)| now - at >= GRACE.as_secs());
                    prop_assert_eq!(confirmed.contains(&decision), expected);
                }
            }
        }
    }
}
