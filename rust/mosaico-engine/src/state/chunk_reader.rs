//! A Parquet file in the store, as input of the asynchronous reader. Every byte is verified before it is
//! parsed or decoded, see [`mosaico_storage::format::block_sums`].

use std::ops::Range;
use std::slice::from_ref;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use mosaico_catalog::{ChunkRow, TopicRow};
use mosaico_storage::damaged_chunk::DamagedChunk;
use mosaico_storage::error::Error;
use mosaico_storage::format::block_sums::{BLOCK_BYTES, BlockSummer, BlockSums, Mismatch};
use mosaico_storage::format::paths::SequencePaths;
use mosaico_storage::objects::Chunks;
use mosaico_types::id::{SequenceId, TopicId};
use object_store::path::Path;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use super::damaged_chunks::DamagedChunks;

/// Bytes at the end of a file that the first read fetches, to find the checksums, the footer and the page
/// index.
const END_HINT: u64 = 64 << 10;

/// The unit of reading a file without checksums of its blocks, which is verified as a whole.
const PIECE: u64 = 8 << 20;

/// The topic of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkTopic {
    pub sequence: SequenceId,
    pub topic: TopicId,
    /// `sequence/topic`.
    pub locator: String,
}

impl From<&TopicRow> for ChunkTopic {
    fn from(row: &TopicRow) -> Self {
        Self { sequence: row.sequence_id, topic: row.id, locator: row.locator.to_string() }
    }
}

/// The file of a chunk.
#[derive(Debug, Clone)]
pub struct ParquetFile {
    chunks: Chunks,
    topic: Arc<ChunkTopic>,
    chunk: ChunkRow,
    pub path: Path,
    /// Set when the footer is loaded.
    pub sums: Option<Arc<BlockSums>>,
    /// The last bytes of the file, while the footer is loaded.
    end: Option<Bytes>,
    damaged: Arc<DamagedChunks>,
    damage: Arc<OnceLock<Mismatch>>,
}

impl ParquetFile {
    pub fn new(chunks: Chunks, damaged: Arc<DamagedChunks>, topic: Arc<ChunkTopic>, chunk: ChunkRow) -> Self {
        let path = SequencePaths(topic.sequence).topic(topic.topic).chunk(chunk.id);
        Self { chunks, topic, chunk, path, sums: None, end: None, damaged, damage: Arc::default() }
    }

    /// The same file, for a read of its own: damage that other reads found is not its error.
    pub fn renewed(&self) -> Self {
        Self { damage: Arc::default(), ..self.clone() }
    }

    /// The error of a failed read: the damage of the chunk, if the read found any.
    pub fn error(&self, doing: &str, cause: ParquetError) -> Error {
        let Some(Mismatch(text)) = self.damage.get() else {
            return Error::internal(format!("{doing} {}", self.path), cause);
        };
        let ChunkRow { id, row_start, rows, ts_min, ts_max, .. } = self.chunk;
        let damage = DamagedChunk {
            sequence: self.topic.sequence,
            topic: self.topic.topic,
            chunk: id.to_string(),
            locator: self.topic.locator.clone(),
            path: self.path.clone(),
            rows: row_start..row_start + rows,
            times: (ts_min, ts_max),
            cause: text.clone(),
        };
        self.damaged.add(id, &damage);
        Error::DamagedChunk(Box::new(damage))
    }

    fn damage<T>(&self, found: Mismatch) -> ParquetResult<T> {
        let found = self.damage.get_or_init(|| found).clone();
        Err(ParquetError::External(Box::new(found)))
    }

    /// The bytes of `ranges`, not verified.
    async fn stored(&self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        if let Some(end) = &self.end {
            let from = self.chunk.bytes - end.len() as u64;
            let part = |range: &Range<u64>| {
                let at = |offset: u64| Some(usize::try_from(offset.checked_sub(from)?).ok()?.min(end.len()));
                Some(end.slice(at(range.start)?..at(range.end)?))
            };
            if let Some(parts) = ranges.iter().map(part).collect() {
                return Ok(parts);
            }
        }
        let read = self.chunks.read(&self.path, self.chunk.bytes, ranges).await;
        self.complete(ranges, read).await
    }

    /// Fails if the store has fewer bytes.
    async fn complete(
        &self,
        ranges: &[Range<u64>],
        read: object_store::Result<Vec<Bytes>>,
    ) -> ParquetResult<Vec<Bytes>> {
        let is_complete = |found: &Vec<Bytes>| {
            found.iter().zip(ranges).all(|(found, range)| found.len() as u64 == range.end - range.start)
        };
        let error = match read {
            Ok(found) if is_complete(&found) => return Ok(found),
            Ok(_) => None,
            Err(object_store::Error::NotFound { .. }) => {
                return self.damage(Mismatch("its file is missing".into()));
            }
            Err(error) => Some(error),
        };
        let expected = self.chunk.bytes;
        match (self.chunks.size(&self.path).await, error) {
            (Ok(size), _) if size != expected => {
                self.damage(Mismatch(format!("its file has {size} of {expected} bytes")))
            }
            (_, Some(error)) => Err(error.into()),
            (Err(error), None) => Err(error.into()),
            (Ok(_), None) => {
                Err(ParquetError::EOF(format!("the store returned too few bytes of {}", self.path)))
            }
        }
    }

