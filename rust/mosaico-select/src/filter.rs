//! Conditions on the rows of one topic: compiled for its schema, evaluated on statistics or on batches.

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use mosaico_wire::query::{Expr, Test, ValueCondition};

use crate::check::{LeafCheck, Verdict};
use crate::columns::{Column, find};

/// A test of a field, given by its path below the tag.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldTest {
    /// Dotted.
    pub path: String,
    /// The test.
    pub test: Test,
}

/// A test compiled for one schema; without a column if the schema has no such field.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTest {
    /// The field's column.
    pub column: Option<Column>,
    /// The test of its values.
    pub check: LeafCheck,
}

/// Conditions on rows, compiled for one schema.
pub type RowExpr = Expr<RowTest>;

/// Compiles conditions for a schema.
pub fn compile(schema: &Schema, fields: &Expr<FieldTest>) -> RowExpr {
    let each = |children: &[Expr<FieldTest>]| children.iter().map(|child| compile(schema, child)).collect();
    match fields {
        Expr::All(children) => Expr::All(each(children)),
        Expr::Any(children) => Expr::Any(each(children)),
        Expr::Not(child) => Expr::Not(Box::new(compile(schema, child))),
        Expr::Is(FieldTest { path, test: Test::Missing }) => {
            let exists = FieldTest { path: path.clone(), test: Test::Exists };
            Expr::Not(Box::new(compile(schema, &Expr::Is(exists))))
        }
        Expr::Is(FieldTest { path, test }) => {
            let column = find(schema, path);
            let check = column.as_ref().map_or(LeafCheck::Never, |column| column.check(test));
            Expr::Is(RowTest { column, check })
        }
    }
}

/// The rows of a batch that match.
pub fn matching(expr: &RowExpr, batch: &RecordBatch) -> BooleanBuffer {
    let all = || BooleanBuffer::new_set(batch.num_rows());
    let none = || BooleanBuffer::new_unset(batch.num_rows());
    match expr {
        Expr::All(children) => children.iter().fold(all(), |found, child| &found & &matching(child, batch)),
        Expr::Any(children) => children.iter().fold(none(), |found, child| &found | &matching(child, batch)),
        Expr::Not(child) => !&matching(child, batch),
        Expr::Is(RowTest { column: Some(column), check }) => column.matching(batch, check),
        Expr::Is(RowTest { column: None, .. }) => none(),
    }
}

/// Combines the verdicts of `judge` on single fields.
pub fn verdict(expr: &RowExpr, judge: &impl Fn(&Column, &LeafCheck) -> Verdict) -> Verdict {
    match expr {
        Expr::All(children) => {
            children.iter().fold(Verdict::All, |found, child| found.and(verdict(child, judge)))
        }
        Expr::Any(children) => {
            children.iter().fold(Verdict::None, |found, child| found.or(verdict(child, judge)))
        }
        Expr::Not(child) => verdict(child, judge).negated(),
        Expr::Is(RowTest { column: None, .. } | RowTest { check: LeafCheck::Never, .. }) => Verdict::None,
        Expr::Is(RowTest { column: Some(column), check }) => judge(column, check),
    }
}

/// The conditions on rows of topics with one tag: fields of other tags are missing there.
pub fn below_tag(values: &Expr<ValueCondition>, tag: &str) -> Expr<FieldTest> {
    let each =
        |children: &[Expr<ValueCondition>]| children.iter().map(|child| below_tag(child, tag)).collect();
    match values {
        Expr::All(children) => Expr::All(each(children)),
        Expr::Any(children) => Expr::Any(each(children)),
        Expr::Not(child) => Expr::Not(Box::new(below_tag(child, tag))),
        Expr::Is(ValueCondition { key, test }) => {
            match key.strip_prefix(tag).and_then(|rest| rest.strip_prefix('.')) {
                Some(path) => Expr::Is(FieldTest { path: path.to_owned(), test: test.clone() }),
                None if *test == Test::Missing => Expr::All(Vec::new()),
                None => Expr::Any(Vec::new()),
            }
        }
    }
}
