//! Conditions on rows, evaluated on the bounds (zone maps) of chunks: they select the topics that may have
//! such a row.

use std::collections::BTreeSet;

use mosaico_wire::query::Expr;
use sea_query::{ExprTrait, Query};
use serde_json::json;

use crate::fragments::{NUL, of_expr};
use crate::sql::{Sql, all, any, in_list};

/// Topics of one tag and schema that may have matching rows, judged by their bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    pub tag: String,
    /// See [`crate::Catalog::kinds`].
    pub schema: i64,
    /// Number of columns of the schema that have bounds. A topic with a chunk that has fewer is always
    /// selected.
    pub bounded: usize,
    pub overlaps: Expr<Overlap>,
}

/// Condition: a chunk of the topic has values in a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlap {
    /// Names from the top-level column down to the leaf.
    pub column: Vec<String>,
    pub range: Range,
}

/// A range, both ends inclusive.
#[derive(Debug, Clone, PartialEq)]
pub enum Range {
    /// Range of numbers, or of booleans as 0 and 1.
    Numbers(f64, f64),
    /// Range of texts; `None` is unbounded.
    Texts(Option<String>, Option<String>),
}

impl Overlap {
    /// The condition that every topic satisfies.
    pub const ANY: Expr<Self> = Expr::All(Vec::new());
    /// The condition that no topic satisfies.
    pub const NONE: Expr<Self> = Expr::Any(Vec::new());
}

/// Condition: `t` is of one of these kinds and may have matching rows.
pub(crate) fn has_kind<'a>(kinds: impl Iterator<Item = &'a Kind>) -> Sql {
    let (mut whole_tags, mut ways) = (BTreeSet::new(), Vec::new());
    for Kind { tag, schema, bounded, overlaps } in kinds {
        if *overlaps == Overlap::ANY {
            whole_tags.insert(tag.as_str());
        } else if *overlaps != Overlap::NONE {
            let is_open = Sql::col(("t", "bounded")).lt(*bounded as i64);
            let is_kind =
                Sql::col(("t", "ontology_tag")).eq(tag).and(Sql::col(("t", "schema_id")).eq(*schema));
            ways.push(is_kind.and(is_open.or(of_expr(overlaps, &overlaps_range))));
        }
    }
    let whole = (!whole_tags.is_empty()).then(|| has_tag(whole_tags));
    any(ways.into_iter().chain(whole))
}

/// Condition: `t` has one of these tags.
pub(crate) fn has_tag(tags: BTreeSet<&str>) -> Sql {
    in_list(("t", "ontology_tag"), &Vec::from_iter(tags))
}

fn overlaps_range(Overlap { column, range }: &Overlap) -> Sql {
    let column = Sql::col(("b", "path")).eq(json!(column).to_string());
    let values = match range {
        Range::Numbers(low, high) => {
            let low = Sql::col(("b", "high")).gte(widened(*low, -1.0));
            Sql::col(("b", "low")).lte(widened(*high, 1.0)).and(low)
        }
        Range::Texts(low, high) => {
            let known = |bound: &Option<String>| bound.clone().filter(|bound| !bound.contains(NUL));
            let low = known(low).map(|low| Sql::col(("b", "hi")).gte(low));
            let high = known(high).map(|high| Sql::col(("b", "lo")).lte(high));
            // Texts above the length limit have no bounds.
            let is_long = Sql::col(("b", "lo")).is_null();
            Sql::cust("b.kind = 'text'").and(is_long.or(all(high.into_iter().chain(low))))
        }
    };
    let topics = Query::select()
        .column(("b", "topic_id"))
        .from_as("chunk_column", "b")
        .and_where(column.and(values))
        .take();
    Sql::col(("t", "id")).in_subquery(topics)
}

/// Moves a number towards `side` by more than the rounding error.
pub(crate) fn widened(number: f64, side: f64) -> f64 {
    if number.is_infinite() { number } else { number + side * (number.abs() * 1e-14 + f64::MIN_POSITIVE) }
}
