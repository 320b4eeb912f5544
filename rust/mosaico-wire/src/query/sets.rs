//! Bounds the work of a query: `$or` over equalities of one field is a set, in which a value is looked up, and
//! the number of conditions is limited.

use std::collections::HashMap;
use std::ops::Bound;

use super::tree::{Condition, Expr, Field, Query, QueryError, Test, ValueCondition};
use super::value::Scalar;

/// Conditions that one query may have, where a set counts as one.
const MAX_CONDITIONS: usize = 10_000;

/// Bytes of all patterns of one query: matching takes time in proportion to pattern times text.
const MAX_PATTERN_BYTES: usize = 64 << 10;

/// A condition on one field.
pub(super) trait Conditional: Sized {
    /// The field, as a key.
    fn field(&self) -> String;
    fn test(&self) -> &Test;
    fn with_test(self, test: Test) -> Self;
}

impl Conditional for Condition {
    fn field(&self) -> String {
        match &self.field {
            Field::Metadata(path) => format!("metadata {path}"),
            field => format!("{field:?}"),
        }
    }

    fn test(&self) -> &Test {
        &self.test
    }

    fn with_test(self, test: Test) -> Self {
        Self { test, ..self }
    }
}

impl Conditional for ValueCondition {
    fn field(&self) -> String {
        self.key.clone()
    }

    fn test(&self) -> &Test {
        &self.test
    }

    fn with_test(self, test: Test) -> Self {
        Self { test, ..self }
    }
}

/// The values, if the test accepts exactly these.
fn set(test: &Test) -> Option<Vec<Scalar>> {
    match test {
        Test::OneOf(values) => Some(values.clone()),
        Test::Within(Bound::Included(low), Bound::Included(high)) if low == high => Some(vec![low.clone()]),
        _ => None,
    }
}

/// A disjunction in which equalities of one field are one condition.
pub(super) fn any_of<L: Conditional>(children: Vec<Expr<L>>) -> Expr<L> {
    let (mut rest, mut sets) = (Vec::new(), Vec::<(L, Vec<Scalar>)>::new());
    let mut places = HashMap::new();
    let mut open: Vec<Expr<L>> = children.into_iter().rev().collect();
    while let Some(child) = open.pop() {
        match child {
            Expr::Any(inner) => open.extend(inner.into_iter().rev()),
            Expr::Is(leaf) => match set(leaf.test()) {
                None => rest.push(Expr::Is(leaf)),
                Some(values) => {
                    let place = *places.entry(leaf.field()).or_insert(sets.len());
                    match sets.get_mut(place) {
                        Some((_, known)) => known.extend(values),
                        None => sets.push((leaf, values)),
                    }
                }
            },
            other => rest.push(other),
        }
    }
    let sets = sets.into_iter().map(|(leaf, mut values)| match values.len() {
        1 => Expr::Is(leaf),
        _ => {
            values.sort_by(|a, b| a.view().sort_order(&b.view()));
            Expr::Is(leaf.with_test(Test::OneOf(values)))
        }
    });
    let mut all: Vec<Expr<L>> = sets.chain(rest).collect();
    match all.pop() {
        Some(only) if all.is_empty() => only,
        last => {
            all.extend(last);
            Expr::Any(all)
        }
    }
}

/// Refuses a query with too many conditions or too long patterns.
pub(super) fn check_size(query: &Query) -> Result<(), QueryError> {
    let (mut conditions, mut pattern_bytes) = (0, 0);
    let mut count = |test: &Test| {
        conditions += 1;
        if let Test::Contains(pattern) = test {
            pattern_bytes += pattern.len();
        }
    };
    query.select.leaves(&mut |sections| {
        for properties in [&sections.sequence, &sections.topic].into_iter().flatten() {
            properties.leaves(&mut |condition| count(&condition.test));
        }
        if let Some(values) = &sections.values {
            values.leaves(&mut |condition| count(&condition.test));
        }
    });
    let refuse = |problem| Err(QueryError { place: "query".into(), problem });
    if conditions > MAX_CONDITIONS {
        return refuse(format!(
            "it has {conditions} conditions, at most {MAX_CONDITIONS} are allowed; a list of values in `$in` is one \
             condition"
        ));
    }
    if pattern_bytes > MAX_PATTERN_BYTES {
        return refuse(format!(
            "its `$match` patterns have {pattern_bytes} bytes, at most {MAX_PATTERN_BYTES} are allowed; shorten them"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(filter: &serde_json::Value) -> Result<Query, QueryError> {
        Query::parse(json!({"sequence": filter}).to_string().as_bytes())
    }

    #[test]
    fn equalities_of_one_field_become_a_set() {
        let or = json!({"$or": [
            {"name": {"$eq": "b"}}, {"user_metadata": {"a": {"$eq": 1}}}, {"name": {"$in": ["c", "a"]}},
            {"$or": [{"name": {"$eq": "d"}}, {"user_metadata": {"a": {"$eq": "x"}}}]},
            {"name": {"$match": "e"}}, {"user_metadata": {"b": {"$eq": 1}}},
        ]});
        let sets = json!({"$or": [
            {"name": {"$in": ["a", "b", "c", "d"]}}, {"user_metadata": {"a": {"$in": [1, "x"]}}},
            {"user_metadata": {"b": {"$eq": 1}}}, {"name": {"$match": "e"}},
        ]});
        assert_eq!(parse(&or), parse(&sets));
        let or = json!({"$or": [{"name": {"$eq": "b"}}, {"name": {"$eq": "a"}}]});
        assert_eq!(parse(&or), parse(&json!({"name": {"$in": ["a", "b"]}})));
        // A conjunction and a range are no sets.
        let kept = json!({"$or": [{"name": {"$geq": "b"}}, {"$and": [{"name": {"$eq": "a"}}]}]});
        let Expr::Is(sections) = parse(&kept).unwrap().select else { panic!("one section") };
        assert!(matches!(sections.sequence, Some(Expr::Any(children)) if children.len() == 2));
    }

    #[test]
    fn the_number_of_conditions_is_limited_but_not_that_of_values() {
        let many = |count: usize, operator: &str| {
            let one = |number: usize| json!({"name": {operator: format!("n{number}")}});
            json!({"$or": (0..count).map(one).collect::<Vec<_>>()})
        };
        assert!(parse(&many(MAX_CONDITIONS, "$geq")).is_ok());
        let text = parse(&many(MAX_CONDITIONS + 1, "$geq")).unwrap_err().to_string();
        assert!(text.contains("10001 conditions, at most 10000"), "{text}");
        assert!(parse(&many(MAX_CONDITIONS * 3, "$eq")).is_ok());
        let pattern = |bytes: usize| json!({"name": {"$match": "x".repeat(bytes)}});
        assert!(parse(&pattern(MAX_PATTERN_BYTES)).is_ok());
        let text = parse(&json!({"$or": [pattern(MAX_PATTERN_BYTES), pattern(1)]})).unwrap_err().to_string();
        assert!(text.contains("65537 bytes, at most 65536"), "{text}");
    }
}
