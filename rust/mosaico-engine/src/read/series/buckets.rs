//! What the rows of each pixel column have in common.

use std::collections::BTreeMap;

use arrow::array::{Array, Float64Array, RecordBatch};
use mosaico_select::Column;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_id::ChunkId;
use mosaico_storage::format::schema::times;

/// A window of time in pixel columns of equal width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// First nanosecond.
    pub start: i64,
    /// First nanosecond past the end.
    pub end: i64,
    /// Number of pixel columns.
    pub px: u32,
}

impl Grid {
    /// The pixel column of a time; `None` outside of the window.
    pub fn pixel(&self, time: i64) -> Option<u32> {
        if time < self.start || time >= self.end {
            return None;
        }
        let (at, span) = (time.wrapping_sub(self.start) as u64, self.end.wrapping_sub(self.start) as u64);
        u32::try_from(u128::from(at) * u128::from(self.px) / u128::from(span)).ok()
    }

    /// The times of a pixel column: the first one, and the first one past its end.
    fn times(&self, pixel: u32) -> (i128, i128) {
        let span = u128::from(self.end.wrapping_sub(self.start) as u64);
        let from = |pixel: u64| {
            let at = (u128::from(pixel) * span).div_ceil(u128::from(self.px));
            i128::from(self.start) + i128::try_from(at).unwrap_or(i128::MAX)
        };
        (from(pixel.into()), from(u64::from(pixel) + 1))
    }

    /// The one pixel column of all times of a span.
    pub(super) fn pixel_of(&self, (first, last): (i64, i64)) -> Option<u32> {
        self.pixel(first).filter(|pixel| self.pixel(last) == Some(*pixel))
    }

    pub(super) fn overlaps(&self, (first, last): (i64, i64)) -> bool {
        first < self.end && last >= self.start
    }
}

/// Where a row is: rows of equal times are in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub time: i64,
    pub source: ChunkId,
    pub row: u64,
}

/// The first or last row of a pixel column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edge {
    pub place: Place,
    /// A value per field; `None`: not read yet.
    pub values: Option<Vec<Option<f64>>>,
}

impl Edge {
    /// Whether it is the same row, and brings its values.
    fn is_known(&self, other: &Self) -> bool {
        self.place == other.place && other.values.is_none()
    }
}

/// Lowest and highest value, without nulls and NaN.
pub(super) type Bounds = Option<(f64, f64)>;

pub(super) fn joined(a: Bounds, b: Bounds) -> Bounds {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

/// The rows of a pixel column.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bucket {
    pub first: Edge,
    pub last: Edge,
    pub count: u64,
    pub bounds: Vec<Bounds>,
}

impl Bucket {
    fn join(&mut self, other: Self) {
        // The same row again brings its values.
        if other.first.place < self.first.place || other.first.is_known(&self.first) {
            self.first = other.first;
        }
        if other.last.place > self.last.place || other.last.is_known(&self.last) {
            self.last = other.last;
        }
        self.count += other.count;
        for (bounds, more) in self.bounds.iter_mut().zip(other.bounds) {
            *bounds = joined(*bounds, more);
        }
    }
}

/// Where the rows of a batch are.
pub(super) struct Source<'a> {
    pub id: ChunkId,
    /// The number of a row of the batch in the source.
    pub row: &'a dyn Fn(usize) -> u64,
    /// Whether no bucket has counted the rows yet.
    pub is_counted: bool,
}

/// All pixel columns that have rows.
#[derive(Debug, Default)]
pub(super) struct Buckets(pub BTreeMap<u32, Bucket>);

impl Buckets {
    pub(super) fn add(&mut self, pixel: u32, bucket: Bucket) {
        match self.0.get_mut(&pixel) {
            Some(known) => known.join(bucket),
            None => _ = self.0.insert(pixel, bucket),
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        other.0.into_iter().for_each(|(pixel, bucket)| self.add(pixel, bucket));
    }

    /// Adds the rows of a batch, which need not be in order.
    pub(super) fn add_batch(
        &mut self,
        grid: &Grid,
        columns: &[Column],
        batch: &RecordBatch,
        source: &Source<'_>,
    ) -> Result<()> {
        let times = times(batch)?.values();
        let values = columns.iter().map(|column| column.numbers(batch)).collect::<Result<Vec<_>, _>>();
        let values = values.map_err(|e| Error::internal("reading numbers", e))?;
        let mut at = 0;
        while at < times.len() {
            let Some(pixel) = grid.pixel(times[at]) else {
                at += 1;
                continue;
            };
            let (from, to) = grid.times(pixel);
            let start = at;
            let is_here = |time: &&i64| (from..to).contains(&i128::from(**time));
            at += times[at..].iter().take_while(is_here).count();
            // Also in a batch that is not in order.
            let places = (start..at).map(|index| {
                (Place { time: times[index], source: source.id, row: (source.row)(index) }, index)
            });
            let Some(first) = places.clone().min() else { continue };
            let Some(last) = places.max() else { continue };
            let edge = |(place, index): (Place, usize)| Edge {
                place,
                values: Some(values.iter().map(|values| value(values, index)).collect()),
            };
            let bounds = values.iter().map(|values| bounds(values, start..at)).collect();
            let count = if source.is_counted { (at - start) as u64 } else { 0 };
            self.add(pixel, Bucket { first: edge(first), last: edge(last), count, bounds });
        }
        Ok(())
    }
}

pub(super) fn value(values: &Float64Array, row: usize) -> Option<f64> {
    values.is_valid(row).then(|| values.value(row))
}

fn bounds(values: &Float64Array, rows: std::ops::Range<usize>) -> Bounds {
    let numbers = rows.filter_map(|row| value(values, row)).filter(|number| !number.is_nan());
    numbers.fold(None, |found, number| joined(found, Some((number, number))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_widest_window_has_pixels() {
        let grid = Grid { start: i64::MIN, end: i64::MAX, px: 8192 };
        assert_eq!((grid.pixel(i64::MIN), grid.pixel(0)), (Some(0), Some(4096)));
        assert_eq!((grid.pixel(i64::MAX - 1), grid.pixel(i64::MAX)), (Some(8191), None));
    }

    proptest! {
        #[test]
        fn pixels_ascend_and_cover_the_window(
            start in any::<i64>(), span in 1..=i64::MAX, px in 1_u32..9000, a in any::<u64>(), b in any::<u64>(),
        ) {
            let end = start.saturating_add(span);
            prop_assume!(start < end);
            let grid = Grid { start, end, px };
            let inside = |at: u64| start.wrapping_add((at % end.wrapping_sub(start) as u64) as i64);
            let (a, b) = (inside(a).min(inside(b)), inside(a).max(inside(b)));
            prop_assert!(grid.pixel(a).unwrap() <= grid.pixel(b).unwrap());
            prop_assert!(grid.pixel(b).unwrap() < px);
            prop_assert_eq!(grid.pixel(start), Some(0));
            prop_assert_eq!(grid.pixel(end), None);
            let pixel = grid.pixel(a).unwrap();
            let (from, to) = grid.times(pixel);
            prop_assert!((from..to).contains(&i128::from(a)));
            prop_assert!(from == start.into() || grid.pixel((from - 1) as i64) < Some(pixel));
            prop_assert!(to >= end.into() || grid.pixel(to as i64) > Some(pixel));
        }
    }
}
