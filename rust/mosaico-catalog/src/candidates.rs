//! Conditions of queries as SQL that lets through whatever may match, and mostly nothing else. Users' texts are bound,
//! never pasted; the exact decision is made on the rows that come out.

use std::ops::Bound;

use mosaico_wire::query::{Condition, Expr, Field, Number, Scalar, Test};

use crate::bounds::{Kind, push_kinds, push_tags, widened};
use crate::fragments::{LIST, NUL, list, push_expr};
use crate::metadata::{Owner, indexed_text, is_indexed};
use crate::sql::Statement as Sql;

/// Longest pattern that is handed to the database; SQLite has a limit of its own.
const MAX_PATTERN_BYTES: usize = 4096;

/// What one query object asks for.
#[derive(Debug)]
pub struct Wanted<'a> {
    pub sequence: Option<&'a Expr<Condition>>,
    pub topic: Option<&'a Expr<Condition>>,
    /// Conditions on rows: ways to satisfy them. Each needs topics of several kinds in one sequence: one out of each
    /// list.
    pub rows: Option<Vec<Vec<&'a [Kind]>>>,
}

/// `s` may hold matching topics.
pub(crate) fn push_sequences(sql: &mut Sql, select: &Expr<Wanted<'_>>) {
    push_expr(sql, select, &mut |sql, wanted| {
        sql.push("(");
        push_conditions(sql, Owner::Sequence, wanted.sequence);
        match &wanted.rows {
            Some(ways) => {
                sql.push(" AND (FALSE");
                for way in ways {
                    sql.push(" OR (TRUE");
                    for kinds in way {
                        push_holds_topic(sql, wanted, Some(kinds));
                    }
                    sql.push(")");
                }
                sql.push(")");
            }
            None if wanted.topic.is_some() => push_holds_topic(sql, wanted, None),
            None => {}
        }
        sql.push(")");
    });
}

fn push_holds_topic(sql: &mut Sql, wanted: &Wanted<'_>, kinds: Option<&[Kind]>) {
    sql.push(" AND s.id IN (SELECT t.sequence_id FROM topic t WHERE ");
    push_conditions(sql, Owner::Topic, wanted.topic);
    if let Some(kinds) = kinds {
        sql.push(" AND ");
        push_kinds(sql, kinds.iter());
    }
    sql.push(")");
}

/// `t` may match; without `by_bounds` as far as its tag tells.
pub(crate) fn push_topics(sql: &mut Sql, wanted: &Wanted<'_>, by_bounds: bool) {
    push_conditions(sql, Owner::Topic, wanted.topic);
    if let Some(ways) = &wanted.rows {
        let kinds = ways.iter().flatten().copied().flatten();
        sql.push(" AND ");
        match by_bounds {
            true => push_kinds(sql, kinds),
            false => push_tags(sql, &kinds.map(|kind| kind.tag.as_str()).collect()),
        }
    }
}

fn push_conditions(sql: &mut Sql, table: Owner, conditions: Option<&Expr<Condition>>) {
    match conditions {
        Some(conditions) => push_expr(sql, conditions, &mut |sql, condition| {
            push_condition(sql, table, condition);
        }),
        None => drop(sql.push("TRUE")),
    }
}

fn push_condition(sql: &mut Sql, table: Owner, Condition { field, test }: &Condition) {
    match (field, table) {
        (Field::Name, Owner::Sequence) => push_text(sql, "s.name", test),
        (Field::Name, Owner::Topic) => match test {
            Test::Contains(pattern) => push_pattern(sql, "'/' || t.path", pattern),
            test => push_text(sql, "t.path", test),
        },
        (Field::OntologyTag, _) => push_text(sql, "t.ontology_tag", test),
        (Field::SerializationFormat, _) => push_text(sql, "t.serialization_format", test),
        (Field::CreatedNs, Owner::Sequence) => push_time(sql, "s.created_ns", test),
        (Field::CreatedNs, Owner::Topic) => push_time(sql, "t.created_ns", test),
        (Field::Metadata(path), table) => push_metadata(sql, table, path, test),
    }
}

