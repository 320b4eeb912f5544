//! The order of sequences, and pages of them. A cursor contains the position of the last sequence in that
//! order, so that sequences that are created or deleted meanwhile do not shift the others.

use std::cmp::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mosaico_catalog::FoundSequence;
use mosaico_storage::error::{Error, Result};
use mosaico_wire::query::{Field, Number, OrderBy, Scalar, ScalarRef};
use serde_json::{Value, json};

use super::metadata::{at, scalar};

/// A position in the order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// One per key of the order; missing values are last.
    keys: Vec<Option<Scalar>>,
    name: String,
}

impl Place {
    pub(super) fn of(sequence: &FoundSequence, order: &[OrderBy]) -> Self {
        let key = |by: &OrderBy| match &by.field {
            Field::CreatedNs => Some(Scalar::Number(Number::Int(sequence.created_ns.into()))),
            Field::Metadata(path) => at(&sequence.user_metadata, path).and_then(scalar).map(owned),
            _ => Some(Scalar::Text(sequence.name.clone())),
        };
        Self { keys: order.iter().map(key).collect(), name: sequence.name.clone() }
    }

    pub(super) fn compare(&self, other: &Self, order: &[OrderBy]) -> Ordering {
        for ((a, b), by) in self.keys.iter().zip(&other.keys).zip(order) {
            let found = match (a, b) {
                (Some(a), Some(b)) if by.descending => b.view().sort_order(&a.view()),
                (Some(a), Some(b)) => a.view().sort_order(&b.view()),
                (a, b) => a.is_none().cmp(&b.is_none()),
            };
            if found.is_ne() {
                return found;
            }
        }
        self.name.cmp(&other.name)
    }

    /// The cursor of this position.
    pub(super) fn cursor(&self, order: &[OrderBy]) -> String {
        let keys: Vec<Value> = self.keys.iter().map(|key| key.as_ref().map_or(Value::Null, value)).collect();
        let text = json!({"order": described(order), "keys": keys, "name": self.name}).to_string();
        URL_SAFE_NO_PAD.encode(text)
    }

    /// Parses a cursor of the same order.
    pub(super) fn parse(cursor: &str, order: &[OrderBy]) -> Result<Self> {
        let read = || {
            let text = URL_SAFE_NO_PAD.decode(cursor).ok()?;
            let parts: Value = serde_json::from_slice(&text).ok()?;
            let keys: Vec<_> = parts["keys"].as_array()?.iter().map(|key| scalar(key).map(owned)).collect();
            let same = parts["order"] == described(order) && keys.len() == order.len();
            let name = parts["name"].as_str()?.to_owned();
            Some(same.then_some(Self { keys, name }))
        };
        let shown: String = cursor.chars().take(60).collect();
        match read() {
            Some(Some(place)) => Ok(place),
            Some(None) => Err(Error::Invalid(format!(
                "the cursor `{shown}` is of a query with another `order`; repeat that one, or begin without a cursor"
            ))),
            None => Err(Error::Invalid(format!(
                "the cursor `{shown}` is malformed; pass the one of the answer before as it is"
            ))),
        }
    }
}

fn owned(value: ScalarRef<'_>) -> Scalar {
    match value {
        ScalarRef::Bool(value) => Scalar::Bool(value),
        ScalarRef::Number(value) => Scalar::Number(value),
        ScalarRef::Text(value) => Scalar::Text(value.to_owned()),
    }
}

fn value(key: &Scalar) -> Value {
    match key {
        Scalar::Bool(value) => json!(value),
        Scalar::Text(value) => json!(value),
        Scalar::Number(Number::Float(value)) => json!(value),
        Scalar::Number(Number::Int(value)) => match i64::try_from(*value) {
            Ok(value) => json!(value),
            Err(_) => json!(u64::try_from(*value).unwrap_or(u64::MAX)),
        },
    }
}

fn described(order: &[OrderBy]) -> Value {
    let one = |by: &OrderBy| match &by.field {
        Field::CreatedNs => json!(["created", by.descending]),
        Field::Metadata(path) => json!(["metadata", path, by.descending]),
        _ => json!(["name", by.descending]),
    };
    order.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use mosaico_types::id::SequenceId;

    fn sequence(name: &str, created_ns: i64, rank: Value) -> FoundSequence {
        let (id, name) = (SequenceId::generate(), name.to_owned());
        FoundSequence { id, name, created_ns, user_metadata: json!({"rank": rank}) }
    }

    fn by(field: Field, descending: bool) -> OrderBy {
        OrderBy { field, descending }
    }

    #[test]
    fn missing_values_come_last_both_ways() {
        let all = [
            sequence("a", 0, Value::Null),
            sequence("b", 0, json!(2)),
            sequence("c", 0, json!("x")),
            sequence("d", 0, json!(1.5)),
            sequence("e", 0, json!([1])),
            sequence("f", 0, json!(true)),
        ];
        let sorted = |descending| {
            let order = [by(Field::Metadata("rank".into()), descending)];
            let mut places: Vec<_> = all.iter().map(|s| Place::of(s, &order)).collect();
            places.sort_by(|a, b| a.compare(b, &order));
            places.into_iter().map(|place| place.name).collect::<String>()
        };
        assert_eq!((sorted(false), sorted(true)), ("fdbcae".into(), "cbdfae".into()));
    }

    #[test]
    fn cursors_belong_to_their_order() {
        let order = [by(Field::CreatedNs, true)];
        let place = Place::of(&sequence("a", 7, Value::Null), &order);
        let cursor = place.cursor(&order);
        assert!(Place::parse(&cursor, &[]).unwrap_err().to_string().contains("another `order`"));
        assert!(Place::parse("?", &order).unwrap_err().to_string().contains("malformed"));
        let garbage = URL_SAFE_NO_PAD.encode("[1]");
        assert!(Place::parse(&garbage, &order).unwrap_err().to_string().contains("malformed"));
    }

    fn rank() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,5}".prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn cursors_read_back_exactly(
            name in "[a-z]{1,5}", created in any::<i64>(), rank in rank(), descending in any::<bool>(),
        ) {
            let order =
                [by(Field::Metadata("rank".into()), descending), by(Field::CreatedNs, false), by(Field::Name, true)];
            let place = Place::of(&sequence(&name, created, rank), &order);
            prop_assert_eq!(Place::parse(&place.cursor(&order), &order).unwrap(), place);
        }
    }
}
