//! What conditions of several kinds are composed of.

use mosaico_wire::query::Expr;

use crate::sql::{Sql, all, always, any};

/// Postgres has no texts with this character.
pub(crate) const NUL: char = '\0';

pub(crate) fn of_expr<L>(expr: &Expr<L>, leaf: &impl Fn(&L) -> Sql) -> Sql {
    match expr {
        Expr::Is(condition) => leaf(condition),
        // What may match is no complement of what may match.
        Expr::Not(_) => always(),
        Expr::All(children) => all(children.iter().map(|child| of_expr(child, leaf))),
        Expr::Any(children) => any(children.iter().map(|child| of_expr(child, leaf))),
    }
}
