//! The id of a chunk of a topic, or of a segment of its write-ahead log (WAL): a chunk has the id of the
//! segment that it was built from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The ids of a topic sort in the order of arrival: by writer epoch, then by number within the epoch. Ids of
/// different daemons never collide, since each daemon numbers in its own epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChunkId {
    /// The writer epoch; 0 if a single daemon uses the store.
    pub epoch: u32,
    /// The number within the epoch.
    pub index: u32,
}

impl ChunkId {
    /// The first id of an epoch.
    pub const fn first(epoch: u32) -> Self {
        Self { epoch, index: 0 }
    }

    /// The next id of the same epoch.
    ///
    /// # Errors
    /// [`Error::Internal`] after 2^32 ids.
    pub fn next(self) -> Result<Self> {
        let index = self.index.checked_add(1);
        let index =
            index.ok_or_else(|| Error::Internal(format!("numbering the chunk after {self}").into()))?;
        Ok(Self { index, ..self })
    }
}

/// The form in file names. It sorts in the order of arrival up to ten million chunks per epoch; beyond that,
/// names are only longer.
impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:05}-{:07}", self.epoch, self.index)
    }
}

/// A text that is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id of a chunk, such as 00000-0000007")]
pub struct BadChunkId(String);

impl FromStr for ChunkId {
    type Err = BadChunkId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (epoch, index) = text.split_once('-')?;
            let id = Self { epoch: epoch.parse().ok()?, index: index.parse().ok()? };
            // Each id has exactly one text.
            (id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| BadChunkId(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_other_text_is_an_id() {
        for text in ["", "1", "0-0", "00000-000000", "+0000-0000000", "00000-0000000-1", "000000-0000000"] {
            assert_eq!(text.parse::<ChunkId>(), Err(BadChunkId(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn numbers_do_not_begin_again() {
        let last = ChunkId { epoch: 3, index: u32::MAX };
        assert!(last.next().is_err());
        assert_eq!(ChunkId::first(3).next().unwrap(), ChunkId { epoch: 3, index: 1 });
    }

    proptest! {
        #[test]
        fn names_read_back(epoch: u32, index: u32) {
            let id = ChunkId { epoch, index };
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn names_are_in_order(a in (0..100_000u32, 0..10_000_000u32), b in (0..100_000u32, 0..10_000_000u32)) {
            let id = |(epoch, index)| ChunkId { epoch, index };
            let (a, b) = (id(a), id(b));
            prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
        }
    }
}
