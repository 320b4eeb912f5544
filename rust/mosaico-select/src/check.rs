//! A test compiled for one type of values: evaluates a value, or the bounds of values.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Bound;

use mosaico_wire::query::{Number, Scalar, Test};

use crate::pattern::Pattern;

/// The result of evaluating a condition on rows without reading each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No row matches.
    None,
    /// The rows have to be read.
    Maybe,
    /// At least one row matches.
    Some,
    /// Every row matches, and there is one.
    All,
}

impl Verdict {
    /// The verdict if other rows without a value are added.
    pub fn with_others(self) -> Self {
        if self == Self::All { Self::Some } else { self }
    }

    /// Conjunction: a row has to satisfy both.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, other) | (other, Self::All) => other,
            _ => Self::Maybe,
        }
    }

    /// Disjunction: a row has to satisfy one.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::Some, _) | (_, Self::Some) => Self::Some,
            (Self::None, other) | (other, Self::None) => other,
            _ => Self::Maybe,
        }
    }

    /// Negation.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::None,
            _ => Self::Maybe,
        }
    }
}

/// A test for values of type `T`; only `Differs` accepts values without an order (NaN).
#[derive(Debug, Clone, PartialEq)]
pub enum Check<T> {
    /// No value.
    Never,
    /// Every value.
    Always,
    /// Between two bounds.
    Within(Bound<T>, Bound<T>),
    /// Any other value than this.
    Differs(T),
    /// One of these sorted values.
    OneOf(Vec<T>),
}

fn above<V: PartialOrd + ?Sized, T: Borrow<V>>(bound: &Bound<T>, value: &V) -> bool {
    match bound {
        Bound::Unbounded => true,
        Bound::Included(bound) => value >= bound.borrow(),
        Bound::Excluded(bound) => value > bound.borrow(),
    }
}

fn below<V: PartialOrd + ?Sized, T: Borrow<V>>(bound: &Bound<T>, value: &V) -> bool {
    match bound {
        Bound::Unbounded => true,
        Bound::Included(bound) => value <= bound.borrow(),
        Bound::Excluded(bound) => value < bound.borrow(),
    }
}

impl<T> Check<T> {
    /// Whether the test accepts a value.
    #[inline]
    pub fn accepts<V>(&self, value: &V) -> bool
    where
        V: PartialOrd + ?Sized,
        T: Borrow<V>,
    {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::Within(low, high) => above(low, value) && below(high, value),
            Self::Differs(constant) => value != constant.borrow(),
            Self::OneOf(constants) => constants
                .binary_search_by(|constant| constant.borrow().partial_cmp(value).unwrap_or(Ordering::Less))
                .is_ok(),
        }
    }

    /// The verdict on values with this minimum and maximum; `attained`: both of them occur.
    pub fn verdict<V>(&self, low: &V, high: &V, attained: bool) -> Verdict
    where
        V: PartialOrd + ?Sized,
        T: Borrow<V>,
    {
        let (all, none) = match self {
            Self::Never => (false, true),
            Self::Always => (true, false),
            Self::Within(from, to) => {
                (self.accepts(low) && self.accepts(high), !above(from, high) || !below(to, low))
            }
            Self::Differs(constant) => {
                let constant = constant.borrow();
                (constant < low || constant > high, constant == low && constant == high)
            }
            Self::OneOf(constants) => {
                let first = constants.partition_point(|constant| constant.borrow() < low);
                let inside = constants.get(first).is_some_and(|constant| constant.borrow() <= high);
                (low == high && inside, !inside)
            }
        };
        match () {
            () if none => Verdict::None,
            () if all => Verdict::All,
            () if attained && (self.accepts(low) || self.accepts(high)) => Verdict::Some,
            () => Verdict::Maybe,
        }
    }

    fn from_test(test: &Test, read: impl Fn(&Scalar) -> Option<T>) -> Self {
        let bound = |bound: &Bound<Scalar>| match bound {
            Bound::Unbounded => Some(Bound::Unbounded),
            Bound::Included(value) => read(value).map(Bound::Included),
            Bound::Excluded(value) => read(value).map(Bound::Excluded),
        };
        match test {
            Test::Within(low, high) => match bound(low).zip(bound(high)) {
                Some((low, high)) => Self::Within(low, high),
                None => Self::Never,
            },
            Test::Differs(value) => read(value).map_or(Self::Never, Self::Differs),
            Test::OneOf(values) => Self::OneOf(values.iter().filter_map(read).collect()),
            Test::Exists => Self::Always,
            // The caller converts `Missing` to the complement of `Exists`, and patterns require texts.
            Test::Contains(_) | Test::Missing => Self::Never,
        }
    }
}

/// A test for the values of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum LeafCheck {
    /// Integers and times.
    Int(Check<i128>),
    /// Floats.
    Float(Check<f64>),
    /// Booleans.
    Bool(Check<bool>),
    /// Texts.
    Text(Check<String>),
    /// Texts that contain a pattern.
    Pattern(Pattern),
    /// Any value but null.
    Exists,
    /// No value.
    Never,
}

