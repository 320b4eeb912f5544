//! The messages of an answer with rows: counted when their length arrives, before memory for them is filled.

use bytes::Bytes;

use crate::error::Result;
use crate::read_ahead::{Holding, ReadAhead};

/// Flag and length before each message of gRPC.
const HEAD: usize = 5;

/// Smaller messages are not counted: the number of streams bounds them.
const SMALL: usize = 64 << 10;

/// The position in the messages of an answer.
#[derive(Debug)]
pub(crate) struct Incoming {
    reader: ReadAhead,
    head: [u8; HEAD],
    head_len: usize,
    /// Missing bytes of the message.
    missing: usize,
    /// Of the message that is being received. The reader counts its rows when they are decoded.
    holding: Option<Holding>,
}

impl Incoming {
    pub(crate) fn new(reader: ReadAhead) -> Self {
        Self { reader, head: [0; HEAD], head_len: 0, missing: 0, holding: None }
    }

    /// Counts the messages in the next part of the answer.
    ///
    /// # Errors
    /// The reader holds too much.
    pub(crate) fn look(&mut self, part: &Bytes) -> Result<()> {
        let mut rest = &part[..];
        while !rest.is_empty() {
            if self.missing > 0 {
                let count = self.missing.min(rest.len());
                (self.missing, rest) = (self.missing - count, &rest[count..]);
            } else {
                let count = rest.len().min(HEAD - self.head_len);
                self.head[self.head_len..self.head_len + count].copy_from_slice(&rest[..count]);
                (self.head_len, rest) = (self.head_len + count, &rest[count..]);
                if self.head_len == HEAD {
                    let [_, length @ ..] = self.head;
                    (self.head_len, self.missing) = (0, u32::from_be_bytes(length) as usize);
                    let large = self.missing > SMALL;
                    self.holding = large.then(|| self.reader.hold(self.missing)).transpose()?;
                }
            }
            if self.missing == 0 {
                self.holding = None;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(len: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(u32::try_from(len).unwrap().to_be_bytes());
        message.resize(HEAD + len, 7);
        message
    }

    #[test]
    fn a_message_counts_from_its_length_until_it_is_complete() {
        let reader = ReadAhead::new(1 << 20, 1);
        let mut first = Incoming::new(reader.clone());
        let gigabyte = Bytes::from_static(&[0, 0x40, 0, 0, 0, 1, 2, 3]);
        first.look(&gigabyte).unwrap();
        let mut second = Incoming::new(reader.clone());
        second.look(&gigabyte).unwrap_err();
        drop(first);
        second = Incoming::new(reader);
        second.look(&gigabyte).unwrap();
    }

    proptest! {
        #[test]
        fn messages_are_found_however_they_are_cut(
            lens in proptest::collection::vec(0_usize..200_000, 0..6),
            cuts in proptest::collection::vec(1_usize..100_000, 1..20),
        ) {
            let mut whole: Bytes = lens.iter().flat_map(|&len| message(len)).collect::<Vec<_>>().into();
            let reader = ReadAhead::new(0, 1);
            let mut incoming = Incoming::new(reader.clone());
            for cut in cuts.iter().cycle() {
                let part = whole.split_to((*cut).min(whole.len()));
                incoming.look(&part).unwrap();
                if whole.is_empty() {
                    break;
                }
            }
            prop_assert_eq!((incoming.missing, incoming.head_len), (0, 0));
            prop_assert!(incoming.holding.is_none());
            // Everything was released.
            prop_assert!(reader.hold(1 << 30).is_ok());
        }
    }
}
