//! Rows of foreign Parquet files, cut into chunks.

use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use mosaico_select::data_bytes;

use crate::batch::{conform, same_shape, stored_schema};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ingest::segment::sort_batches;
use crate::store::parquet::{ChunkLabel, WrittenChunk, check_schema, write_chunk};

/// Decoded at once, about.
const BATCH_BYTES: u64 = 4 << 20;

fn unreadable(file: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Invalid(format!("{} cannot be read: {error}", file.display()))
}

/// The rows of one file.
pub(super) struct Rows {
    file: PathBuf,
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
}

impl Rows {
    /// Opens a file.
    pub(super) fn open(file: PathBuf) -> Result<Self> {
        let failed = |e: &dyn std::fmt::Display| unreadable(&file, e);
        let opened = File::open(&file).map_err(|e| failed(&e))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(opened).map_err(|e| failed(&e))?;
        let groups = builder.metadata().row_groups();
        let bytes: i64 = groups.iter().map(|group| group.total_byte_size()).sum();
        let rows: i64 = groups.iter().map(|group| group.num_rows()).sum();
        let row_bytes = u64::try_from(bytes / rows.max(1)).unwrap_or(0).max(1);
        let schema = stored_schema(builder.schema())?;
        check_schema(&schema).map_err(|e| failed(&e))?;
        let batch_rows = usize::try_from(BATCH_BYTES / row_bytes).unwrap_or(1).max(1);
        let reader = builder.with_batch_size(batch_rows).build().map_err(|e| failed(&e))?;
        Ok(Self { file, reader, schema })
    }

    /// The columns as they are stored.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Checks that these rows may be in one topic with those of `schema`, and gives them exactly that one.
    pub(super) fn with_schema(mut self, schema: &SchemaRef) -> Result<Self> {
        if !same_shape(&self.schema, schema) {
            let file = self.file.display();
            return Err(Error::Invalid(format!(
                "{file} has other columns than the files of its topic before it"
            )));
        }
        self.schema = SchemaRef::clone(schema);
        Ok(self)
    }

    /// The next rows, of about `bytes` together, in time order; none at the end.
    pub(super) fn next(&mut self, bytes: usize) -> Result<Vec<RecordBatch>> {
        let (mut taken, mut size) = (Vec::new(), 0);
        while size < bytes {
            let Some(batch) = self.reader.next() else { break };
            let batch = batch.map_err(|e| unreadable(&self.file, &e))?;
            let batch = conform(&batch, &self.schema).map_err(|e| unreadable(&self.file, &e))?;
            size += data_bytes(&batch);
            taken.push(batch);
        }
        taken.retain(|batch| batch.num_rows() > 0);
        sort_batches(taken, BATCH_BYTES as usize)?.collect()
    }
}

/// Writes rows to `scratch`, reads them back and compares.
pub(super) fn write(
    scratch: &Path,
    schema: &SchemaRef,
    label: &ChunkLabel,
    config: &Config,
    batches: &[RecordBatch],
) -> Result<WrittenChunk> {
    let given = batches.iter().cloned().map(Ok::<_, Error>);
    let written = write_chunk(scratch, schema, label, config.row_group_bytes, given)?;
    let failed = |e: &dyn std::fmt::Display| {
        Error::internal("reading back what was imported", std::io::Error::other(e.to_string()))
    };
    let reader = File::open(scratch).map_err(|e| failed(&e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(reader).map_err(|e| failed(&e))?;
    let mut reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|e| failed(&e))?;
    let mut found = Vec::new();
    for batch in reader.by_ref() {
        found.push(batch.and_then(|batch| conform(&batch, schema)).map_err(|e| failed(&e))?);
    }
    let same = concat_batches(schema, batches).and_then(|given| {
        let found = concat_batches(schema, &found)?;
        Ok(given.columns() == found.columns())
    });
    match same.map_err(|e| failed(&e))? {
        true => Ok(written),
        false => Err(failed(&"the rows differ")),
    }
}

const BATCH_ROWS: usize = 8192;
