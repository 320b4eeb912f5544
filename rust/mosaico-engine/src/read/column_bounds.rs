//! Evaluates conditions on the rows of one topic by statistics.

use arrow::array::{Array, ArrayRef, AsArray};
use mosaico_select::{Column, LeafCheck, Verdict, float, integer, is_list, text};
use mosaico_storage::format::column_stats::{ColumnKind, ColumnStats};

/// The verdict of a chunk's statistics on a field of its `rows` rows.
pub fn judge_chunk(stats: &[ColumnStats], rows: u64, column: &Column, check: &LeafCheck) -> Verdict {
    let found = stats.iter().find(|stats| stats.path == column.path);
    let Some(stats) = found.filter(|_| !column.repeated) else { return Verdict::Maybe };
    let judged = match check {
        LeafCheck::Exists => Verdict::All,
        check => bounds_verdict(stats, check),
    };
    with_nulls(judged, stats.nulls, rows)
}

/// For rows without NaN and nulls, which the caller handles separately.
fn bounds_verdict(stats: &ColumnStats, check: &LeafCheck) -> Verdict {
    let Some((low, high)) = &stats.bounds else {
        return match (stats.kind, check) {
            (ColumnKind::Float, LeafCheck::Float(check)) if !check.accepts(&f64::NAN) => Verdict::None,
            (ColumnKind::Float, LeafCheck::Float(_)) => Verdict::All,
            // The bounds were too long to be stored.
            _ => Verdict::Maybe,
        };
    };
    match (stats.kind, check) {
        (ColumnKind::Int, LeafCheck::Int(check)) => match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) => check.verdict::<i128>(&low, &high, true),
            _ => Verdict::Maybe,
        },
        (ColumnKind::Float, LeafCheck::Float(check)) => match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) => {
                let judged = check.verdict::<f64>(&low, &high, true);
                if stats.has_nan { with_nan(judged, check.accepts(&f64::NAN)) } else { judged }
            }
            _ => Verdict::Maybe,
        },
        (ColumnKind::Bool, LeafCheck::Bool(check)) => match (low.parse(), high.parse()) {
            (Ok(low), Ok(high)) => check.verdict::<bool>(&low, &high, true),
            _ => Verdict::Maybe,
        },
        (ColumnKind::Text, LeafCheck::Text(check)) => check.verdict::<str>(low, high, true),
        (ColumnKind::Text, LeafCheck::Pattern(pattern)) => {
            match (pattern.accepts(low) || pattern.accepts(high), low == high) {
                (true, true) => Verdict::All,
                (false, true) => Verdict::None,
                (true, false) => Verdict::Some,
                (false, false) => Verdict::Maybe,
            }
        }
        _ => Verdict::Maybe,
    }
}

/// The verdict for the judged rows and others that may contain NaN.
fn with_nan(judged: Verdict, accepted: bool) -> Verdict {
    match judged {
        Verdict::None if accepted => Verdict::Maybe,
        judged if accepted => judged,
        judged => judged.with_others(),
    }
}

fn with_nulls(judged: Verdict, nulls: u64, rows: u64) -> Verdict {
    match nulls {
        0 => judged,
        _ if nulls >= rows => Verdict::None,
        _ => judged.with_others(),
    }
}

/// Lowest and highest values of many pieces of a column (row groups or pages), as Parquet stores them:
/// strings are truncated, and NaN is not covered.
#[derive(Debug)]
pub struct PieceBounds {
    pub low: ArrayRef,
    pub high: ArrayRef,
    /// Per piece; null if unknown.
    pub nulls: arrow::array::UInt64Array,
}

impl PieceBounds {
    /// The verdict on a piece of `rows` rows.
    pub fn judge(&self, piece: usize, rows: u64, column: &Column, check: &LeafCheck) -> Verdict {
        let nested = column.repeated || is_list(&column.data_type);
        let judged = match check {
            LeafCheck::Exists if nested || column.data_type.is_nested() => return Verdict::Maybe,
            LeafCheck::Exists => Verdict::All,
            check => self.bounds_verdict(piece, check),
        };
        if nested {
            // Rows have any number of values, so only the absence of values is certain.
            return if judged == Verdict::None { Verdict::None } else { Verdict::Maybe };
        }
        match self.nulls.is_valid(piece) {
            true => with_nulls(judged, self.nulls.value(piece), rows),
            false if judged == Verdict::None => Verdict::None,
            false => Verdict::Maybe,
        }
    }

    fn bounds_verdict(&self, piece: usize, check: &LeafCheck) -> Verdict {
        let (low, high) = (&self.low, &self.high);
        let judged =
            match check {
                LeafCheck::Int(check) => integer(low, piece)
                    .zip(integer(high, piece))
                    .map(|(low, high)| check.verdict::<i128>(&low, &high, false)),
                LeafCheck::Float(check) => float(low, piece).zip(float(high, piece)).map(|(low, high)| {
                    match check.verdict::<f64>(&low, &high, false) {
                        Verdict::All if !check.accepts(&f64::NAN) => Verdict::Maybe,
                        judged => with_nan(judged, check.accepts(&f64::NAN)),
                    }
                }),
                LeafCheck::Bool(check) => match (low.as_boolean_opt(), high.as_boolean_opt()) {
                    (Some(low), Some(high)) if low.is_valid(piece) && high.is_valid(piece) => {
                        Some(check.verdict::<bool>(&low.value(piece), &high.value(piece), false))
                    }
                    _ => None,
                },
                LeafCheck::Text(check) => text(low, piece)
                    .zip(text(high, piece))
                    .map(|(low, high)| check.verdict::<str>(low, high, false)),
                LeafCheck::Pattern(_) | LeafCheck::Exists => None,
                LeafCheck::Never => Some(Verdict::None),
            };
        judged.unwrap_or(Verdict::Maybe)
    }
}
