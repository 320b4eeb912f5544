//! Random data for queries, and the simplest possible definition of the meaning of a condition.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, Int64Builder, ListBuilder, RecordBatch,
    StringArray, StructArray, UInt64Array,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A value of a row or of metadata.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Val {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Val>),
    Struct(Vec<(&'static str, Val)>),
}

/// One row of any topic.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) time: i64,
    i: Option<i64>,
    u: u64,
    f: Option<f64>,
    g: f32,
    s: Option<&'static str>,
    b: Option<bool>,
    /// Null, or its `x` and `Y.z`.
    p: Option<(Option<i64>, f64)>,
    l: Option<Vec<Option<i64>>>,
}

const INTS: [i64; 9] = [-2, -1, 0, 1, 2, (1 << 53) + 1, i64::MAX - 1, i64::MAX, i64::MIN];
const FLOATS: [f64; 10] =
    [-1.5, -0.0, 0.0, 0.5, 1.0, 2.0, 9_007_199_254_740_992.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
const TEXTS: [&str; 7] = ["", "a", "b", "ab", "B", "é%", "a_b"];

pub(crate) fn row() -> impl Strategy<Value = Row> {
    let float = || select(&FLOATS[..]);
    let int = || select(&INTS[..]);
    let list = proptest::collection::vec(proptest::option::of(int()), 0..3);
    (
        -9i64..10,
        proptest::option::of(int()),
        prop_oneof![0u64..3, Just(u64::MAX)],
        proptest::option::of(float()),
        select(&[0.1f32, 0.5, 1.0, f32::NAN][..]),
        proptest::option::of(select(&TEXTS[..])),
        proptest::option::of(any::<bool>()),
        proptest::option::of((proptest::option::of(int()), float())),
        proptest::option::of(list),
    )
        .prop_map(|(time, i, u, f, g, s, b, p, l)| Row { time, i, u, f, g, s, b, p, l })
}

pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
    let x: ArrayRef = Arc::new(rows.iter().map(|r| r.p.and_then(|p| p.0)).collect::<Int64Array>());
    let z: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.p.map_or(7.0, |p| p.1))).collect::<Float64Array>());
    let fields = vec![field("x", DataType::Int64), field("Y.z", DataType::Float64)];
    let nulls = NullBuffer::from_iter(rows.iter().map(|r| r.p.is_some()));
    let p: ArrayRef = Arc::new(StructArray::new(fields.into(), vec![x, z], Some(nulls)));
    let mut lists = ListBuilder::new(Int64Builder::new());
    rows.iter().for_each(|row| lists.append_option(row.l.clone()));
    let l: ArrayRef = Arc::new(lists.finish());
    let time: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.time)).collect::<Int64Array>());
    let i: ArrayRef = Arc::new(rows.iter().map(|r| r.i).collect::<Int64Array>());
    let u: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.u)).collect::<UInt64Array>());
    let f: ArrayRef = Arc::new(rows.iter().map(|r| r.f).collect::<Float64Array>());
    let g: ArrayRef = Arc::new(rows.iter().map(|r| Some(r.g)).collect::<Float32Array>());
    let s: ArrayRef = Arc::new(rows.iter().map(|r| r.s).collect::<StringArray>());
    let b: ArrayRef = Arc::new(rows.iter().map(|r| r.b).collect::<BooleanArray>());
    let columns = [("timestamp_ns", time), ("i", i), ("U", u), ("f", f), ("g", g), ("s", s), ("b", b)];
    let columns = columns.into_iter().chain([("p", p), ("l", l)]);
    let fields = columns.clone().map(|(name, array)| Field::new(name, array.data_type().clone(), true));
    let schema = arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.map(|(_, array)| array).collect()).unwrap()
}

fn or_null<T>(value: Option<T>, val: impl Fn(T) -> Val) -> Val {
    value.map_or(Val::Null, val)
}

