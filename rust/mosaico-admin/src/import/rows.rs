//! Reads rows of foreign Parquet files and cuts them into chunks.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use mosaico_engine::state::config::Config;
use mosaico_select::data_bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::{ChunkLabel, WrittenChunk, check_schema, write_chunk};
use mosaico_storage::format::schema::{conform, same_shape, stored_schema};
use mosaico_storage::wal::segment::sort_batches;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::guarded::{guarded, unreadable};
use super::plain::column_mapping::{FileRecipe, Recipe};

/// Approximate Arrow bytes per decoded batch.
const BATCH_BYTES: u64 = 4 << 20;

/// The rows of one file.
pub(super) struct Rows {
    file: PathBuf,
    reader: ParquetRecordBatchReader,
    schema: SchemaRef,
    recipe: Option<FileRecipe>,
    /// Rows read so far.
    read: u64,
}

impl Rows {
    /// Opens a file; `recipe` maps its columns to those of a topic, `None` keeps them.
    pub(super) fn open(file: PathBuf, recipe: Option<&Recipe>) -> Result<Self> {
        let failed = |e: &dyn Display| unreadable(&file, e);
        let opened = File::open(&file).map_err(|e| failed(&e))?;
        let mut builder = guarded(&file, || ParquetRecordBatchReaderBuilder::try_new(opened))?;
        let groups = builder.metadata().row_groups();
        let bytes: i64 = groups.iter().map(|group| group.total_byte_size()).sum();
        let rows: i64 = groups.iter().map(|group| group.num_rows()).sum();
        let row_bytes = u64::try_from(bytes / rows.max(1)).unwrap_or(0).max(1);
        let recipe = recipe.map(|recipe| recipe.for_file(builder.schema())).transpose()?;
        let schema = match &recipe {
            Some(recipe) => {
                let leaves = recipe.leaves().iter().copied();
                let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves);
                builder = builder.with_projection(mask);
                SchemaRef::clone(recipe.schema())
            }
            None => stored_schema(builder.schema())?,
        };
        check_schema(&schema).map_err(|e| failed(&e))?;
        let batch_rows = usize::try_from(BATCH_BYTES / row_bytes).unwrap_or(1).max(1);
        let reader = guarded(&file, || builder.with_batch_size(batch_rows).build())?;
        Ok(Self { file, reader, schema, recipe, read: 0 })
    }

    /// The schema for storage.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Checks that these rows fit into a topic with `schema`, and converts them to exactly that schema.
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

    /// The next rows, about `bytes` in total; empty at the end.
    pub(super) fn next(&mut self, bytes: usize) -> Result<Vec<RecordBatch>> {
        let (mut taken, mut size) = (Vec::new(), 0);
        while size < bytes {
            let reader = &mut self.reader;
            let Some(batch) = guarded(&self.file, || reader.next().transpose())? else { break };
            let rows = batch.num_rows() as u64;
            let batch = match &self.recipe {
                Some(recipe) => recipe
                    .rows(&batch, self.read)
                    .map_err(|e| Error::Invalid(format!("{}: {e}", self.file.display())))?,
                None => conform(&batch, &self.schema).map_err(|e| unreadable(&self.file, &e))?,
            };
            self.read += rows;
            size += data_bytes(&batch);
            taken.push(batch);
        }
        taken.retain(|batch| batch.num_rows() > 0);
        Ok(taken)
    }
}

/// Writes rows to `scratch` in time order, reads them back and compares them.
pub(super) fn write(
    scratch: &Path,
    schema: &SchemaRef,
    label: &ChunkLabel,
    config: &Config,
    batches: Vec<RecordBatch>,
) -> Result<WrittenChunk> {
    let batches = sort_batches(batches, BATCH_BYTES as usize)?.collect::<Result<Vec<_>>>()?;
    let given = batches.iter().cloned().map(Ok::<_, Error>);
    let written = write_chunk(scratch, schema, label, config.row_group_bytes, given)?;
    let failed = |e: &dyn Display| {
        Error::internal("reading back what was imported", std::io::Error::other(e.to_string()))
    };
    let reader = File::open(scratch).map_err(|e| failed(&e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(reader).map_err(|e| failed(&e))?;
    let mut reader = builder.with_batch_size(BATCH_ROWS).build().map_err(|e| failed(&e))?;
    let mut found = Vec::new();
    for batch in reader.by_ref() {
        found.push(batch.and_then(|batch| conform(&batch, schema)).map_err(|e| failed(&e))?);
    }
    let same = concat_batches(schema, &batches).and_then(|given| {
        let found = concat_batches(schema, &found)?;
        Ok(given.columns() == found.columns())
    });
    match same.map_err(|e| failed(&e))? {
        true => Ok(written),
        false => Err(failed(&"the rows differ")),
    }
}

const BATCH_ROWS: usize = 8192;

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    #[test]
    fn damaged_files_are_refused() {
        let times: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
        let words: ArrayRef = Arc::new(StringArray::from_iter_values((0..20).map(|n| format!("w{}", n % 3))));
        let batch = RecordBatch::try_from_iter([("timestamp_ns", times), ("words", words)]).unwrap();
        let mut whole = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut whole, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            let mut rows = Rows::open(file.path().to_owned(), None)?;
            while !rows.next(1 << 20)?.is_empty() {}
            Ok::<_, Error>(())
        };
        read(&whole).unwrap();
        let mut refused = 0;
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1 << (index % 8);
            match read(&bytes) {
                Err(Error::Invalid(_) | Error::Refused(..)) => refused += 1,
                other => other.unwrap(),
            }
        }
        assert!(refused > 100, "{refused}");
    }
}
