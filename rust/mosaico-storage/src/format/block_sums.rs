//! Checksums inside a chunk: the CRC-32 of each block of the file, so that a reader verifies the bytes of a
//! small window without reading the whole file.
//!
//! They are at the end of the Parquet footer, in the field that Parquet reserves for extensions and that other
//! readers skip:
//!
//! ```text
//! pages, page indexes, footer without its last byte   the covered bytes, in blocks of `block_bytes`
//! 08 FE FF 03, varint length                          thrift: field 32767, binary
//!   CRC-32 of each block                              4 bytes each, little-endian
//!   block_bytes                                       u32
//!   covered bytes                                     u64
//!   "MSCOSUMS"
//! 00, footer length, "PAR1"                           the end of every Parquet file
//! ```
//!
//! The position of the list follows from the length of the file alone, so nothing is parsed before it is
//! verified: the checksums of the blocks and the bytes behind them combine to the checksum of the whole file,
//! which is in the chunk's record.

use std::ops::Range;

use bytes::{BufMut, Bytes};
use crc32fast::Hasher;

/// The size of the blocks that this program writes: the unit of reading and verifying.
pub const BLOCK_BYTES: u32 = 16 << 10;

const MAGIC: &[u8; 8] = b"MSCOSUMS";
/// The thrift header of the field 32767 of type binary.
const FIELD: [u8; 4] = [0x08, 0xFE, 0xFF, 0x03];
/// Block size, covered bytes, magic.
const TAIL: usize = 4 + 8 + 8;
/// The stop byte of the footer, its length, `PAR1`.
pub(crate) const END: usize = 9;

/// Why the bytes of a chunk cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Mismatch(pub String);

/// Computes checksums block by block.
#[derive(Debug)]
pub struct BlockSummer {
    sums: Vec<u8>,
    /// The checksum of the current block, and its bytes so far.
    block: Hasher,
    filled: u64,
    block_bytes: u32,
}

impl BlockSummer {
    /// For blocks of `block_bytes`.
    pub fn new(block_bytes: u32) -> Self {
        Self { sums: Vec::new(), block: Hasher::new(), filled: 0, block_bytes }
    }

    /// Adds the next bytes of the file.
    pub fn update(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            let left = usize::try_from(u64::from(self.block_bytes) - self.filled).unwrap_or(usize::MAX);
            let (part, rest) = data.split_at(left.min(data.len()));
            self.block.update(part);
            self.filled += part.len() as u64;
            data = rest;
            if self.filled == u64::from(self.block_bytes) {
                self.close_block();
            }
        }
    }

    fn close_block(&mut self) {
        self.sums.put_u32_le(std::mem::take(&mut self.block).finalize());
        self.filled = 0;
    }

    /// The checksums of all blocks, of which the last one may be shorter.
    pub fn finish(mut self) -> Vec<u8> {
        if self.filled > 0 {
            self.close_block();
        }
        self.sums
    }
}

/// The end of a chunk whose first `covered` bytes have the checksums `sums`; `end` is the end of the Parquet
/// file without them. `None`: it is not the end of a Parquet file.
pub(crate) fn ending(sums: &[u8], covered: u64, end: [u8; END]) -> Option<Vec<u8>> {
    let [0, a, b, c, d, b'P', b'A', b'R', b'1'] = end else { return None };
    let mut bytes = Vec::with_capacity(sums.len() + TAIL + END + 16);
    bytes.extend_from_slice(&FIELD);
    put_varint(&mut bytes, sums.len() + TAIL);
    bytes.extend_from_slice(sums);
    bytes.put_u32_le(BLOCK_BYTES);
    bytes.put_u64_le(covered);
    bytes.extend_from_slice(MAGIC);
    let length = u32::from_le_bytes([a, b, c, d]).checked_add(u32::try_from(bytes.len()).ok()?)?;
    bytes.push(0);
    bytes.put_u32_le(length);
    bytes.extend_from_slice(b"PAR1");
    Some(bytes)
}

