//! Tickets of `do_get`, byte-compatible with Mosaico 0.2:
//!
//! ```text
//! ticket  := varint(byte_len) locator_utf8  option(start)  option(end)
//! option  := 00 | 01 varint(zigzag(i64))
//! varint  := u < 251: one byte | fb u16le | fc u32le | fd u64le
//! ```
//!
//! If only one bound is given, the other is encoded as `i64::MIN` or `i64::MAX`. Readers of 0.2 ignore
//! trailing bytes. A daemon signs the tickets that it gives to a caller with an API key, and native clients
//! append their selection:
//!
//! ```text
//! sign    := "sign:" 32 bytes
//! select  := "select:" json of a Selection
//! ```
//!
//! The signature covers everything before it, and the API key.

use mosaico_types::TimeWindow;

use crate::select::Selection;

const SIGN: &[u8] = b"sign:";
const SELECT: &[u8] = b"select:";

/// The signature of a ticket.
pub type Signature = [u8; 32];

/// A ticket as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Received<'a> {
    /// The contents.
    pub ticket: Ticket,
    /// The bytes that a signature covers.
    pub signed: &'a [u8],
    /// The signature, if there is one.
    pub signature: Option<Signature>,
}

/// The contents of a ticket.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Topic locator, `sequence/topic`.
    pub locator: String,
    /// The requested rows.
    pub window: TimeWindow,
    /// Columns and conditions; the default is everything.
    pub selection: Selection,
}

/// A ticket that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Bytes are missing.
    #[error("the ticket ends too early")]
    Truncated,
    /// A tag or length that no encoder writes.
    #[error("the ticket holds the unknown tag {0:#04x}")]
    BadTag(u8),
    /// The locator is not text.
    #[error("the ticket's locator is not UTF-8")]
    NotText,
    /// The selection is malformed.
    #[error("the ticket's selection is malformed: {0}")]
    BadSelection(String),
}

impl Ticket {
    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.locator.len() + 24);
        put_varint(&mut out, self.locator.len() as u64);
        out.extend_from_slice(self.locator.as_bytes());
        let bounds = match (self.window.start, self.window.end) {
            (None, None) => [None, None],
            (start, end) => [Some(start.unwrap_or(i64::MIN)), Some(end.unwrap_or(i64::MAX))],
        };
        for bound in bounds {
            match bound {
                None => out.push(0),
                Some(value) => {
                    out.push(1);
                    put_varint(&mut out, zigzag(value));
                }
            }
        }
        if !self.selection.is_all() {
            out.extend_from_slice(&selected(&self.selection));
        }
        out
    }

    /// Decodes a ticket; ignores trailing bytes that are not a selection, as the reference does.
    ///
    /// # Errors
    /// [`TicketError`] for anything that no encoder writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TicketError> {
        Received::decode(bytes).map(|received| received.ticket)
    }
}

impl<'a> Received<'a> {
    /// Decodes a ticket with its signature; does not verify the signature.
    ///
    /// # Errors
    /// [`TicketError`] for anything that no encoder writes.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, TicketError> {
        let mut rest = bytes;
        let length = usize::try_from(take_varint(&mut rest)?).map_err(|_| TicketError::Truncated)?;
        if length > rest.len() {
            return Err(TicketError::Truncated);
        }
        let (locator, tail) = rest.split_at(length);
        rest = tail;
        let locator = std::str::from_utf8(locator).map_err(|_| TicketError::NotText)?.to_owned();
        let start = take_option(&mut rest)?.filter(|&start| start != i64::MIN);
        let end = take_option(&mut rest)?.filter(|&end| end != i64::MAX);
        let signed = &bytes[..bytes.len() - rest.len()];
        let signature = match rest.strip_prefix(SIGN) {
            Some(mut after) => {
                let signature = take(&mut after)?;
                rest = after;
                Some(signature)
            }
            None => None,
        };
        let selection = match rest.strip_prefix(SELECT) {
            Some(json) => {
                serde_json::from_slice(json).map_err(|cause| TicketError::BadSelection(cause.to_string()))?
            }
            None => Selection::default(),
        };
        let ticket = Ticket { locator, window: TimeWindow { start, end }, selection };
        Ok(Self { ticket, signed, signature })
    }
}

