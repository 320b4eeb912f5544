//! Conditions on rows as far as the bounds of chunks tell: topics come out that may hold such a row.

use std::collections::BTreeSet;

use mosaico_wire::query::Expr;
use serde_json::json;

use crate::fragments::{LIST, NUL, list, push_expr};
use crate::sql::Statement as Sql;

/// Topics of one tag and schema, as far as they may hold rows that match.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    pub tag: String,
    /// See [`crate::Catalog::kinds`].
    pub schema: i64,
    /// How many columns of the schema have bounds. Topics with a chunk that has fewer come out, whatever is asked.
    pub bounded: usize,
    pub overlaps: Expr<Overlap>,
}

/// Some chunk of the topic has values in a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap {
    /// Names from the top-level column down to the leaf.
    pub column: Vec<String>,
    pub range: Range,
}

/// A range, both ends inclusive.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// Of numbers, or of booleans as 0 and 1.
    Numbers(f64, f64),
    /// Of texts; `None` is without end.
    Texts(Option<String>, Option<String>),
}

impl Overlap {
    /// What every topic satisfies.
    pub const ANY: Expr<Self> = Expr::All(Vec::new());
    /// What no topic satisfies.
    pub const NONE: Expr<Self> = Expr::Any(Vec::new());
}

/// `t` is of one of these kinds and may hold rows that match.
pub(crate) fn push_kinds<'a>(sql: &mut Sql, kinds: impl Iterator<Item = &'a Kind>) {
    let (mut whole_tags, mut or) = (BTreeSet::new(), "(");
    for Kind { tag, schema, bounded, overlaps } in kinds {
        if *overlaps == Overlap::ANY {
            whole_tags.insert(tag.as_str());
        } else if *overlaps != Overlap::NONE {
            sql.push(or).push("(t.ontology_tag = ").push_bind(tag.clone());
            sql.push(" AND t.schema_id = ").push_bind(*schema);
            sql.push(" AND (t.bounded < ").push_bind(*bounded as i64).push(" OR ");
            push_expr(sql, overlaps, &mut push_overlap);
            sql.push("))");
            or = " OR ";
        }
    }
    if !whole_tags.is_empty() {
        sql.push(or);
        push_tags(sql, &whole_tags);
        or = " OR ";
    }
    sql.push(if or == "(" { "FALSE" } else { ")" });
}

/// `t` has one of these tags.
pub(crate) fn push_tags(sql: &mut Sql, tags: &BTreeSet<&str>) {
    let tags: Vec<_> = tags.iter().collect();
    sql.push("t.ontology_tag IN ").push(LIST).push_bind(list(&tags)).push("))");
}

fn push_overlap(sql: &mut Sql, Overlap { column, range }: &Overlap) {
    sql.push("t.id IN (SELECT b.topic_id FROM chunk_column b WHERE b.path = ");
    sql.push_bind(json!(column).to_string());
    match range {
        Range::Numbers(low, high) => {
            sql.push(" AND b.low <= ").push_bind(widened(*high, 1.0));
            sql.push(" AND b.high >= ").push_bind(widened(*low, -1.0));
        }
        Range::Texts(low, high) => {
            // Texts that are too long have no bounds.
            sql.push(" AND b.kind = 'text' AND (b.lo IS NULL OR (TRUE");
            for (bound, operator) in [(high, " AND b.lo <= "), (low, " AND b.hi >= ")] {
                if let Some(bound) = bound.as_ref().filter(|bound| !bound.contains(NUL)) {
                    sql.push(operator).push_bind(bound.clone());
                }
            }
            sql.push("))");
        }
    }
    sql.push(")");
}

/// A number moved towards `side` by more than what rounding moves a number.
pub(crate) fn widened(number: f64, side: f64) -> f64 {
    if number.is_infinite() { number } else { number + side * (number.abs() * 1e-14 + f64::MIN_POSITIVE) }
}