fn push_text(sql: &mut Sql, column: &str, test: &Test) {
    let text = |bound: &Bound<Scalar>| match bound {
        Bound::Included(Scalar::Text(text)) | Bound::Excluded(Scalar::Text(text)) => {
            Some(text.clone()).filter(|text| !text.contains(NUL))
        }
        _ => None,
    };
    match test {
        Test::Within(low, high) => match (text(low), text(high)) {
            (Some(low), Some(high)) if low == high => drop(sql.push(column).push(" = ").push_bind(low)),
            (low, high) => {
                sql.push("(TRUE");
                for (bound, operator) in [(low, " >= "), (high, " <= ")] {
                    if let Some(bound) = bound {
                        sql.push(" AND ").push(column).push(operator).push_bind(bound);
                    }
                }
                sql.push(")");
            }
        },
        Test::OneOf(values) => {
            let texts = values.iter().filter_map(|value| match value {
                Scalar::Text(text) => Some(text.clone()),
                _ => None,
            });
            let texts: Vec<String> = texts.collect();
            if texts.iter().any(|text| text.contains(NUL)) {
                sql.push("TRUE");
                return;
            }
            sql.push(column).push(" IN ").push(LIST).push_bind(list(&texts)).push("))");
        }
        Test::Contains(pattern) => push_pattern(sql, column, pattern),
        Test::Missing => drop(sql.push("FALSE")),
        Test::Differs(_) | Test::Exists => drop(sql.push("TRUE")),
    }
}

/// SQLite's `LIKE` takes ASCII capitals and small letters for the same: it lets through more.
fn push_pattern(sql: &mut Sql, column: &str, pattern: &str) {
    let escapes = pattern.chars().rev().take_while(|c| *c == '\\').count();
    if pattern.len() > MAX_PATTERN_BYTES || escapes % 2 == 1 || pattern.contains(NUL) {
        sql.push("TRUE");
        return;
    }
    sql.push("(").push(column).push(") LIKE ").push_bind(format!("%{pattern}%")).push(" ESCAPE '\\'");
}

fn push_time(sql: &mut Sql, column: &str, test: &Test) {
    let time = |bound: &Bound<Scalar>| match bound {
        Bound::Included(Scalar::Number(Number::Int(time)))
        | Bound::Excluded(Scalar::Number(Number::Int(time))) => {
            Some((*time).clamp(i64::MIN.into(), i64::MAX.into()) as i64)
        }
        _ => None,
    };
    match test {
        Test::Within(low, high) => {
            sql.push("(TRUE");
            for (bound, operator) in [(time(low), " >= "), (time(high), " <= ")] {
                if let Some(bound) = bound {
                    sql.push(" AND ").push(column).push(operator).push_bind(bound);
                }
            }
            sql.push(")");
        }
        Test::Missing => drop(sql.push("FALSE")),
        _ => drop(sql.push("TRUE")),
    }
}

fn push_metadata(sql: &mut Sql, table: Owner, path: &str, test: &Test) {
    if *test == Test::Missing || !is_indexed(path) {
        sql.push("TRUE");
        return;
    }
    let (id, index) = match table {
        Owner::Sequence => ("s.id", "sequence_metadata"),
        Owner::Topic => ("t.id", "topic_metadata"),
    };
    sql.push(id).push(" IN (SELECT owner FROM ").push(index).push(" WHERE path = ");
    sql.push_bind(path.to_owned());
    let bounds = match test {
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
    for (bound, operator) in [(bounds.0, " >= "), (bounds.1, " <= ")] {
        match bound {
            Some(Indexed::Number(value)) => drop(sql.push(" AND number").push(operator).push_bind(value)),
            Some(Indexed::Text(value)) => drop(sql.push(" AND text").push(operator).push_bind(value)),
            None => {}
        }
    }
    sql.push(")");
}

/// A bound as the index has it.
enum Indexed {
    Number(f64),
    Text(String),
}

/// Widens a bound towards `side` by what reading a number twice may differ, and shortens texts as the index does.
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
