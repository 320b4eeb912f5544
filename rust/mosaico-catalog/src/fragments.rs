//! Pieces of SQL that several statements are composed of.

use mosaico_wire::query::Expr;

use crate::sql::Statement as Sql;

/// Postgres has no texts with this character.
pub(crate) const NUL: char = '\0';

pub(crate) const LIST: &str = "(SELECT value FROM json_each(";

/// The items of `LIST`.
pub(crate) fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    serde_json::json!(items).to_string()
}

pub(crate) fn push_expr<L>(sql: &mut Sql, expr: &Expr<L>, leaf: &mut impl FnMut(&mut Sql, &L)) {
    match expr {
        Expr::Is(condition) => leaf(sql, condition),
        // What may match is no complement of what may match.
        Expr::Not(_) => drop(sql.push("TRUE")),
        Expr::All(children) => push_joined(sql, children, ("TRUE", " AND "), leaf),
        Expr::Any(children) => push_joined(sql, children, ("FALSE", " OR "), leaf),
    }
}

fn push_joined<L>(
    sql: &mut Sql,
    children: &[Expr<L>],
    (empty, and): (&str, &str),
    leaf: &mut impl FnMut(&mut Sql, &L),
) {
    sql.push("(").push(empty);
    for child in children {
        sql.push(and);
        push_expr(sql, child, leaf);
    }
    sql.push(")");
}
