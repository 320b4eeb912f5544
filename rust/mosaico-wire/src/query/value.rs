//! Constants of queries, with exact comparison: integers and floats compare without rounding.

use std::cmp::Ordering;

/// A number without NaN.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// Any 64-bit integer, signed or not.
    Int(i128),
    /// A number with a fraction or an exponent, or beyond 64 bits.
    Float(f64),
}

impl Number {
    /// The exact order.
    pub fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
            (Self::Int(a), Self::Float(b)) => int_to_float(a, b),
            (Self::Float(a), Self::Int(b)) => int_to_float(b, a).reverse(),
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.order(*other).is_eq()
    }
}

fn int_to_float(int: i128, float: f64) -> Ordering {
    // Saturates far outside the range of 64 bits.
    let whole = float.trunc() as i128;
    int.cmp(&whole).then_with(|| 0.0.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal))
}

/// A constant of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
}

impl Scalar {
    /// The same value, borrowed.
    pub fn view(&self) -> ScalarRef<'_> {
        match self {
            Self::Bool(value) => ScalarRef::Bool(*value),
            Self::Number(value) => ScalarRef::Number(*value),
            Self::Text(value) => ScalarRef::Text(value),
        }
    }
}

/// A value to compare with constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ScalarRef<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(&'a str),
}

impl ScalarRef<'_> {
    /// The order of two values of one type; `None` for values of different types.
    pub fn compare(&self, other: &ScalarRef<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), ScalarRef::Bool(b)) => Some(a.cmp(b)),
            (Self::Number(a), ScalarRef::Number(b)) => Some(a.order(*b)),
            (Self::Text(a), ScalarRef::Text(b)) => Some((*a).cmp(*b)),
            _ => None,
        }
    }

    /// An order of all values: booleans, numbers, texts.
    pub fn sort_order(&self, other: &ScalarRef<'_>) -> Ordering {
        self.compare(other).unwrap_or_else(|| self.rank().cmp(&other.rank()))
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Number(_) => 1,
            Self::Text(_) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_meet_exactly() {
        let (int, float) = (Number::Int, Number::Float);
        let big = 1_700_000_000_000_000_001;
        assert_eq!(int(big).order(float(1.7e18)), Ordering::Greater);
        assert_eq!(int(big - 1), float(1.7e18));
        assert_eq!(int(i128::from(u64::MAX)).order(float(18_446_744_073_709_551_616.0)), Ordering::Less);
        assert_eq!(int(-1).order(float(-1.5)), Ordering::Greater);
        assert_eq!(int(-2).order(float(-1.5)), Ordering::Less);
        assert_eq!(int(0), float(-0.0));
        assert_eq!(int(i128::from(i64::MIN)).order(float(f64::NEG_INFINITY)), Ordering::Greater);
        assert_eq!(float(1e300).order(int(1)), Ordering::Greater);
    }

    #[test]
    fn types_do_not_compare_but_sort() {
        let (number, text) = (ScalarRef::Number(Number::Int(5)), ScalarRef::Text("5"));
        assert_eq!(number.compare(&text), None);
        assert_eq!(number.sort_order(&text), Ordering::Less);
        assert_eq!(ScalarRef::Bool(true).compare(&ScalarRef::Number(Number::Int(1))), None);
    }
}
