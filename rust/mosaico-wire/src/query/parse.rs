//! Parses JSON to the typed tree. Unknown input is refused by name, never skipped.

use std::num::NonZeroUsize;
use std::ops::Bound;

use serde::Deserialize;
use serde_json::Value;

use super::json::{Json, shortened};
use super::sets::{Conditional, any_of, check_size};
use super::tree::{Condition, Expr, Field, OrderBy, Query, QueryError, Sections, Test, ValueCondition};
use super::value::{Number, Scalar};

const CONNECTIVES: &str = "`$and`, `$or`, `$not`";
const OPERATORS: &str =
    "`$eq`, `$neq`, `$lt`, `$leq`, `$gt`, `$geq`, `$between`, `$in`, `$match`, `$ex`, `$nex`";
const ORDER_FIELDS: &str = "`sequence.name`, `sequence.created_timestamp`, `sequence.user_metadata.<path>`";
const METADATA_PREFIX: &str = "user_metadata.";

type Result<T> = std::result::Result<T, QueryError>;
type Entries = Vec<(String, Json)>;

fn refuse<T>(place: &str, problem: impl Into<String>) -> Result<T> {
    let place = if place.is_empty() { "query" } else { place };
    Err(QueryError { place: shortened(place), problem: problem.into() })
}

fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

fn object(place: &str, json: Json) -> Result<Entries> {
    match json {
        Json::Object(entries) => Ok(entries),
        other => refuse(place, format!("{other} is not an object")),
    }
}

fn flag(place: &str, json: &Json) -> Result<bool> {
    match json {
        Json::Bool(value) => Ok(*value),
        other => refuse(place, format!("{other} is neither true nor false")),
    }
}

impl Query {
    /// Reads the body of the action.
    ///
    /// # Errors
    /// [`QueryError`], with the place, the value that was wrong and what is allowed.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let json = match serde_json::from_slice(body) {
            Ok(json) => json,
            Err(e) => return refuse("", format!("the body is malformed: {e}")),
        };
        let mut query = Self {
            select: Expr::Any(Vec::new()),
            order: Vec::new(),
            limit: None,
            cursor: None,
            explain: false,
        };
        let mut rest = Vec::new();
        for (key, value) in object("", json)? {
            match key.as_str() {
                "order" => query.order = order(value)?,
                "limit" => query.limit = limit(&value)?,
                "cursor" => query.cursor = cursor(value)?,
                "explain" => query.explain = flag(&key, &value)?,
                _ => rest.push((key, value)),
            }
        }
        if query.cursor.is_some() && query.limit.is_none() {
            return refuse("cursor", "a cursor needs a `limit`; repeat the one of the first page");
        }
        query.select = select("", rest)?;
        check_size(&query)?;
        Ok(query)
    }
}

/// Reads a standalone condition on values: the section `ontology` without the request for times.
///
/// # Errors
/// [`QueryError`], with the place, the value that was wrong and what is allowed.
pub fn parse_conditions(json: &Value) -> Result<Option<Expr<ValueCondition>>> {
    const PLACE: &str = "where";
    let json =
        Json::deserialize(json).map_err(|e| QueryError { place: PLACE.into(), problem: e.to_string() })?;
    match ontology(PLACE, json)? {
        (_, true) => refuse(PLACE, "times of matching rows can be asked for in queries only"),
        (values, false) => Ok(values),
    }
}

fn limit(json: &Json) -> Result<Option<NonZeroUsize>> {
    let limit = match json {
        Json::Null => return Ok(None),
        Json::Number(Number::Int(value)) => usize::try_from(*value).ok().and_then(NonZeroUsize::new),
        _ => None,
    };
    if limit.is_some() { Ok(limit) } else { refuse("limit", format!("{json} is not a whole number above 0")) }
}

fn cursor(json: Json) -> Result<Option<String>> {
    match json {
        Json::Null => Ok(None),
        Json::Text(text) => Ok(Some(text)),
        other => refuse("cursor", format!("{other} is not a text; pass the one of the answer before")),
    }
}

fn order(json: Json) -> Result<Vec<OrderBy>> {
    let Json::List(items) = json else {
        return refuse("order", format!("{json} is not a list of {{\"by\": ..., \"desc\": ...}}"));
    };
    items.into_iter().map(order_by).collect()
}