impl Row {
    /// The value of a field.
    fn at(&self, path: &str) -> Val {
        let int = |v: i64| Val::Int(v.into());
        match path {
            "timestamp_ns" => int(self.time),
            "i" => or_null(self.i, int),
            "U" => Val::Int(self.u.into()),
            "f" => or_null(self.f, Val::Float),
            "g" => Val::Float(self.g.into()),
            "s" => or_null(self.s, |s| Val::Text(s.into())),
            "b" => or_null(self.b, Val::Bool),
            "p" => or_null(self.p, |p| Val::Struct(vec![("x", or_null(p.0, int))])),
            "p.x" => or_null(self.p.and_then(|p| p.0), int),
            "p.Y.z" => or_null(self.p, |p| Val::Float(p.1)),
            "l" => or_null(self.l.clone(), |l| Val::List(l.into_iter().map(|v| or_null(v, int)).collect())),
            _ => Val::Null,
        }
    }

    /// Whether a filter object matches; keys begin with the tag.
    pub(crate) fn holds(&self, filter: &Value) -> bool {
        holds(filter, &|key| self.at(key.split_once('.').unwrap().1))
    }
}

/// The meaning of a filter object, given the values of its keys.
pub(crate) fn holds(filter: &Value, at: &dyn Fn(&str) -> Val) -> bool {
    filter.as_object().unwrap().iter().all(|(key, value)| match key.as_str() {
        "$and" => value.as_array().unwrap().iter().all(|child| holds(child, at)),
        "$or" => value.as_array().unwrap().iter().any(|child| holds(child, at)),
        "$not" => !holds(value, at),
        "include_timestamp_range" => true,
        key => {
            let (operator, constant) = value.as_object().unwrap().iter().next().unwrap();
            test(operator, constant, &at(key))
        }
    })
}

fn test(operator: &str, constant: &Value, value: &Val) -> bool {
    match (operator, value) {
        ("$ex", value) => *value != Val::Null,
        ("$nex", value) => *value == Val::Null,
        (_, Val::List(items)) => items.iter().any(|item| test(operator, constant, item)),
        ("$in", value) => constant.as_array().unwrap().iter().any(|one| test("$eq", one, value)),
        ("$between", value) => test("$geq", &constant[0], value) && test("$leq", &constant[1], value),
        ("$match", Val::Text(text)) => like(constant.as_str().unwrap(), text),
        (operator, value) => {
            let Some(order) = order(value, constant) else {
                // NaN compared with a number.
                return operator == "$neq"
                    && matches!(value, Val::Float(f) if f.is_nan())
                    && constant.is_number();
            };
            match operator {
                "$eq" => order.is_eq(),
                "$neq" => order.is_ne(),
                "$lt" => order.is_lt(),
                "$leq" => order.is_le(),
                "$gt" => order.is_gt(),
                "$geq" => order.is_ge(),
                _ => false,
            }
        }
    }
}

/// `None`: the types differ, or a value is NaN.
fn order(value: &Val, constant: &Value) -> Option<std::cmp::Ordering> {
    match (value, constant) {
        (Val::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Val::Text(a), Value::String(b)) => Some(a.as_str().cmp(b)),
        (Val::Int(_) | Val::Float(_), Value::Number(b)) => {
            let int = b.as_i64().map(i128::from).or_else(|| b.as_u64().map(i128::from));
            parts(value)?.partial_cmp(&match int {
                Some(int) => (int, 0.0),
                None => parts(&Val::Float(b.as_f64()?))?,
            })
        }
        _ => None,
    }
}

/// A number as its floor and its fraction; infinities are beyond all other numbers, which are below 2^127.
fn parts(value: &Val) -> Option<(i128, f64)> {
    match value {
        Val::Int(int) => Some((*int, 0.0)),
        Val::Float(float) if float.is_nan() => None,
        Val::Float(float) if float.is_infinite() => {
            Some((if *float > 0.0 { i128::MAX } else { i128::MIN }, 0.0))
        }
        Val::Float(float) => Some((float.floor() as i128, float - float.floor())),
        _ => None,
    }
}

fn like(pattern: &str, text: &str) -> bool {
    fn whole(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|from| whole(rest, &text[from..])),
            Some((c, rest)) => {
                text.split_first().is_some_and(|(first, text)| (*c == '_' || c == first) && whole(rest, text))
            }
        }
    }
    let pattern: Vec<char> = format!("%{pattern}%").chars().collect();
    whole(&pattern, &text.chars().collect::<Vec<_>>())
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        select(&INTS[..]).prop_map(Value::from),
        select(vec![-1.5, 0.0, 0.5, 1.0, 2.5, 1e30, 9_007_199_254_740_992.0, 0.1, f64::from(0.1f32)])
            .prop_map(Value::from),
        Just(json!(u64::MAX)),
    ]
}

