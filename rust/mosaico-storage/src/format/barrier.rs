//! Barriers: objects that occupy the places of records.
//!
//! A request may reach a bucket long after its sender is considered dead. A daemon that reconciles a change of such a
//! sender, and does not find its record, puts a barrier in the record's place. Requests for records that are written
//! once are conditional: "if there is no object". So the late request fails for ever, and what was decided without
//! it stays. A record that is to be written there after all replaces this very barrier, on the condition that it is
//! still the same one; a new barrier differs from all others and stops that request too. A daemon that was considered
//! dead and lives finds the barrier as well: it may replace it only if it still has the lock and its intent, which it
//! checks after it has read the barrier.
//!
//! Every reader treats a barrier as no object.

use ulid::Ulid;

const PREFIX: &str = "barrier ";

/// The length of a barrier, and of no record: the shortest record is longer.
pub const BARRIER_BYTES: u64 = 34;

/// The content of a new barrier.
pub fn new() -> Vec<u8> {
    format!("{PREFIX}{}", Ulid::new()).into_bytes()
}

/// Whether an object is a barrier.
pub fn is_barrier(bytes: &[u8]) -> bool {
    bytes.len() as u64 == BARRIER_BYTES && bytes.starts_with(PREFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record;
    use crate::format::records::{DeletedRecord, ResumedRecord};

    #[test]
    fn no_two_barriers_are_equal_and_none_is_as_long_as_a_record() {
        let (one, other) = (new(), new());
        assert!(one != other && is_barrier(&one) && is_barrier(&other));
        for record in [
            record::write(&DeletedRecord { deleted_ns: 0 }).unwrap(),
            record::write(&ResumedRecord { times: 0, last_ns: 0 }).unwrap(),
        ] {
            assert!(record.len() as u64 > BARRIER_BYTES && !is_barrier(&record));
        }
        assert!(!is_barrier(b"") && !is_barrier(&[0; BARRIER_BYTES as usize]));
    }
}
