//! Conditions on sequences and topics, evaluated on their metadata in the catalog.

use std::ops::Bound;

use mosaico_catalog::{FoundSequence, FoundTopic};
use mosaico_select::Pattern;
use mosaico_wire::query::{Condition, Expr, Field, Number, Scalar, ScalarRef, Test};
use serde_json::Value;

pub(super) fn sequence_holds(conditions: Option<&Expr<Condition>>, sequence: &FoundSequence) -> bool {
    let holds = |Condition { field, test }: &Condition| match field {
        Field::Name => accepts(test, Some(ScalarRef::Text(&sequence.name))),
        Field::CreatedNs => accepts(test, Some(integer(sequence.created_ns))),
        Field::Metadata(path) => metadata_holds(test, &sequence.user_metadata, path),
        Field::OntologyTag | Field::SerializationFormat => *test == Test::Missing,
    };
    conditions.is_none_or(|conditions| conditions.holds(&holds))
}

pub(super) fn topic_holds(conditions: Option<&Expr<Condition>>, topic: &FoundTopic) -> bool {
    let holds = |Condition { field, test }: &Condition| match (field, test) {
        (Field::Name, Test::Contains(pattern)) => Pattern::new(pattern).accepts(&format!("/{}", topic.path)),
        (Field::Name, test) => accepts(test, Some(ScalarRef::Text(&topic.path))),
        (Field::CreatedNs, test) => accepts(test, Some(integer(topic.created_ns))),
        (Field::OntologyTag, test) => accepts(test, Some(ScalarRef::Text(&topic.ontology_tag))),
        (Field::SerializationFormat, test) => {
            accepts(test, Some(ScalarRef::Text(&topic.serialization_format)))
        }
        (Field::Metadata(path), test) => metadata_holds(test, &topic.user_metadata, path),
    };
    conditions.is_none_or(|conditions| conditions.holds(&holds))
}

fn integer(value: i64) -> ScalarRef<'static> {
    ScalarRef::Number(Number::Int(value.into()))
}

/// The value at a dotted path. Names may contain dots themselves: a complete name takes precedence over its
/// parts. Items of arrays are named by their position.
pub(super) fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => {
            if let Some(found) = members.get(path) {
                return Some(found);
            }
            path.match_indices('.').find_map(|(dot, _)| at(members.get(&path[..dot])?, &path[dot + 1..]))
        }
        Value::Array(items) => {
            let (position, rest) =
                path.split_once('.').map_or((path, None), |(position, rest)| (position, Some(rest)));
            let item = items.get(position.parse::<usize>().ok()?)?;
            rest.map_or(Some(item), |rest| at(item, rest))
        }
        _ => None,
    }
}

/// A value that can be compared; arrays and objects cannot.
pub(super) fn scalar(value: &Value) -> Option<ScalarRef<'_>> {
    match value {
        Value::Bool(value) => Some(ScalarRef::Bool(*value)),
        Value::String(value) => Some(ScalarRef::Text(value)),
        Value::Number(value) => {
            let int = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
            let number = int.map(Number::Int).or_else(|| value.as_f64().map(Number::Float));
            number.map(ScalarRef::Number)
        }
        _ => None,
    }
}

fn metadata_holds(test: &Test, metadata: &Value, path: &str) -> bool {
    let found = at(metadata, path).filter(|value| !value.is_null());
    match test {
        Test::Exists => found.is_some(),
        Test::Missing => found.is_none(),
        test => accepts(test, found.and_then(scalar)),
    }
}

fn accepts(test: &Test, value: Option<ScalarRef<'_>>) -> bool {
    let Some(value) = value else { return *test == Test::Missing };
    let order = |constant: &Scalar| value.compare(&constant.view());
    match test {
        Test::Within(low, high) => {
            let above = match low {
                Bound::Unbounded => true,
                Bound::Included(low) => order(low).is_some_and(|order| order.is_ge()),
                Bound::Excluded(low) => order(low).is_some_and(|order| order.is_gt()),
            };
            above
                && match high {
                    Bound::Unbounded => true,
                    Bound::Included(high) => order(high).is_some_and(|order| order.is_le()),
                    Bound::Excluded(high) => order(high).is_some_and(|order| order.is_lt()),
                }
        }
        Test::Differs(constant) => order(constant).is_some_and(|order| order.is_ne()),
        Test::OneOf(constants) => {
            constants.binary_search_by(|constant| constant.view().sort_order(&value)).is_ok()
        }
        Test::Contains(pattern) => match value {
            ScalarRef::Text(text) => Pattern::new(pattern).accepts(text),
            _ => false,
        },
        Test::Exists => true,
        Test::Missing => false,
    }
}

#[cfg(test)]
mod tests {
    use mosaico_wire::query::{Query, Sections};
    use serde_json::json;

    use super::*;
    use mosaico_types::id::SequenceId;

    fn found(user_metadata: Value, filter: Value) -> bool {
        let body = json!({"sequence": {"user_metadata": filter}}).to_string();
        let sequence =
            FoundSequence { id: SequenceId::generate(), name: "s".into(), created_ns: 5, user_metadata };
        match Query::parse(body.as_bytes()).unwrap().select {
            Expr::Is(Sections { sequence: Some(conditions), .. }) => {
                sequence_holds(Some(&conditions), &sequence)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn paths() {
        let data = json!({"a": {"b": 1, "c.d": {"e": 2}}, "a.b": 3, "l": [{"x": 4}, 5], "n": null});
        let at = |path| at(&data, path).cloned();
        assert_eq!(at("a.b"), Some(json!(3)), "a whole name comes first");
        assert_eq!(at("a.c.d.e"), Some(json!(2)));
        assert_eq!(at("l.0.x"), Some(json!(4)));
        assert_eq!(at("l.1"), Some(json!(5)));
        assert_eq!((at("l.2"), at("a.x"), at(""), at("l.x")), (None, None, None, None));
    }

    #[test]
    fn types_are_distinguished() {
        let data =
            || json!({"i": 3, "f": 42.5, "t": "10", "b": true, "l": ["x"], "n": null, "big": u64::MAX});
        for (filter, expected) in [
            (json!({"i": {"$eq": 3.0}}), true),
            (json!({"i": {"$between": [2.5, 3]}}), true),
            (json!({"f": {"$gt": 42}}), true),
            (json!({"t": {"$gt": 5}}), false),
            (json!({"t": {"$neq": 5}}), false),
            (json!({"t": {"$lt": "2"}}), true),
            (json!({"t": {"$match": "1"}}), true),
            (json!({"i": {"$match": "3"}}), false),
            (json!({"b": {"$eq": true}}), true),
            (json!({"b": {"$eq": 1}}), false),
            (json!({"b": {"$in": [1, "true", true]}}), true),
            (json!({"b": {"$neq": false}}), true),
            (json!({"l": {"$ex": null}}), true),
            (json!({"l": {"$eq": "x"}}), false),
            (json!({"l.0": {"$eq": "x"}}), true),
            (json!({"n": {"$ex": null}}), false),
            (json!({"n": {"$nex": null}}), true),
            (json!({"zz": {"$neq": 1}}), false),
            (json!({"$not": {"zz": {"$eq": 1}}}), true),
            (json!({"$or": [{"zz": {"$ex": null}}, {"i": {"$in": [1, 3]}}], "f": {"$lt": 50}}), true),
            (json!({"big": {"$gt": u64::MAX - 1}}), true),
            (json!({"big": {"$eq": 18446744073709551616.0}}), false),
        ] {
            assert_eq!(found(data(), filter.clone()), expected, "{filter}");
        }
    }
}