fn word() -> impl Strategy<Value = Value> {
    prop_oneof![select(&TEXTS[..]).prop_map(Value::from), Just(json!("x".repeat(230) + "y"))]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![3 => number(), 2 => word(), 1 => any::<bool>().prop_map(Value::from)]
}

/// One operator with its constant.
pub(crate) fn condition() -> impl Strategy<Value = Value> {
    let ordered = prop_oneof![number(), word()];
    let pattern = prop_oneof!["[abB%_é]{0,3}".prop_map(Value::from), word()];
    let pair = prop_oneof![(number(), number()), (word(), word())];
    prop_oneof![
        4 => (select(vec!["$eq", "$neq"]), scalar()).prop_map(|(op, v)| json!({op: v})),
        4 => (select(vec!["$lt", "$leq", "$gt", "$geq"]), ordered).prop_map(|(op, v)| json!({op: v})),
        1 => proptest::collection::vec(scalar(), 1..4).prop_map(|v| json!({"$in": v})),
        1 => pair.prop_map(|(a, b)| {
            let value = if a.is_string() { Val::Text(a.as_str().unwrap().into()) } else {
                let int = a.as_i64().map(i128::from).or_else(|| a.as_u64().map(i128::from));
                int.map_or_else(|| Val::Float(a.as_f64().unwrap()), Val::Int)
            };
            let (a, b) = if order(&value, &b).unwrap().is_gt() { (b, a) } else { (a, b) };
            json!({"$between": [a, b]})
        }),
        1 => pattern.prop_map(|v| json!({"$match": v})),
        1 => select(vec!["$ex", "$nex"]).prop_map(|op| json!({op: null})),
    ]
}

/// A nested filter over `keys`.
pub(crate) fn filter(keys: Vec<String>) -> impl Strategy<Value = Value> {
    let leaf = proptest::collection::btree_map(select(keys), condition(), 1..3);
    let leaf = leaf.prop_map(|members| Value::Object(members.into_iter().collect()));
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"$and": all})),
            proptest::collection::vec(inner.clone(), 1..3).prop_map(|all| json!({"$or": all})),
            inner.clone().prop_map(|one| json!({"$not": one})),
            (inner.clone(), inner).prop_map(|(a, b)| {
                let mut both = a;
                both["$not"] = b;
                both
            }),
        ]
    })
}

/// The fields of a row, and a field that does not exist.
pub(crate) const FIELDS: [&str; 12] =
    ["timestamp_ns", "i", "U", "f", "g", "s", "b", "p", "p.x", "p.Y.z", "l", "missing"];

/// Paths of metadata, and their possible values.
pub(crate) const PATHS: [&str; 6] = ["k", "a.b", "d'e\"", "ü.x y", "l.0", "missing.k"];

pub(crate) fn metadata() -> impl Strategy<Value = Value> {
    let value = || prop_oneof![4 => scalar(), 1 => Just(Value::Null), 1 => Just(json!([1, "a"]))];
    let list = proptest::collection::vec(value(), 0..2);
    (value(), value(), any::<bool>(), value(), value(), list).prop_map(|(k, b, dotted, quoted, inner, l)| {
        let mut data = json!({"k": k, "d'e\"": quoted, "ü": {"x y": inner}, "l": l});
        if dotted {
            data["a.b"] = b
        } else {
            data["a"] = json!({"b": b})
        }
        data
    })
}

/// The value at one of `PATHS`.
pub(crate) fn metadata_at(data: &Value, path: &str) -> Val {
    let found = match path {
        "k" => &data["k"],
        "a.b" if data.get("a.b").is_some() => &data["a.b"],
        "a.b" => &data["a"]["b"],
        "d'e\"" => &data["d'e\""],
        "ü.x y" => &data["ü"]["x y"],
        "l.0" => &data["l"][0],
        _ => &Value::Null,
    };
    match found {
        Value::Null => Val::Null,
        Value::Bool(value) => Val::Bool(*value),
        Value::String(value) => Val::Text(value.clone()),
        Value::Number(value) => {
            let int = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
            int.map_or_else(|| Val::Float(value.as_f64().unwrap()), Val::Int)
        }
        // Lists in metadata are not scalars; a condition can only test their existence.
        _ => Val::Struct(Vec::new()),
    }
}
