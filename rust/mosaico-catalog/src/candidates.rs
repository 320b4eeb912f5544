//! Conditions of queries as SQL. The SQL selects all rows that may match and few others; the caller evaluates
//! the exact condition on these rows. Users' texts are bound parameters, never part of the SQL text.

use std::ops::Bound;

use mosaico_wire::query::{Condition, Expr, Field, Number, Scalar, Test};
use sea_query::{ExprTrait, LikeExpr, Query};

use crate::bounds::{Kind, has_kind, has_tag, widened};
use crate::fragments::{NUL, of_expr};
use crate::metadata::{Owner, indexed_text, is_indexed};
use crate::sql::{ColumnName, Sql, all, always, any, in_list, never};

/// Longest pattern for the database; SQLite has a limit of its own.
const MAX_PATTERN_BYTES: usize = 4096;

/// The conditions of one query object.
#[derive(Debug)]
pub struct CandidateQuery<'a> {
    pub sequence: Option<&'a Expr<Condition>>,
    pub topic: Option<&'a Expr<Condition>>,
    /// Conditions on rows as alternatives. Each alternative requires topics of several kinds in one sequence:
    /// one kind out of each list.
    pub rows: Option<Vec<Vec<&'a [Kind]>>>,
}

/// Sequences `s` that may have matching topics.
pub(crate) fn sequences(select: &Expr<CandidateQuery<'_>>) -> Sql {
    of_expr(select, &|wanted| {
        let topics = match &wanted.rows {
            Some(ways) => {
                let holds_all =
                    |way: &Vec<&[Kind]>| all(way.iter().map(|kinds| holds_topic(wanted, Some(kinds))));
                any(ways.iter().map(holds_all))
            }
            None if wanted.topic.is_some() => holds_topic(wanted, None),
            None => always(),
        };
        of_conditions(Owner::Sequence, wanted.sequence).and(topics)
    })
}

fn holds_topic(wanted: &CandidateQuery<'_>, kinds: Option<&[Kind]>) -> Sql {
    let topics = Query::select()
        .column(("t", "sequence_id"))
        .from_as("topic", "t")
        .and_where(of_conditions(Owner::Topic, wanted.topic))
        .and_where_option(kinds.map(|kinds| has_kind(kinds.iter())))
        .take();
    Sql::col(("s", "id")).in_subquery(topics)
}

/// Topics `t` that may match; without `by_bounds`, only tags and columns of the topic's row are evaluated.
pub(crate) fn topics(wanted: &CandidateQuery<'_>, by_bounds: bool) -> Sql {
    let rows = wanted.rows.as_ref().map(|ways| {
        let kinds = ways.iter().flatten().copied().flatten();
        if by_bounds { has_kind(kinds) } else { has_tag(kinds.map(|kind| kind.tag.as_str()).collect()) }
    });
    all([of_conditions(Owner::Topic, wanted.topic)].into_iter().chain(rows))
}

fn of_conditions(table: Owner, conditions: Option<&Expr<Condition>>) -> Sql {
    conditions
        .map_or_else(always, |conditions| of_expr(conditions, &|condition| of_condition(table, condition)))
}

fn of_condition(table: Owner, Condition { field, test }: &Condition) -> Sql {
    match (field, table) {
        (Field::Name, Owner::Sequence) => of_text(("s", "name"), test),
        (Field::Name, Owner::Topic) => match test {
            Test::Contains(pattern) => contains(Sql::cust("'/' || t.path"), pattern),
            test => of_text(("t", "path"), test),
        },
        (Field::OntologyTag, _) => of_text(("t", "ontology_tag"), test),
        (Field::SerializationFormat, _) => of_text(("t", "serialization_format"), test),
        (Field::CreatedNs, Owner::Sequence) => of_time(("s", "created_ns"), test),
        (Field::CreatedNs, Owner::Topic) => of_time(("t", "created_ns"), test),
        (Field::Metadata(path), table) => of_metadata(table, path, test),
    }
}