fn put_varint(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The checksums of a chunk's blocks.
#[derive(Debug, Clone)]
pub struct BlockSums {
    sums: Bytes,
    block_bytes: u64,
    /// The bytes of the file that the blocks have.
    covered: u64,
    /// The verified bytes behind them.
    rest: Bytes,
}

impl BlockSums {
    /// How many bytes at the end of a file contain its checksums, according to its last bytes; `None` if they
    /// contain none, as in files of early versions.
    pub fn length(size: u64, last: &[u8]) -> Option<u64> {
        let tail = last.len().checked_sub(TAIL + END)?;
        let tail = last[tail..tail + TAIL].strip_suffix(MAGIC)?;
        let block_bytes = u64::from(le_u32(&tail[..4]));
        let covered = u64::from_le_bytes(tail[4..].try_into().ok()?);
        let sums = covered.checked_div(block_bytes)?.saturating_add(1).saturating_mul(4);
        // Where the numbers are damaged, not much more is read than such a list can have.
        let length = size.checked_sub(covered)?;
        (length <= sums.saturating_add((TAIL + END + 16) as u64)).then_some(length)
    }

    /// The checksums in the last bytes of a file of `size` bytes, as many as [`Self::length`] returned;
    /// verified by the checksum of the whole file.
    ///
    /// # Errors
    /// [`Mismatch`] if the bytes are not those that were written.
    pub fn read(size: u64, rest: Bytes, whole: u32) -> Result<Self, Mismatch> {
        Self::parse(size, rest).filter(|found| found.whole() == whole).ok_or_else(|| {
            Mismatch("the list of checksums at its end is not the one that was written".into())
        })
    }

    fn parse(size: u64, rest: Bytes) -> Option<Self> {
        let end = rest.len().checked_sub(TAIL + END)?;
        let tail = rest.get(end..end + TAIL)?;
        let block_bytes = u64::from(u32::from_le_bytes(tail[..4].try_into().ok()?));
        let covered = size.checked_sub(rest.len() as u64)?;
        if block_bytes == 0 {
            return None;
        }
        let length = usize::try_from(covered.div_ceil(block_bytes)).ok()?.checked_mul(4)?;
        let sums = rest.slice(end.checked_sub(length)?..end);
        Some(Self { sums, block_bytes, covered, rest })
    }

    /// The checksums of a whole file of `size` bytes that contains none, computed by `summer`.
    ///
    /// # Errors
    /// [`Mismatch`] if the file does not have the checksum `whole`.
    pub fn computed(size: u64, summer: BlockSummer, whole: u32) -> Result<Self, Mismatch> {
        let block_bytes = u64::from(summer.block_bytes);
        let found = Self { sums: summer.finish().into(), block_bytes, covered: size, rest: Bytes::new() };
        let complete = found.sums.len() as u64 / 4 == size.div_ceil(block_bytes);
        if complete && found.whole() == whole {
            return Ok(found);
        }
        Err(Mismatch("the file does not have its checksum".into()))
    }

    /// The checksum of the whole file, if all its blocks have theirs.
    fn whole(&self) -> u32 {
        let mut whole = Hasher::new();
        for (number, sum) in self.sums.chunks_exact(4).enumerate() {
            let start = number as u64 * self.block_bytes;
            let bytes = self.block_bytes.min(self.covered - start);
            whole.combine(&Hasher::new_with_initial_len(le_u32(sum), bytes));
        }
        whole.update(&self.rest);
        whole.finalize()
    }

    /// Bytes in memory.
    pub fn memory_bytes(&self) -> usize {
        if self.rest.is_empty() { self.sums.len() } else { self.rest.len() }
    }

    /// The blocks to read for `range`: it, extended to whole blocks; empty if they are in memory.
    pub fn blocks(&self, range: &Range<u64>) -> Range<u64> {
        let end = range.end.min(self.covered);
        if range.start >= end {
            return self.covered..self.covered;
        }
        let start = range.start - range.start % self.block_bytes;
        start..end.next_multiple_of(self.block_bytes).min(self.covered)
    }

    /// The blocks to read for all `ranges`, in order; blocks that are adjacent or needed twice are one read.
    pub fn reads(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut blocks: Vec<_> = ranges.iter().map(|range| self.blocks(range)).collect();
        blocks.retain(|range| !range.is_empty());
        blocks.sort_unstable_by_key(|range| range.start);
        let mut reads: Vec<Range<u64>> = Vec::with_capacity(blocks.len());
        for range in blocks {
            match reads.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => reads.push(range),
            }
        }
        reads
    }

    /// The bytes of `range`, from the verified bytes `data` of `reads`.
    pub fn pick(&self, range: &Range<u64>, reads: &[Range<u64>], data: &[Bytes]) -> Bytes {
        let place = reads.partition_point(|read| read.start <= range.start).checked_sub(1);
        match place.and_then(|place| Some((reads.get(place)?, data.get(place)?))) {
            Some((read, data)) => self.slice(range, read.start, data),
            None => self.slice(range, range.start, &Bytes::new()),
        }
    }

    /// Verifies `data`, which are the blocks from the offset `start` on.
    ///
    /// # Errors
    /// [`Mismatch`] with the offsets of the first block that is not the one that was written.
    pub fn verify(&self, start: u64, data: &[u8]) -> Result<(), Mismatch> {
        let first = usize::try_from(start / self.block_bytes).unwrap_or(usize::MAX);
        let block_bytes = usize::try_from(self.block_bytes).unwrap_or(usize::MAX);
        for (number, block) in data.chunks(block_bytes).enumerate() {
            let sum = self.sums.get((first + number) * 4..(first + number) * 4 + 4);
            if sum.map(le_u32) != Some(crc32fast::hash(block)) {
                let from = start + number as u64 * self.block_bytes;
                let to = from + block.len() as u64;
                return Err(Mismatch(format!("its bytes {from}..{to} are not those that were written")));
            }
        }
        Ok(())
    }

    /// The bytes of `range`, from `data`: the verified [`Self::blocks`] from the offset `start` on.
    fn slice(&self, range: &Range<u64>, start: u64, data: &Bytes) -> Bytes {
        let at = |offset: u64, base: u64, limit: usize| {
            usize::try_from(offset.saturating_sub(base)).unwrap_or(usize::MAX).min(limit)
        };
        let in_blocks = data.slice(at(range.start, start, data.len())..at(range.end, start, data.len()));
        if range.end <= self.covered {
            return in_blocks;
        }
        let in_rest =
            at(range.start, self.covered, self.rest.len())..at(range.end, self.covered, self.rest.len());
        let in_rest = self.rest.slice(in_rest);
        if range.start >= self.covered { in_rest } else { [in_blocks, in_rest].concat().into() }
    }
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file with the given content before its end, and its checksum.
    fn file(content: &[u8]) -> (Vec<u8>, u32) {
        let mut summer = BlockSummer::new(BLOCK_BYTES);
        summer.update(content);
        let end = ending(&summer.finish(), content.len() as u64, *b"\0\x10\0\0\0PAR1").unwrap();
        let file = [content, &end].concat();
        let whole = crc32fast::hash(&file);
        (file, whole)
    }

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at * 31 / 7) as u8).collect()
    }

    fn open(file: &[u8], whole: u32) -> Result<BlockSums, Mismatch> {
        let size = file.len() as u64;
        match BlockSums::length(size, file) {
            Some(length) => {
                BlockSums::read(size, Bytes::copy_from_slice(&file[file.len() - length as usize..]), whole)
            }
            None => {
                let mut summer = BlockSummer::new(BLOCK_BYTES);
                summer.update(file);
                BlockSums::computed(size, summer, whole)
            }
        }
    }

    fn read_all(sums: &BlockSums, file: &[u8], ranges: &[Range<u64>]) -> Result<Vec<Bytes>, Mismatch> {
        let reads = sums.reads(ranges);
        let part = |read: &Range<u64>| Bytes::copy_from_slice(&file[read.start as usize..read.end as usize]);
        let data: Vec<Bytes> = reads.iter().map(part).collect();
        reads.iter().zip(&data).try_for_each(|(read, data)| sums.verify(read.start, data))?;
        Ok(ranges.iter().map(|range| sums.pick(range, &reads, &data)).collect())
    }

    fn read(sums: &BlockSums, file: &[u8], range: Range<u64>) -> Result<Bytes, Mismatch> {
        Ok(read_all(sums, file, std::slice::from_ref(&range))?.remove(0))
    }

    proptest! {
        #[test]
        fn reads_return_the_file(
            bytes in 0usize..100_000,
            places in proptest::collection::vec((any::<u64>(), 0u64..70_000), 1..6),
            with in any::<bool>(),
        ) {
            let (mut file, mut whole) = file(&content(bytes));
            if !with {
                file = content(bytes.max(1));
                whole = crc32fast::hash(&file);
            }
            let sums = open(&file, whole).unwrap();
            let size = file.len() as u64;
            let range = |&(at, length): &(u64, u64)| at % size..(at % size + length).min(size);
            let ranges: Vec<Range<u64>> = places.iter().map(range).collect();
            for (range, found) in ranges.iter().zip(read_all(&sums, &file, &ranges).unwrap()) {
                prop_assert_eq!(found, &file[range.start as usize..range.end as usize]);
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (intact, whole) = file(&content(BLOCK_BYTES as usize + 100));
        let size = intact.len() as u64;
        let sums = open(&intact, whole).unwrap();
        for at in (0..intact.len()).step_by(41).chain(intact.len() - 64..intact.len()) {
            for bit in 0..8 {
                let mut file = intact.clone();
                file[at] ^= 1 << bit;
                // Before the checksums are known, and afterwards.
                let fresh = open(&file, whole).and_then(|sums| read(&sums, &file, 0..size));
                assert!(fresh.is_err(), "bit {bit} of byte {at}");
                let known = read(&sums, &file, 0..size);
                assert!(known.is_err() || known == Ok(Bytes::from(intact.clone())), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_mismatch_names_the_bytes() {
        let (mut file, whole) = file(&content(3 * BLOCK_BYTES as usize));
        let sums = open(&file, whole).unwrap();
        file[BLOCK_BYTES as usize + 5] ^= 1;
        let error = read(&sums, &file, 0..file.len() as u64).unwrap_err();
        assert_eq!(error.to_string(), "its bytes 16384..32768 are not those that were written");
        assert!(read(&sums, &file, 0..100).is_ok(), "other blocks stay readable");
    }
}
