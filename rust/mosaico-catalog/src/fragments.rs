//! Building blocks of conditions of several kinds.

use mosaico_wire::query::Expr;

use crate::sql::{Sql, all, always, any};

/// Postgres does not store texts with this character.
pub(crate) const NUL: char = '\0';

pub(crate) fn of_expr<L>(expr: &Expr<L>, leaf: &impl Fn(&L) -> Sql) -> Sql {
    match expr {
        Expr::Is(condition) => leaf(condition),
        // The complement of "may match" is not "may not match": the SQL cannot exclude any row.
        Expr::Not(_) => always(),
        Expr::All(children) => all(children.iter().map(|child| of_expr(child, leaf))),
        Expr::Any(children) => any(children.iter().map(|child| of_expr(child, leaf))),
    }
}