fn order_by(json: Json) -> Result<OrderBy> {
    let (mut field, mut descending) = (None, false);
    for (key, value) in object("order", json)? {
        match (key.as_str(), value) {
            ("by", Json::Text(by)) => field = Some(order_field(&by)?),
            ("by", other) => return refuse("order.by", format!("{other} is not a text")),
            ("desc", value) => descending = flag("order.desc", &value)?,
            _ => {
                return refuse("order", format!("there is no key `{}`; use `by`, `desc`", shortened(&key)));
            }
        }
    }
    match field {
        Some(field) => Ok(OrderBy { field, descending }),
        None => refuse("order", format!("`by` is missing; use one of {ORDER_FIELDS}")),
    }
}

fn order_field(by: &str) -> Result<Field> {
    match by.strip_prefix("sequence.") {
        Some("name") => Ok(Field::Name),
        Some("created_timestamp") => Ok(Field::CreatedNs),
        Some(rest) if rest.len() > METADATA_PREFIX.len() && rest.starts_with(METADATA_PREFIX) => {
            Ok(Field::Metadata(rest[METADATA_PREFIX.len()..].to_owned()))
        }
        _ => refuse("order.by", format!("cannot order by `{}`; use one of {ORDER_FIELDS}", shortened(by))),
    }
}

/// A query object: sections, and connectives over query objects.
fn select(place: &str, entries: Entries) -> Result<Expr<Sections>> {
    let mut sections = Sections::default();
    let mut all = Vec::new();
    for (key, value) in entries {
        let place = below(place, &key);
        match key.as_str() {
            "sequence" | "topic" | "ontology" if value == Json::Null => {}
            "sequence" => sections.sequence = filter(&place, value, &sequence_field)?,
            "topic" => sections.topic = filter(&place, value, &topic_field)?,
            "ontology" => (sections.values, sections.ranges) = ontology(&place, value)?,
            "$and" | "$or" | "$not" => {
                all.push(connective(&place, &key, value, &|place, value| {
                    select(place, object(place, value)?)
                })?);
            }
            "order" | "limit" | "cursor" | "explain" => {
                return refuse(&place, format!("`{key}` belongs to the top of the query"));
            }
            _ => {
                let allowed = format!("`sequence`, `topic`, `ontology`, {CONNECTIVES}");
                return refuse(&place, format!("there is no section of this name; use {allowed}"));
            }
        }
    }
    if sections.sequence.is_some() || sections.topic.is_some() || sections.values.is_some() {
        all.insert(0, Expr::Is(sections));
    }
    Ok(match all.len() {
        // A query without a filter matches nothing, as in 0.2.
        0 => Expr::Any(all),
        _ => joined(all),
    })
}

fn joined<L>(mut all: Vec<Expr<L>>) -> Expr<L> {
    match all.pop() {
        Some(only) if all.is_empty() => only,
        last => {
            all.extend(last);
            Expr::All(all)
        }
    }
}

fn connective<L>(
    place: &str,
    key: &str,
    value: Json,
    child: &dyn Fn(&str, Json) -> Result<Expr<L>>,
) -> Result<Expr<L>> {
    if key == "$not" {
        return Ok(Expr::Not(Box::new(child(place, value)?)));
    }
    let items = match value {
        Json::List(items) if !items.is_empty() => items,
        other => return refuse(place, format!("{other} is not a list of at least one")),
    };
    let children = items.into_iter().map(|item| child(place, item)).collect::<Result<Vec<_>>>()?;
    Ok(if key == "$and" { Expr::All(children) } else { Expr::Any(children) })
}

/// Parses one key of a filter object.
type Leaf<'a, L> = &'a dyn Fn(&str, &str, Json) -> Result<Option<Expr<L>>>;

/// A filter object; `None` if it is empty.
fn filter<L: Conditional>(place: &str, json: Json, leaf: Leaf<'_, L>) -> Result<Option<Expr<L>>> {
    let mut all = Vec::new();
    for (key, value) in object(place, json)? {
        let place = below(place, &key);
        match key.as_str() {
            "$and" | "$or" | "$not" => {
                let child = |place: &str, value| match filter(place, value, leaf)? {
                    Some(child) => Ok(child),
                    None => refuse(place, "an empty filter says nothing; name a field or leave it out"),
                };
                all.push(match connective(&place, &key, value, &child)? {
                    Expr::Any(children) => any_of(children),
                    other => other,
                });
            }
            _ if key.starts_with('$') => {
                let problem = format!("`{}` does not join filters; use {CONNECTIVES}", shortened(&key));
                return refuse(&place, problem);
            }
            _ => all.extend(leaf(&place, &key, value)?),
        }
    }
    Ok((!all.is_empty()).then(|| joined(all)))
}

