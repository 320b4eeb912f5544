//! Chunks: Parquet files of one topic's rows, sorted by time.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use mosaico_select::{data_bytes, split};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::{KeyValue, ParquetMetaData};

use super::block_sums::{BLOCK_BYTES, BlockSummer, END, ending};
use super::chunk_properties::writer_properties;
use super::column_stats::{ColumnStats, StatsBuilder};
use super::schema::ColumnPresence;
use crate::format::chunk_id::ChunkId;
use crate::format::record::FormatError;

/// The chunk format version that this program writes, and the newest that it reads.
pub const CHUNK_VERSION: u32 = 1;

/// The key of the format version in the file's metadata.
const VERSION_KEY: &str = "mosaico:format_version";

/// Checks in the footer of a chunk that this program can read its format version.
pub fn check_chunk_version(footer: &ParquetMetaData) -> Result<(), FormatError> {
    let pairs = footer.file_metadata().key_value_metadata();
    let version = pairs.into_iter().flatten().find(|pair| pair.key == VERSION_KEY);
    let version = version.and_then(|pair| pair.value.as_deref()?.parse::<u32>().ok());
    match version {
        Some(found) if found > CHUNK_VERSION => Err(FormatError::Newer { found, known: CHUNK_VERSION }),
        Some(1..) => Ok(()),
        Some(0) | None => Err(FormatError::Damaged(format!("the metadata of the file lack `{VERSION_KEY}`"))),
    }
}

/// Metadata inside the chunk file, which makes the file self-describing.
#[derive(Debug, Clone)]
pub struct ChunkLabel {
    pub sequence: String,
    pub topic: String,
    pub ontology_tag: String,
    pub serialization_format: &'static str,
    pub id: ChunkId,
    pub row_start: u64,
    /// Rows of the topic up to the end of the chunk, including lost rows.
    pub row_end: u64,
    /// Columns without a value get no codec: codec contexts cost more than they save there.
    pub filled: ColumnPresence,
}

impl ChunkLabel {
    fn metadata(&self) -> Vec<KeyValue> {
        let row_range = format!("{}..{}", self.row_start, self.row_end);
        let pairs = [
            (VERSION_KEY, CHUNK_VERSION.to_string()),
            ("mosaico:sequence", self.sequence.clone()),
            ("mosaico:topic", self.topic.clone()),
            ("mosaico:ontology_tag", self.ontology_tag.clone()),
            ("mosaico:serialization_format", self.serialization_format.to_owned()),
            ("mosaico:chunk", self.id.to_string()),
            ("mosaico:row_range", row_range),
        ];
        pairs.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect()
    }
}

/// The result of a write.
#[derive(Debug)]
pub struct WrittenChunk {
    pub bytes: u64,
    pub rows: u64,
    pub crc32: u32,
    pub columns: Vec<ColumnStats>,
}

/// Writes `batches`, which are sorted by time, to a new file.
pub fn write_chunk<E>(
    file: &Path,
    schema: &SchemaRef,
    label: &ChunkLabel,
    row_group_bytes: usize,
    batches: impl Iterator<Item = Result<RecordBatch, E>>,
) -> Result<WrittenChunk, E>
where
    E: From<ChunkError>,
{
    let failed = |e: parquet::errors::ParquetError| E::from(ChunkError::Parquet(e));
    let sink = Summed::new(File::create_new(file).map_err(|e| E::from(ChunkError::File(e)))?);
    let mut batches = batches.peekable();
    let first = batches.peek().and_then(|batch| batch.as_ref().ok());
    let properties = writer_properties(schema, label.metadata(), &label.filled, first).map_err(failed)?;
    let options = ArrowWriterOptions::new().with_properties(properties);
    let mut writer =
        ArrowWriter::try_new_with_options(sink, SchemaRef::clone(schema), options).map_err(failed)?;
    let mut stats = StatsBuilder::new(schema);
    let (mut rows, mut group_bytes) = (0, 0);
    for batch in batches {
        for part in split(batch?, row_group_bytes) {
            stats.update(&part);
            rows += part.num_rows() as u64;
            let bytes = data_bytes(&part);
            if group_bytes > 0 && group_bytes + bytes > row_group_bytes {
                writer.flush().map_err(failed)?;
                group_bytes = 0;
            }
            group_bytes += bytes;
            writer.write(&part).map_err(failed)?;
        }
    }
    let sink = writer.into_inner().map_err(failed)?;
    let (bytes, crc32) = sink.finish().map_err(|e| E::from(ChunkError::File(e)))?;
    Ok(WrittenChunk { bytes, rows, crc32, columns: stats.finish() })
}

/// Why writing a chunk failed.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// A file operation failed.
    #[error("cannot write the chunk file")]
    File(#[source] io::Error),
    /// The encoder failed.
    #[error("cannot encode the chunk")]
    Parquet(#[source] parquet::errors::ParquetError),
}

/// Checks that Parquet can hold `schema`.
pub fn check_schema(schema: &SchemaRef) -> ParquetResult<()> {
    ArrowWriter::try_new(io::sink(), SchemaRef::clone(schema), None).map(drop)
}

/// A file writer that tracks the length and checksum of the written bytes, and adds the checksums of the
/// blocks to the end of the Parquet file.
struct Summed {
    file: BufWriter<File>,
    bytes: u64,
    sum: crc32fast::Hasher,
    blocks: BlockSummer,
    /// The last bytes, which are written last: they move behind the checksums.
    end: Vec<u8>,
}

impl Summed {
    fn new(file: File) -> Self {
        Self {
            file: BufWriter::with_capacity(1 << 16, file),
            bytes: 0,
            sum: crc32fast::Hasher::new(),
            blocks: BlockSummer::new(BLOCK_BYTES),
            end: Vec::with_capacity(2 * END),
        }
    }

    fn add(&mut self, data: &[u8]) -> io::Result<()> {
        self.file.write_all(data)?;
        self.sum.update(data);
        self.blocks.update(data);
        self.bytes += data.len() as u64;
        Ok(())
    }

    fn finish(mut self) -> io::Result<(u64, u32)> {
        let Self { blocks, end, .. } = &mut self;
        let sums = std::mem::replace(blocks, BlockSummer::new(BLOCK_BYTES)).finish();
        let end = std::mem::take(end).try_into().ok();
        let end = end.and_then(|end| ending(&sums, self.bytes, end));
        let end = end.ok_or_else(|| io::Error::other("the encoder wrote no Parquet footer"))?;
        self.add(&end)?;
        self.file.flush()?;
        Ok((self.bytes, self.sum.finalize()))
    }
}

impl Write for Summed {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let surplus = (self.end.len() + data.len()).saturating_sub(END);
        let old: Vec<u8> = self.end.drain(..surplus.min(self.end.len())).collect();
        let (new, end) = data.split_at(surplus - old.len());
        self.add(&old)?;
        self.add(new)?;
        self.end.extend_from_slice(end);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl From<ChunkError> for crate::error::Error {
    fn from(error: ChunkError) -> Self {
        Self::internal("writing a chunk", error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_chunks_is_that_of_the_docs() {
        let docs = include_str!("../../../../docs/formats.md");
        let row = format!(
            "| chunk | `chunk-<epoch>-<index>.parquet` | {CHUNK_VERSION} | `{VERSION_KEY}` in the metadata"
        );
        assert!(docs.contains(&row), "{row}");
    }
}
