//! Conditions on the rows of one topic: made ready for its schema, judged by what is known, run over batches.

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema;
use mosaico_wire::query::{Expr, Test, ValueCondition};

use crate::check::{LeafCheck, Verdict};
use crate::columns::{Column, find};

/// A test of a field, by its path below the tag.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldTest {
    /// Dotted.
    pub path: String,
    /// What has to hold.
    pub test: Test,
}

/// A test that is ready for one schema; `None`: the schema has no such field.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTest {
    /// Where the field lies.
    pub column: Option<Column>,
    /// What it has to pass.
    pub check: LeafCheck,
}

/// Conditions on rows that are ready for one schema.
pub type RowExpr = Expr<RowTest>;

/// Makes conditions ready for a schema.
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

/// What `judge` knows about the fields, put together.
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

/// What conditions say about the rows of topics with one tag: the fields of other tags are missing there.
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