fn is(field: Field, test: Test) -> Option<Expr<Condition>> {
    Some(Expr::Is(Condition { field, test }))
}

fn sequence_field(place: &str, key: &str, value: Json) -> Result<Option<Expr<Condition>>> {
    match key {
        "name" => Ok(is(Field::Name, text(place, test(place, value)?)?)),
        "created_timestamp" => Ok(is(Field::CreatedNs, integer(place, test(place, value)?)?)),
        "user_metadata" => filter(place, value, &metadata_path),
        _ => refuse(place, "sequences have `name`, `created_timestamp`, `user_metadata`"),
    }
}

fn topic_field(place: &str, key: &str, value: Json) -> Result<Option<Expr<Condition>>> {
    match key {
        "ontology_tag" => Ok(is(Field::OntologyTag, text(place, test(place, value)?)?)),
        "serialization_format" => Ok(is(Field::SerializationFormat, text(place, test(place, value)?)?)),
        "name" => Ok(is(Field::Name, bare(text(place, test(place, value)?)?))),
        "created_timestamp" | "user_metadata" => sequence_field(place, key, value),
        _ => refuse(
            place,
            "topics have `name`, `created_timestamp`, `ontology_tag`, `serialization_format`, `user_metadata`",
        ),
    }
}

fn metadata_path(place: &str, key: &str, value: Json) -> Result<Option<Expr<Condition>>> {
    if let Json::Object(entries) = &value
        && let [(inner, Json::Object(_))] = &entries[..]
        && !inner.starts_with('$')
    {
        return refuse(place, format!("`{inner}` is not an operator; write the path as `{key}.{inner}`"));
    }
    Ok(is(Field::Metadata(key.to_owned()), test(place, value)?))
}

fn ontology(place: &str, json: Json) -> Result<(Option<Expr<ValueCondition>>, bool)> {
    const RANGE: &str = "include_timestamp_range";
    let mut ranges = false;
    let mut rest = Vec::new();
    for (key, value) in object(place, json)? {
        match value {
            // The 0.2 builders may send null for "not given".
            Json::Null if key == RANGE => {}
            value if key == RANGE => ranges = flag(&below(place, &key), &value)?,
            value => rest.push((key, value)),
        }
    }
    let leaf = |place: &str, key: &str, value| match key.split_once('.') {
        Some((tag, path)) if !tag.is_empty() && !path.is_empty() => {
            let condition = ValueCondition { key: key.to_owned(), test: test(place, value)? };
            Ok(Some(Expr::Is(condition)))
        }
        _ if key == RANGE => refuse(place, format!("`{RANGE}` belongs to the top of the section")),
        _ => refuse(place, "this does not name a field; write `<tag>.<field>`, such as `imu.timestamp_ns`"),
    };
    Ok((filter(place, Json::Object(rest), &leaf)?, ranges))
}

/// An object with one operator.
fn test(place: &str, json: Json) -> Result<Test> {
    let Json::Object(mut entries) = json else {
        return refuse(place, format!("{json} is not a condition; write {{\"$eq\": {json}}}"));
    };
    let Some((operator, value)) = entries.pop().filter(|_| entries.is_empty()) else {
        return refuse(
            place,
            format!("a condition has exactly one operator; join several with {CONNECTIVES}"),
        );
    };
    let place = &below(place, &operator);
    Ok(match operator.as_str() {
        "$eq" => {
            let value = scalar(place, value)?;
            Test::Within(Bound::Included(value.clone()), Bound::Included(value))
        }
        "$neq" => Test::Differs(scalar(place, value)?),
        "$lt" => Test::Within(Bound::Unbounded, Bound::Excluded(ordered(place, value)?)),
        "$leq" => Test::Within(Bound::Unbounded, Bound::Included(ordered(place, value)?)),
        "$gt" => Test::Within(Bound::Excluded(ordered(place, value)?), Bound::Unbounded),
        "$geq" => Test::Within(Bound::Included(ordered(place, value)?), Bound::Unbounded),
        "$between" => between(place, value)?,
        "$in" => one_of(place, value)?,
        "$match" => match value {
            Json::Text(pattern) => Test::Contains(pattern),
            other => return refuse(place, format!("{other} is not a text")),
        },
        "$ex" | "$nex" if value != Json::Null => {
            return refuse(place, format!("{value} is not null, the only value of `{operator}`"));
        }
        "$ex" => Test::Exists,
        "$nex" => Test::Missing,
        _ => return refuse(place, format!("there is no operator of this name; use one of {OPERATORS}")),
    })
}

