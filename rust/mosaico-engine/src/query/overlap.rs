//! Conditions on rows as ranges of values. A chunk whose values lie outside has no matching row; the catalog
//! finds the other chunks.

use std::ops::Bound;

use mosaico_catalog::{Overlap, Range};
use mosaico_select::{Check, Column, LeafCheck, RowExpr, RowTest};
use mosaico_storage::format::column_stats::is_bounded;
use mosaico_wire::query::Expr;

/// The ranges that a topic's values must overlap for some of its rows to match.
pub(super) fn overlaps(expr: &RowExpr) -> Expr<Overlap> {
    match expr {
        Expr::All(children) => all(children.iter().map(overlaps)),
        Expr::Any(children) => any(children.iter().map(overlaps)),
        // Rows that do not match can have any value, including null and NaN.
        Expr::Not(_) => Overlap::ANY,
        Expr::Is(RowTest { column: None, .. } | RowTest { check: LeafCheck::Never, .. }) => Overlap::NONE,
        Expr::Is(RowTest { column: Some(column), check }) => overlap(column, check),
    }
}

fn all(children: impl Iterator<Item = Expr<Overlap>>) -> Expr<Overlap> {
    let children: Vec<_> = children.filter(|child| *child != Overlap::ANY).collect();
    if children.contains(&Overlap::NONE) { Overlap::NONE } else { Expr::All(children) }
}

fn any(children: impl Iterator<Item = Expr<Overlap>>) -> Expr<Overlap> {
    let children: Vec<_> = children.filter(|child| *child != Overlap::NONE).collect();
    if children.contains(&Overlap::ANY) { Overlap::ANY } else { Expr::Any(children) }
}

fn overlap(column: &Column, check: &LeafCheck) -> Expr<Overlap> {
    if column.repeated || !is_bounded(&column.data_type) {
        return Overlap::ANY;
    }
    let numbers = |(low, high): (Option<f64>, Option<f64>)| {
        Range::Numbers(low.unwrap_or(f64::NEG_INFINITY), high.unwrap_or(f64::INFINITY))
    };
    let reach = match check {
        LeafCheck::Int(check) => reach(check, |value| *value as f64).map(numbers),
        LeafCheck::Float(check) => reach(check, |value| *value).map(numbers),
        LeafCheck::Bool(check) => reach(check, |value| f64::from(u8::from(*value))).map(numbers),
        LeafCheck::Text(check) => reach(check, String::clone).map(|(low, high)| Range::Texts(low, high)),
        LeafCheck::Pattern(_) | LeafCheck::Exists => Reach::Anywhere,
        LeafCheck::Never => Reach::Nowhere,
    };
    match reach {
        Reach::Anywhere => Overlap::ANY,
        Reach::Nowhere => Overlap::NONE,
        Reach::Within(ranges) => {
            let overlap = |range| Expr::Is(Overlap { column: column.path.clone(), range });
            match <[Range; 1]>::try_from(ranges) {
                Ok([range]) => overlap(range),
                Err(ranges) => Expr::Any(ranges.into_iter().map(overlap).collect()),
            }
        }
    }
}

/// Values of a set that the catalog looks up one by one; a larger set counts as the range that it spans.
const MAX_POINTS: usize = 50;

/// The ranges of the values that a check accepts.
enum Reach<T> {
    Anywhere,
    Nowhere,
    Within(Vec<T>),
}

impl<T> Reach<T> {
    fn map<U>(self, map: impl Fn(T) -> U) -> Reach<U> {
        match self {
            Self::Anywhere => Reach::Anywhere,
            Self::Nowhere => Reach::Nowhere,
            Self::Within(ranges) => Reach::Within(ranges.into_iter().map(map).collect()),
        }
    }
}

fn reach<T, U>(check: &Check<T>, read: impl Fn(&T) -> U) -> Reach<(Option<U>, Option<U>)> {
    let edge = |bound: &Bound<T>| match bound {
        Bound::Included(value) | Bound::Excluded(value) => Some(read(value)),
        Bound::Unbounded => None,
    };
    match check {
        Check::Never => Reach::Nowhere,
        // NaN satisfies `Differs`, and lies in no range.
        Check::Always | Check::Differs(_) | Check::Within(Bound::Unbounded, Bound::Unbounded) => {
            Reach::Anywhere
        }
        Check::Within(low, high) => Reach::Within(vec![(edge(low), edge(high))]),
        Check::OneOf(values) if (1..=MAX_POINTS).contains(&values.len()) => {
            Reach::Within(values.iter().map(|value| (Some(read(value)), Some(read(value)))).collect())
        }
        Check::OneOf(values) => match (values.first(), values.last()) {
            (Some(low), Some(high)) => Reach::Within(vec![(Some(read(low)), Some(read(high)))]),
            _ => Reach::Nowhere,
        },
    }
}
