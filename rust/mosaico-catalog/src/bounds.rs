//! Conditions on rows as far as the bounds of chunks tell: topics come out that may hold such a row.

use std::collections::BTreeSet;

use mosaico_wire::query::Expr;
use sea_query::{ExprTrait, Query};
use serde_json::json;

use crate::fragments::{NUL, of_expr};
use crate::sql::{Sql, all, any, in_list};

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

/// `t` has one of these tags.
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
            // Texts that are too long have no bounds.
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

/// A number moved towards `side` by more than what rounding moves a number.
pub(crate) fn widened(number: f64, side: f64) -> f64 {
    if number.is_infinite() { number } else { number + side * (number.abs() * 1e-14 + f64::MIN_POSITIVE) }
}
