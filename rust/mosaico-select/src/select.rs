use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use mosaico_wire::query::QueryError;
use mosaico_wire::select::Selection;

use crate::check::Verdict;
use crate::filter::{RowExpr, below_tag, compile, matching, verdict};
use crate::project::{ColumnError, Projection};

/// Why a selection was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Its columns.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// Its condition.
    #[error(transparent)]
    Where(#[from] QueryError),
}

/// A selection compiled for the schema of one topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// The columns to return.
    pub projection: Projection,
    /// The condition on rows.
    pub filter: Option<RowExpr>,
}

impl Select {
    /// Selects everything.
    pub fn all(schema: &Schema) -> Self {
        Self { projection: Projection::all(schema), filter: None }
    }

    /// Compiles `selection` for a topic of this tag and schema.
    ///
    /// # Errors
    /// The schema has no such column, or the condition cannot be parsed.
    pub fn new(selection: &Selection, tag: &str, schema: &Schema) -> Result<Self, SelectError> {
        let projection = match &selection.columns {
            Some(paths) => Projection::new(schema, paths)?,
            None => Projection::all(schema),
        };
        let values = selection.conditions()?;
        let filter = values.map(|values| compile(schema, &below_tag(&values, tag)));
        let certain = |filter: &RowExpr| verdict(filter, &|_, _| Verdict::Maybe);
        let filter = filter.filter(|filter| certain(filter) != Verdict::All);
        Ok(Self { projection, filter })
    }

    /// Whether no row of any contents can match.
    pub fn is_nothing(&self) -> bool {
        self.filter.as_ref().is_some_and(|filter| verdict(filter, &|_, _| Verdict::Maybe) == Verdict::None)
    }

    /// The schema of the selected columns.
    pub fn schema(&self) -> &SchemaRef {
        self.projection.schema()
    }

    /// The selected rows and columns of a complete batch.
    ///
    /// # Errors
    /// The batch has another schema.
    pub fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = self.projection.apply(batch)?;
        match &self.filter {
            None => Ok(columns),
            Some(filter) => filter_record_batch(&columns, &BooleanArray::new(matching(filter, batch), None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;
    use serde_json::{Value, json};

    use super::*;

    fn found(columns: Option<&[&str]>, condition: Value) -> (usize, Vec<i64>) {
        let column = |values: Vec<Option<i64>>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
        let times = column(vec![Some(0), Some(1), Some(2), Some(3)]);
        let values = column(vec![Some(9), None, Some(4), Some(5)]);
        let batch = RecordBatch::try_from_iter([("timestamp_ns", times), ("v", values)]).unwrap();
        let columns = columns.map(|columns| columns.iter().map(|path| (*path).to_owned()).collect());
        let selection = Selection { columns, condition: Some(condition) };
        let select = Select::new(&selection, "a.b", &batch.schema()).unwrap();
        let found = select.apply(&batch).unwrap();
        (found.num_columns(), found["timestamp_ns"].as_primitive::<Int64Type>().values().to_vec())
    }

    #[test]
    fn rows_are_found_by_columns_that_are_not_handed_out() {
        assert_eq!(found(Some(&[]), json!({"a.b.v": {"$gt": 4}})), (1, vec![0, 3]));
        assert_eq!(found(None, json!({"$not": {"a.b.v": {"$gt": 4}}})), (2, vec![1, 2]));
    }

    #[test]
    fn fields_of_other_classes_are_missing() {
        assert!(found(None, json!({"c.v": {"$lt": 100}})).1.is_empty());
        assert_eq!(found(None, json!({"c.v": {"$nex": null}})).1, [0, 1, 2, 3]);
        assert_eq!(found(None, json!({"$not": {"c.v": {"$lt": 100}}})).1, [0, 1, 2, 3]);
        assert_eq!(found(None, json!({"$or": [{"c.v": {"$eq": 1}}, {"a.b.v": {"$eq": 5}}]})).1, [3]);
    }
}