    /// The bytes of `blocks`, verified.
    async fn verified(&self, sums: &BlockSums, blocks: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        let check = |found: &[Bytes]| {
            found.iter().zip(blocks).try_for_each(|(data, range)| sums.verify(range.start, data))
        };
        let found = self.stored(blocks).await?;
        if check(&found).is_ok() {
            return Ok(found);
        }
        // The cache, the network or the memory may be at fault, and not the store.
        let again = self.chunks.read_again(&self.path, self.chunk.bytes, blocks).await;
        let found = self.complete(blocks, again).await?;
        match check(&found) {
            Ok(()) => Ok(found),
            Err(mismatch) => self.damage(mismatch),
        }
    }

    async fn load_sums(&mut self) -> ParquetResult<BlockSums> {
        let ChunkRow { bytes: size, crc32, .. } = self.chunk;
        let start = size.saturating_sub(END_HINT);
        let start = start - start % u64::from(BLOCK_BYTES);
        let end = self.stored(from_ref(&(start..size))).await?.swap_remove(0);
        let Some(length) = BlockSums::length(size, &end) else { return self.compute_sums().await };
        self.end = Some(end);
        let place = size - length..size;
        let rest = self.stored(from_ref(&place)).await?.swap_remove(0);
        match BlockSums::read(size, rest, crc32) {
            Ok(sums) => Ok(sums),
            Err(_) => {
                self.end = None;
                let again = self.chunks.read_again(&self.path, size, from_ref(&place)).await;
                let rest = self.complete(from_ref(&place), again).await?.swap_remove(0);
                BlockSums::read(size, rest, crc32).or_else(|mismatch| self.damage(mismatch))
            }
        }
    }

    /// Reads the whole file, which has no checksums of its blocks.
    async fn compute_sums(&self) -> ParquetResult<BlockSums> {
        let ChunkRow { bytes: size, crc32, .. } = self.chunk;
        let mut summer = BlockSummer::new(BLOCK_BYTES);
        let mut from = 0;
        while from < size {
            let to = size.min(from + PIECE);
            for data in self.stored(from_ref(&(from..to))).await? {
                summer.update(&data);
            }
            from = to;
        }
        BlockSums::computed(size, summer, crc32).or_else(|mismatch| self.damage(mismatch))
    }

    /// The size of the file, according to its record.
    pub fn bytes(&self) -> u64 {
        self.chunk.bytes
    }

    /// Verifies a piece of the file from the offset `from` on; returns the offset behind it.
    ///
    /// # Errors
    /// [`Error::DamagedChunk`].
    pub async fn verify(&mut self, from: u64) -> Result<u64, Error> {
        let to = self.chunk.bytes.min(from + PIECE);
        let verified = self.verify_piece(from..to).await;
        verified.map_err(|cause| self.error("verifying", cause))?;
        Ok(to)
    }

    async fn verify_piece(&mut self, piece: Range<u64>) -> ParquetResult<()> {
        let sums = match &self.sums {
            Some(sums) => Arc::clone(sums),
            None => {
                let sums = self.load_sums().await;
                self.end = None;
                Arc::clone(self.sums.insert(Arc::new(sums?)))
            }
        };
        let blocks = sums.blocks(&piece);
        if !blocks.is_empty() {
            self.verified(&sums, &[blocks]).await?;
        }
        Ok(())
    }
}

impl AsyncFileReader for ParquetFile {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move { Ok(self.get_byte_ranges(vec![range]).await?.swap_remove(0)) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            let Some(sums) = self.sums.clone() else {
                return Err(ParquetError::General("the footer is loaded before other bytes".into()));
            };
            let reads = sums.reads(&ranges);
            let found = if reads.is_empty() { Vec::new() } else { self.verified(&sums, &reads).await? };
            Ok(ranges.iter().map(|range| sums.pick(range, &reads, &found)).collect())
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            self.sums = Some(Arc::new(self.load_sums().await?));
            let size = self.chunk.bytes;
            let reader = ParquetMetaDataReader::new()
                .with_metadata_options(options.map(|options| options.metadata_options().clone()))
                .with_page_index_policy(PageIndexPolicy::Optional)
                .with_prefetch_hint(usize::try_from(END_HINT).ok());
            let footer = reader.load_and_finish(&mut *self, size).await;
            self.end = None;
            Ok(Arc::new(footer?))
        }
        .boxed()
    }
}
