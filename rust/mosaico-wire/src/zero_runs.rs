//! Zero-run elision: message bodies without their long runs of zeros. Empty fields of a recording, such as
//! headers and covariances, are most of the bytes of many topics. Why not LZ4:
//! `docs/design/007-zero-run-elision.md`.
//!
//! ```text
//! elided := body_len u64le  count u32le  (start u64le  len u64le)*count  the bytes of these ranges
//! ```
//!
//! The ranges ascend and do not touch; the bytes between them are zero.

/// Block size of the search for zeros.
const BLOCK: usize = 256;
const HEAD: usize = 12;
const RANGE: usize = 16;

/// An elided body that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZeroRunsError {
    /// Bytes are missing or left over, or ranges do not ascend.
    #[error("the body without its runs of zeros is malformed")]
    Malformed,
    /// The full body is larger than the reader's limit.
    #[error("the body without its runs of zeros stands for {0} bytes")]
    TooLarge(u64),
}

/// `body` without its runs of zeros; `None` if that saves less than an eighth.
pub fn pack(body: &[u8]) -> Option<Vec<u8>> {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut kept = 0;
    for (index, block) in body.chunks(BLOCK).enumerate().filter(|(_, block)| !is_zero(block)) {
        let start = index * BLOCK;
        match ranges.last_mut() {
            Some((first, len)) if *first + *len == start => *len += block.len(),
            _ => ranges.push((start, block.len())),
        }
        kept += block.len();
    }
    let size = HEAD + RANGE * ranges.len() + kept;
    if size > body.len() - body.len() / 8 {
        return None;
    }
    let mut out = Vec::with_capacity(size);
    out.extend((body.len() as u64).to_le_bytes());
    out.extend(u32::try_from(ranges.len()).ok()?.to_le_bytes());
    for &(start, len) in &ranges {
        out.extend((start as u64).to_le_bytes());
        out.extend((len as u64).to_le_bytes());
    }
    for &(start, len) in &ranges {
        out.extend_from_slice(&body[start..start + len]);
    }
    Some(out)
}

/// The size of the full body of `elided`, as it claims.
///
/// # Errors
/// [`ZeroRunsError::Malformed`] if bytes are missing.
pub fn whole_bytes(elided: &[u8]) -> Result<u64, ZeroRunsError> {
    let (total, _) = elided.split_at_checked(8).ok_or(ZeroRunsError::Malformed)?;
    Ok(number(total))
}

/// The full body of `elided`, of at most `limit` bytes.
///
/// # Errors
/// [`ZeroRunsError`] for anything that [`pack`] does not write; then nothing is allocated.
pub fn unpack(elided: &[u8], limit: usize) -> Result<Vec<u8>, ZeroRunsError> {
    let (head, rest) = elided.split_at_checked(HEAD).ok_or(ZeroRunsError::Malformed)?;
    let (total, count) = head.split_at(8);
    let total = number(total);
    let body_len = usize::try_from(total).ok().filter(|&len| len <= limit);
    let body_len = body_len.ok_or(ZeroRunsError::TooLarge(total))?;
    let ranges = u32::from_le_bytes(count.try_into().map_err(|_| ZeroRunsError::Malformed)?) as usize;
    let ranges = ranges.checked_mul(RANGE).and_then(|len| rest.split_at_checked(len));
    let (ranges, mut bytes) = ranges.ok_or(ZeroRunsError::Malformed)?;
    let (ranges, _) = ranges.as_chunks::<RANGE>();
    let mut end = 0;
    let mut kept = 0;
    for range in ranges {
        let (start, len) = bounds(range)?;
        let fits = start >= end && len <= body_len && start <= body_len - len && len <= bytes.len() - kept;
        if !fits {
            return Err(ZeroRunsError::Malformed);
        }
        (end, kept) = (start + len, kept + len);
    }
    if kept != bytes.len() {
        return Err(ZeroRunsError::Malformed);
    }
    let mut body = vec![0; body_len];
    for range in ranges {
        let (start, len) = bounds(range)?;
        let (part, rest) = bytes.split_at(len);
        body[start..start + len].copy_from_slice(part);
        bytes = rest;
    }
    Ok(body)
}

fn bounds(range: &[u8; RANGE]) -> Result<(usize, usize), ZeroRunsError> {
    let (start, len) = range.split_at(8);
    let size = |bytes| usize::try_from(number(bytes)).map_err(|_| ZeroRunsError::Malformed);
    Ok((size(start)?, size(len)?))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn is_zero(block: &[u8]) -> bool {
    // The first bytes decide most blocks.
    let (first, rest) = block.split_at(block.len().min(16));
    all_zero(first) && all_zero(rest)
}

fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |any, &byte| any | byte) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bodies() -> impl Strategy<Value = Vec<u8>> {
        let run = (any::<bool>(), any::<u8>(), 0_usize..2000);
        proptest::collection::vec(run, 0..8).prop_map(|runs| {
            let bytes = |(zero, byte, len): (bool, u8, usize)| vec![if zero { 0 } else { byte }; len];
            runs.into_iter().flat_map(bytes).collect()
        })
    }

    #[test]
    fn zeros_are_left_out() {
        let mut body = vec![0; 100_000];
        body[5_000..6_000].fill(7);
        let elided = pack(&body).expect("mostly zeros");
        assert!(elided.len() < 2_000, "{}", elided.len());
        assert_eq!(unpack(&elided, 100_000).as_ref(), Ok(&body));
        assert_eq!(unpack(&elided, 99_999), Err(ZeroRunsError::TooLarge(100_000)));
        assert_eq!(pack(&[7; 1000]), None);
        assert_eq!(pack(&[]), None);
    }

    proptest! {
        #[test]
        fn what_was_packed_unpacks(body in bodies()) {
            if let Some(elided) = pack(&body) {
                prop_assert!(elided.len() < body.len());
                prop_assert_eq!(unpack(&elided, body.len()), Ok(body));
            }
        }

        #[test]
        fn garbage_is_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            _ = unpack(&bytes, 1 << 20);
        }

        #[test]
        fn what_is_cut_or_lengthened_is_refused(body in bodies(), cut in any::<prop::sample::Index>()) {
            if let Some(mut elided) = pack(&body) {
                prop_assert_eq!(unpack(&elided[..cut.index(elided.len())], body.len()), Err(ZeroRunsError::Malformed));
                elided.push(1);
                prop_assert_eq!(unpack(&elided, body.len()), Err(ZeroRunsError::Malformed));
            }
        }

        #[test]
        fn wild_ranges_are_refused(start in any::<u64>(), len in any::<u64>()) {
            let mut elided = 64_u64.to_le_bytes().to_vec();
            elided.extend(1_u32.to_le_bytes());
            elided.extend(start.to_le_bytes());
            elided.extend(len.to_le_bytes());
            elided.extend([1; 8]);
            let fits = len == 8 && start <= 56;
            prop_assert_eq!(unpack(&elided, 64).is_ok(), fits);
        }
    }
}
