//! Rows under construction.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, make_array};
use arrow::datatypes::SchemaRef;

use crate::columns::{Column, ColumnError};
use crate::error::Result;

/// Rows under construction: one [`Column`] per field of a schema.
#[derive(Debug)]
pub struct RowBuffer {
    schema: SchemaRef,
    columns: Vec<Column>,
    rows: usize,
    /// Bytes of each row, without those of variable size.
    row_width: usize,
    /// The paths of the columns whose rows differ in size. They are few, so that the size is known after each row.
    variable: Vec<Vec<usize>>,
}

impl RowBuffer {
    /// An empty buffer for `schema`.
    ///
    /// # Errors
    /// [`ColumnError::Unsupported`] if a column cannot be built row by row.
    pub fn new(schema: SchemaRef) -> Result<Self, ColumnError> {
        let columns: Vec<_> = schema.fields().iter().map(Column::new).collect::<Result<_, _>>()?;
        let row_width = columns.iter().map(Column::row_width).sum();
        let mut variable = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            column.add_variable(&mut vec![index], &mut variable);
        }
        Ok(Self { schema, columns, rows: 0, row_width, variable })
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        let variable = |path: &Vec<usize>| self.columns[path[0]].below(&path[1..]).variable_bytes();
        self.rows * self.row_width + self.variable.iter().map(variable).sum::<usize>()
    }

    /// Appends one row through `append`, which fills every column once; if it fails, the row is rolled back
    /// completely.
    ///
    /// # Errors
    /// The error of `append`.
    pub fn push<E>(&mut self, append: impl FnOnce(&mut [Column]) -> Result<(), E>) -> Result<(), E> {
        let outcome = append(&mut self.columns);
        match outcome {
            Ok(()) => self.rows += 1,
            Err(_) => self.columns.iter_mut().for_each(|column| column.truncate(self.rows)),
        }
        outcome
    }

    /// Takes the rows out and leaves an empty buffer.
    pub fn take(&mut self) -> RawRows {
        let bytes = self.bytes();
        let fresh = self
            .schema
            .fields()
            .iter()
            .map(Column::new)
            .collect::<Result<_, _>>()
            .expect("the same schema was accepted before");
        let columns = std::mem::replace(&mut self.columns, fresh);
        let rows = std::mem::take(&mut self.rows);
        RawRows { schema: Arc::clone(&self.schema), columns, rows, bytes }
    }
}

/// Rows cut from a [`RowBuffer`], not yet a batch: the (small) rest of the work does not run on the pushing
/// thread.
#[derive(Debug)]
pub struct RawRows {
    schema: SchemaRef,
    columns: Vec<Column>,
    /// Number of rows.
    pub rows: usize,
    /// Their size.
    pub bytes: usize,
}

impl RawRows {
    /// Assembles the batch.
    ///
    /// # Errors
    /// If the columns contradict the schema, which only a bug can cause.
    pub fn into_batch(self) -> Result<RecordBatch> {
        let arrays = self
            .columns
            .into_iter()
            .map(|column| column.into_data().map(make_array))
            .collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        Ok(RecordBatch::try_new_with_options(self.schema, arrays, &options)?)
    }
}

#[cfg(test)]
mod tests;
