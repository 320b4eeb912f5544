//! Parquet footers in memory. A path is written once, so a cached footer stays valid.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::block_sums::BlockSums;
use mosaico_storage::format::chunk_file::check_chunk_version;
use object_store::path::Path;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::chunk_reader::ParquetFile;

/// Typical size of a footer, from which the initial capacity follows.
const USUAL_BYTES: usize = 16 << 10;

#[derive(Debug, Clone)]
struct Entry {
    footer: ArrowReaderMetadata,
    sums: Option<Arc<BlockSums>>,
    bytes: u64,
}

type Footer = (ArrowReaderMetadata, Option<Arc<BlockSums>>);

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Path, Entry> for Bytes {
    fn weight(&self, _: &Path, entry: &Entry) -> u64 {
        entry.bytes
    }
}

/// A cache of recently used footers, bounded in bytes. Concurrent readers of the same footer load it once.
pub struct FooterCache(Cache<Path, Entry, Bytes>);

impl FooterCache {
    pub fn new(limit: usize) -> Self {
        // One shard, so that the bound applies to all footers together: some are much larger than others.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(limit / USUAL_BYTES)
            .weight_capacity(limit as u64)
            .build()
            .expect("all three are set");
        Self(Cache::with_options(options, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default()))
    }

    /// The footer and page index of `file`, which gets the checksums that verify its other bytes.
    ///
    /// # Errors
    /// [`Error::NewerFormat`] if a newer version wrote the file; [`Error::DamagedChunk`].
    pub async fn load(&self, file: &mut ParquetFile) -> Result<ArrowReaderMetadata> {
        let path = file.path.clone();
        let load = async {
            let footer = ArrowReaderMetadata::load_async(file, ArrowReaderOptions::new()).await;
            let footer = footer.map_err(|e| file.error("reading the footer of", e))?;
            check_chunk_version(footer.metadata()).map_err(|error| error.at("chunk", &path))?;
            Ok((footer, file.sums.clone()))
        };
        let (footer, sums) = self.get_or(&path, load).await?;
        file.sums = sums;
        Ok(footer)
    }

    /// If `load` fails, or is dropped, the next waiting reader loads.
    async fn get_or(&self, path: &Path, load: impl Future<Output = Result<Footer>>) -> Result<Footer> {
        let entry = async {
            let (footer, sums) = load.await?;
            let bytes = footer.metadata().memory_size() + sums.as_ref().map_or(0, |sums| sums.memory_bytes());
            Ok::<_, Error>(Entry { footer, sums, bytes: bytes as u64 })
        };
        let Entry { footer, sums, .. } = self.0.get_or_insert_async(path, entry).await?;
        Ok((footer, sums))
    }
}

impl fmt::Debug for FooterCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FooterCache").field("bytes", &self.0.weight()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use tokio::task::yield_now;

    use super::*;

    fn footer() -> Footer {
        let times: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("timestamp_ns", times)]).unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        let file = bytes::Bytes::from(writer.into_inner().unwrap());
        (ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).unwrap(), None)
    }

    /// Counts the loads, with a delay.
    async fn counted(loads: &AtomicUsize, found: Result<Footer>) -> Result<Footer> {
        loads.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
        found
    }

    #[tokio::test]
    async fn readers_at_the_same_time_read_a_footer_once() {
        let (cache, loads, footer) = (FooterCache::new(1 << 20), AtomicUsize::new(0), footer());
        let path = Path::from("chunk");
        let failed = || Err(Error::Invalid("away".into()));
        let (first, second, third) = tokio::join!(
            cache.get_or(&path, counted(&loads, failed())),
            cache.get_or(&path, counted(&loads, Ok(footer.clone()))),
            cache.get_or(&path, counted(&loads, Ok(footer.clone()))),
        );
        assert!(first.is_err(), "a failed load is not kept");
        assert!(second.is_ok() && third.is_ok());
        assert_eq!(loads.into_inner(), 2, "of the two that wait, either loads");
    }

    #[tokio::test]
    async fn footers_are_bounded_in_bytes() {
        let footer = footer();
        let bytes = footer.0.metadata().memory_size();
        let (cache, loads) = (FooterCache::new(bytes * 4), AtomicUsize::new(0));
        for number in 0..20 {
            let path = Path::from(format!("chunk-{number}"));
            for _ in 0..2 {
                cache.get_or(&path, counted(&loads, Ok(footer.clone()))).await.unwrap();
            }
            assert!(cache.0.weight() <= bytes as u64 * 4);
        }
        assert_eq!(loads.into_inner(), 20, "one that was just used is there");
        assert!(cache.0.len() >= 3, "{} of 4", cache.0.len());
        // A footer larger than the whole cache is loaded each time.
        let (cache, loads) = (FooterCache::new(bytes / 2), AtomicUsize::new(0));
        for _ in 0..2 {
            cache.get_or(&Path::from("large"), counted(&loads, Ok(footer.clone()))).await.unwrap();
        }
        assert_eq!((loads.into_inner(), cache.0.len()), (2, 0));
    }
}
