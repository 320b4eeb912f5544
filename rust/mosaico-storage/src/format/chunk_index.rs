//! Indices of segments and chunks: which part of the topic, and which segment of the part.

/// Bits of the segment's number within its part.
pub const BITS: u32 = 16;

/// The part of a segment or chunk.
pub fn part_of(index: u32) -> u32 {
    index >> BITS
}

/// The index of its first segment.
pub fn first_index(part: u32) -> u32 {
    part << BITS
}