fn of_text(column: ColumnName, test: &Test) -> Sql {
    let text = |bound: &Bound<Scalar>| match bound {
        Bound::Included(Scalar::Text(text)) | Bound::Excluded(Scalar::Text(text)) => {
            Some(text.clone()).filter(|text| !text.contains(NUL))
        }
        _ => None,
    };
    match test {
        Test::Within(low, high) => match (text(low), text(high)) {
            (Some(low), Some(high)) if low == high => Sql::col(column).eq(low),
            (low, high) => within(column, low, high),
        },
        Test::OneOf(values) => {
            let texts = values.iter().filter_map(|value| match value {
                Scalar::Text(text) => Some(text),
                _ => None,
            });
            let texts: Vec<&String> = texts.collect();
            if texts.iter().any(|text| text.contains(NUL)) { always() } else { in_list(column, &texts) }
        }
        Test::Contains(pattern) => contains(Sql::col(column), pattern),
        Test::Missing => never(),
        Test::Differs(_) | Test::Exists => always(),
    }
}

/// Condition: the column lies between both limits; `None` is unbounded.
fn within<T: Into<Sql>>(column: ColumnName, low: Option<T>, high: Option<T>) -> Sql {
    let low = low.map(|low| Sql::col(column).gte(low));
    let high = high.map(|high| Sql::col(column).lte(high));
    all(low.into_iter().chain(high))
}

/// SQLite's `LIKE` ignores the case of ASCII letters, so it selects more rows.
fn contains(text: Sql, pattern: &str) -> Sql {
    let escapes = pattern.chars().rev().take_while(|c| *c == '\\').count();
    if pattern.len() > MAX_PATTERN_BYTES || escapes % 2 == 1 || pattern.contains(NUL) {
        return always();
    }
    text.like(LikeExpr::new(format!("%{pattern}%")).escape('\\'))
}

fn of_time(column: ColumnName, test: &Test) -> Sql {
    let time = |bound: &Bound<Scalar>| match bound {
        Bound::Included(Scalar::Number(Number::Int(time)))
        | Bound::Excluded(Scalar::Number(Number::Int(time))) => {
            Some((*time).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
        }
        _ => None,
    };
    match test {
        Test::Within(low, high) => within(column, time(low), time(high)),
        Test::Missing => never(),
        _ => always(),
    }
}

fn of_metadata(table: Owner, path: &str, test: &Test) -> Sql {
    if *test == Test::Missing || !is_indexed(path) {
        return always();
    }
    let (id, index) = match table {
        Owner::Sequence => (("s", "id"), "sequence_metadata"),
        Owner::Topic => (("t", "id"), "topic_metadata"),
    };
    let (low, high) = match test {
        Test::Within(low, high) => (indexed(low, -1.0), indexed(high, 1.0)),
        Test::OneOf(values) => match (values.first(), values.last()) {
            (Some(Scalar::Number(_)), Some(Scalar::Number(_))) | (Some(Scalar::Text(_)), _) => {
                let bound = |value: Option<&Scalar>| value.cloned().map_or(Bound::Unbounded, Bound::Included);
                (indexed(&bound(values.first()), -1.0), indexed(&bound(values.last()), 1.0))
            }
            _ => (None, None),
        },
        _ => (None, None),
    };
    let owners = Query::select()
        .column("owner")
        .from(index)
        .and_where(Sql::col("path").eq(path))
        .and_where_option(low.map(|low| Sql::col(low.column()).gte(low)))
        .and_where_option(high.map(|high| Sql::col(high.column()).lte(high)))
        .take();
    Sql::col(id).in_subquery(owners)
}

/// A bound in the form of the index.
enum Indexed {
    Number(f64),
    Text(String),
}

impl Indexed {
    fn column(&self) -> &'static str {
        match self {
            Self::Number(_) => "number",
            Self::Text(_) => "text",
        }
    }
}

impl From<Indexed> for Sql {
    fn from(value: Indexed) -> Self {
        match value {
            Indexed::Number(number) => number.into(),
            Indexed::Text(text) => text.into(),
        }
    }
}

/// Widens a bound towards `side` by the difference that parsing a number twice can cause; shortens texts as
/// the index does.
fn indexed(bound: &Bound<Scalar>, side: f64) -> Option<Indexed> {
    let (Bound::Included(value) | Bound::Excluded(value)) = bound else { return None };
    Some(match value {
        Scalar::Bool(value) => Indexed::Number(f64::from(u8::from(*value))),
        Scalar::Text(text) => Indexed::Text(indexed_text(text)),
        Scalar::Number(number) => {
            let float = match number {
                Number::Int(value) => *value as f64,
                Number::Float(value) => *value,
            };
            Indexed::Number(widened(float, side))
        }
    })
}