fn scalar(place: &str, json: Json) -> Result<Scalar> {
    match json {
        Json::Bool(value) => Ok(Scalar::Bool(value)),
        Json::Number(value) => Ok(Scalar::Number(value)),
        Json::Text(value) => Ok(Scalar::Text(value)),
        Json::Null => refuse(place, "nothing equals null; use `$ex` or `$nex`"),
        other => refuse(place, format!("{other} is neither number, text nor boolean")),
    }
}

fn ordered(place: &str, json: Json) -> Result<Scalar> {
    match scalar(place, json)? {
        Scalar::Bool(value) => refuse(place, format!("{value} has no order; use a number or a text")),
        value => Ok(value),
    }
}

fn between(place: &str, json: Json) -> Result<Test> {
    let (low, high) = match json {
        Json::List(items) => match <[Json; 2]>::try_from(items) {
            Ok([low, high]) => (ordered(place, low)?, ordered(place, high)?),
            Err(items) => return refuse(place, format!("two bounds are needed, not {}", items.len())),
        },
        other => return refuse(place, format!("{other} is not a list of two bounds")),
    };
    match low.view().compare(&high.view()) {
        None => refuse(place, "the bounds are of different types; use two numbers or two texts"),
        Some(order) if order.is_gt() => refuse(place, "the range is empty; put the lower bound first"),
        Some(_) => Ok(Test::Within(Bound::Included(low), Bound::Included(high))),
    }
}

fn one_of(place: &str, json: Json) -> Result<Test> {
    let items = match json {
        Json::List(items) if !items.is_empty() => items,
        other => return refuse(place, format!("{other} is not a list of at least one value")),
    };
    let mut values = items.into_iter().map(|item| scalar(place, item)).collect::<Result<Vec<_>>>()?;
    values.sort_by(|a, b| a.view().sort_order(&b.view()));
    Ok(Test::OneOf(values))
}

/// Checks that `good` accepts all constants of a test.
fn constants(test: &Test, good: impl Fn(&Scalar) -> bool) -> bool {
    match test {
        Test::Within(low, high) => [low, high].iter().all(|bound| match bound {
            Bound::Included(value) | Bound::Excluded(value) => good(value),
            Bound::Unbounded => true,
        }),
        Test::Differs(value) => good(value),
        Test::OneOf(values) => values.iter().all(good),
        Test::Contains(_) | Test::Exists | Test::Missing => true,
    }
}

fn text(place: &str, test: Test) -> Result<Test> {
    if constants(&test, |value| matches!(value, Scalar::Text(_))) {
        return Ok(test);
    }
    refuse(place, "this field is a text; compare it with texts")
}

/// Topic names may be written with a leading `/`.
fn bare(test: Test) -> Test {
    fn cut(value: Scalar) -> Scalar {
        match value {
            Scalar::Text(text) if text.starts_with('/') => Scalar::Text(text[1..].to_owned()),
            value => value,
        }
    }
    match test {
        Test::Within(low, high) => Test::Within(low.map(cut), high.map(cut)),
        Test::Differs(value) => Test::Differs(cut(value)),
        Test::OneOf(values) => {
            let mut values: Vec<Scalar> = values.into_iter().map(cut).collect();
            values.sort_by(|a, b| a.view().sort_order(&b.view()));
            Test::OneOf(values)
        }
        test => test,
    }
}

fn integer(place: &str, test: Test) -> Result<Test> {
    if matches!(test, Test::Contains(_)) {
        return refuse(place, "`$match` is for texts; this field is an integer, in ns");
    }
    if constants(&test, |value| matches!(value, Scalar::Number(Number::Int(_)))) {
        return Ok(test);
    }
    refuse(place, "this field is an integer, in ns; compare it with integers")
}

#[cfg(test)]
mod tests;