pub(crate) fn bools(test: &Test) -> Check<bool> {
    Check::from_test(test, |value| if let Scalar::Bool(value) = value { Some(*value) } else { None })
}

pub(crate) fn texts(test: &Test) -> Check<String> {
    Check::from_test(test, |value| if let Scalar::Text(value) = value { Some(value.clone()) } else { None })
}

/// A test for integers; `text` parses constants that are texts (times as ISO text).
pub(crate) fn ints(test: &Test, text: &dyn Fn(&str) -> Option<i128>) -> Check<i128> {
    let number = |value: &Scalar| match value {
        Scalar::Number(value) => Some(*value),
        Scalar::Text(value) => text(value).map(Number::Int),
        Scalar::Bool(_) => None,
    };
    let low = |bound: &Bound<Scalar>| match bound {
        Bound::Unbounded => Some(Bound::Unbounded),
        Bound::Included(value) => number(value).map(|n| Bound::Included(whole(n, f64::ceil))),
        Bound::Excluded(value) => number(value).map(|n| Bound::Excluded(whole(n, f64::floor))),
    };
    let high = |bound: &Bound<Scalar>| match bound {
        Bound::Unbounded => Some(Bound::Unbounded),
        Bound::Included(value) => number(value).map(|n| Bound::Included(whole(n, f64::floor))),
        Bound::Excluded(value) => number(value).map(|n| Bound::Excluded(whole(n, f64::ceil))),
    };
    let exact = |value: &Scalar| match number(value)? {
        Number::Int(value) => Some(value),
        Number::Float(value) => (value.fract() == 0.0).then_some(value as i128),
    };
    match test {
        Test::Within(from, to) => match low(from).zip(high(to)) {
            Some((from, to)) => Check::Within(from, to),
            None => Check::Never,
        },
        Test::Differs(value) => match (exact(value), number(value)) {
            (Some(value), _) => Check::Differs(value),
            (None, Some(_)) => Check::Always,
            (None, None) => Check::Never,
        },
        Test::OneOf(values) => {
            let mut found: Vec<i128> = values.iter().filter_map(exact).collect();
            // Texts that were parsed as times are not in numeric order.
            found.sort_unstable();
            Check::OneOf(found)
        }
        other => Check::from_test(other, |_| None),
    }
}

/// The integer next to a number; floats beyond 128 bits saturate, which is beyond all columns too.
fn whole(number: Number, round: fn(f64) -> f64) -> i128 {
    match number {
        Number::Int(value) => value,
        Number::Float(value) => round(value) as i128,
    }
}

/// A test for floats. An integer without an equal float lies between two floats.
pub(crate) fn floats(test: &Test) -> Check<f64> {
    fn near(value: &Scalar) -> Option<(f64, Ordering)> {
        let Scalar::Number(number) = value else { return None };
        let float = match number {
            Number::Int(value) => *value as f64,
            Number::Float(value) => *value,
        };
        Some((float, Number::Float(float).order(*number)))
    }
    let exact = |value: &Scalar| near(value).filter(|(_, order)| order.is_eq()).map(|(float, _)| float);
    let low = |bound: &Bound<Scalar>| match bound {
        Bound::Unbounded => Some(Bound::Unbounded),
        Bound::Included(value) | Bound::Excluded(value) => near(value).map(|(float, order)| match order {
            Ordering::Greater => Bound::Included(float),
            Ordering::Less => Bound::Excluded(float),
            Ordering::Equal if matches!(bound, Bound::Included(_)) => Bound::Included(float),
            Ordering::Equal => Bound::Excluded(float),
        }),
    };
    let high = |bound: &Bound<Scalar>| match bound {
        Bound::Unbounded => Some(Bound::Unbounded),
        Bound::Included(value) | Bound::Excluded(value) => near(value).map(|(float, order)| match order {
            Ordering::Less => Bound::Included(float),
            Ordering::Greater => Bound::Excluded(float),
            Ordering::Equal if matches!(bound, Bound::Included(_)) => Bound::Included(float),
            Ordering::Equal => Bound::Excluded(float),
        }),
    };
    match test {
        // If both bounds exist, this also excludes NaN, which is neither above nor below.
        Test::Within(from, to) => match low(from).zip(high(to)) {
            Some((from, to)) => Check::Within(from, to),
            None => Check::Never,
        },
        Test::Differs(value) => match (exact(value), near(value)) {
            (Some(value), _) => Check::Differs(value),
            (None, Some(_)) => Check::Always,
            (None, None) => Check::Never,
        },
        Test::OneOf(values) => Check::OneOf(values.iter().filter_map(exact).collect()),
        other => Check::from_test(other, |_| None),
    }
}

#[cfg(test)]
mod tests;