/// The suffix that signs a ticket without a selection.
pub fn signed(signature: &Signature) -> Vec<u8> {
    [SIGN, signature].concat()
}

/// The suffix that restricts a ticket to `selection`.
pub fn selected(selection: &Selection) -> Vec<u8> {
    let json = serde_json::to_vec(selection).expect("plain fields are JSON");
    [SELECT, &json].concat()
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

fn put_varint(out: &mut Vec<u8>, value: u64) {
    if value < 251 {
        out.push(value as u8);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xfb);
        out.extend_from_slice(&value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xfc);
        out.extend_from_slice(&value.to_le_bytes());
    } else {
        out.push(0xfd);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], TicketError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(TicketError::Truncated)?;
    *rest = tail;
    Ok(*head)
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, TicketError> {
    match take::<1>(rest)?[0] {
        small @ 0..=250 => Ok(u64::from(small)),
        0xfb => Ok(u64::from(u16::from_le_bytes(take(rest)?))),
        0xfc => Ok(u64::from(u32::from_le_bytes(take(rest)?))),
        0xfd => Ok(u64::from_le_bytes(take(rest)?)),
        tag => Err(TicketError::BadTag(tag)),
    }
}

fn take_option(rest: &mut &[u8]) -> Result<Option<i64>, TicketError> {
    match take::<1>(rest)?[0] {
        0 => Ok(None),
        1 => take_varint(rest).map(|value| Some(unzigzag(value))),
        tag => Err(TicketError::BadTag(tag)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encodes_as_recorded() {
        let all = Selection::default();
        let ticket = Ticket { locator: "a/b".into(), window: TimeWindow::ALL, selection: all.clone() };
        assert_eq!(ticket.encode(), b"\x03a/b\x00\x00");
        let window = TimeWindow { start: Some(-1), end: Some(300) };
        let bounded = Ticket { locator: "a/b".into(), window, selection: all };
        assert_eq!(bounded.encode(), b"\x03a/b\x01\x01\x01\xfb\x58\x02");
    }

    proptest! {
        #[test]
        fn round_trips(
            locator in "\\PC{0,300}",
            start in any::<Option<i64>>(),
            end in any::<Option<i64>>(),
            columns in proptest::option::of(proptest::collection::vec("\\PC{0,9}", 0..4)),
        ) {
            let selection = Selection { columns, condition: None };
            let start = start.filter(|&s| s != i64::MIN);
            let end = end.filter(|&e| e != i64::MAX);
            let ticket = Ticket { locator, window: TimeWindow { start, end }, selection };
            prop_assert_eq!(Ticket::decode(&ticket.encode()), Ok(ticket));
        }

        #[test]
        fn signatures_stand_between_ticket_and_selection(
            signature in any::<Signature>(), end in any::<Option<i32>>(), with_selection in any::<bool>(),
        ) {
            let window = TimeWindow { start: None, end: end.map(i64::from) };
            let plain = Ticket { locator: "a/b".into(), window, selection: Selection::default() };
            let bytes = plain.encode();
            let columns = with_selection.then(|| vec!["x".to_owned()]);
            let ticket = Ticket { selection: Selection { columns, condition: None }, ..plain };
            let suffix = if with_selection { selected(&ticket.selection) } else { Vec::new() };
            let all = [bytes.clone(), signed(&signature), suffix].concat();
            let received = Received { ticket, signed: &bytes, signature: Some(signature) };
            prop_assert_eq!(Received::decode(&all), Ok(received));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Ticket::decode(&bytes);
        }

        #[test]
        fn a_selection_is_understood_or_refused(json in "\\PC{0,40}") {
            let ticket = [b"\x03a/b\x00\x00".as_slice(), SELECT, json.as_bytes()].concat();
            let understood = serde_json::from_str::<Selection>(&json).ok();
            prop_assert_eq!(Ticket::decode(&ticket).ok().map(|ticket| ticket.selection), understood);
        }
    }
}
