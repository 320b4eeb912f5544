//! Pushing columns: their rows take the same path as single rows.

use std::sync::Arc;

use arrow::array::{Array, MutableArrayData, RecordBatch, RecordBatchOptions, make_array};
use mosaico_select::{Mismatch, conform, data_bytes, split};
use mosaico_types::ErrorKind;

use super::Lane;
use crate::error::{Error, Result};

impl Lane {
    /// Appends the rows of all `batches` after those pushed before, matched by column name: missing columns
    /// are null, others are cast without loss. Waits piece by piece while the queue is over its limit.
    ///
    /// All columns are checked before the first row is accepted. The lane keeps no reference to `batches`.
    ///
    /// # Errors
    /// The column that does not fit, and its row, counted over all batches; then no row was accepted. Or the
    /// error that ended the lane, with the rows that are not stored. If the future is dropped, some rows may
    /// have been accepted.
    pub async fn push_batches(&self, batches: &[RecordBatch]) -> Result<()> {
        let schema = Arc::clone(self.accepting()?.rows.schema());
        let mut first_row = 0;
        let mut fitting = Vec::with_capacity(batches.len());
        for batch in batches {
            let mismatch = |mismatch: Mismatch| {
                let mismatch = mismatch.map_row(|row| first_row + row);
                Error::new(ErrorKind::InvalidInput, mismatch.to_string())
                    .context(format_args!("topic `{}`", self.shared.topic))
            };
            fitting.push(conform(&schema, batch).map_err(mismatch)?);
            first_row += batch.num_rows();
        }
        for batch in fitting {
            self.push_batch(&batch).await?;
        }
        Ok(())
    }

    async fn push_batch(&self, batch: &RecordBatch) -> Result<()> {
        let config = &self.shared.config;
        let most = config.max_batch_records.max(1);
        for start in (0..batch.num_rows()).step_by(most) {
            let rows = batch.slice(start, most.min(batch.num_rows() - start));
            let limit = config.max_batch_bytes.min(config.budget.share() / 2);
            for piece in split(rows, limit.max(1)) {
                self.queue(copied(&piece)?)?;
                self.room().await?;
            }
        }
        Ok(())
    }

    fn queue(&self, batch: RecordBatch) -> Result<()> {
        let shared = &*self.shared;
        let mut open = self.accepting()?;
        shared.cut(&mut open);
        open.pushed += batch.num_rows() as u64;
        let bytes = data_bytes(&batch);
        shared.outbox.push_batch(batch, bytes);
        shared.count_queued();
        Ok(())
    }
}

/// A copy of the rows: a slice would keep its whole batch in memory until it is acknowledged, and the owner
/// of the columns may change them.
fn copied(batch: &RecordBatch) -> Result<RecordBatch> {
    let column = |array: &Arc<dyn Array>| {
        let data = array.to_data();
        let mut copy = MutableArrayData::new(vec![&data], false, data.len());
        copy.try_extend(0, 0, data.len())?;
        Ok(make_array(copy.freeze()))
    };
    let columns = batch.columns().iter().map(column).collect::<Result<_>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}
