//! A cache of chunk blocks that were fetched from a bucket, on the local disk: least recently used eviction,
//! bounded in bytes. Chunks never change, so cached blocks stay valid; a checksum reveals blocks that a crash
//! or the disk corrupted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{ObjectStore, Result};
use parking_lot::Mutex;

use super::deadline::Deadline;
use crate::timer::CacheReads;

/// Its folder in the state folder.
pub(super) const FOLDER: &str = "cache";

/// The size of a block, the unit of fetching and caching.
const BLOCK: u64 = 512 << 10;
const SUM_BYTES: usize = 4;

/// The cached blocks.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    limit: u64,
    state: Mutex<State>,
    reads: CacheReads,
}

#[derive(Debug, Default)]
struct State {
    /// Size and time of last use.
    blocks: HashMap<String, (u64, u64)>,
    /// Names by last use.
    order: BTreeMap<u64, String>,
    bytes: u64,
    clock: u64,
}

impl State {
    fn forget(&mut self, name: &str) {
        if let Some((bytes, used)) = self.blocks.remove(name) {
            self.order.remove(&used);
            self.bytes -= bytes;
        }
    }

    fn touch(&mut self, name: &str, bytes: u64) {
        self.forget(name);
        self.clock += 1;
        self.blocks.insert(name.to_owned(), (bytes, self.clock));
        self.order.insert(self.clock, name.to_owned());
        self.bytes += bytes;
    }

    /// Removes and returns the least recently used block.
    fn oldest(&mut self) -> Option<String> {
        let (_, name) = self.order.first_key_value()?;
        let name = name.clone();
        self.forget(&name);
        Some(name)
    }
}

impl Cache {
    /// Opens the folder, with the blocks that an earlier process cached.
    pub(super) fn open(folder: PathBuf, limit: u64, reads: CacheReads) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut state = State::default();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            state.touch(&entry.file_name().to_string_lossy(), entry.metadata()?.len());
        }
        let cache = Self { folder, limit, state: Mutex::new(state), reads };
        cache.shrink();
        Ok(cache)
    }

    /// Reads `ranges` of the chunk at `path`, which has `size` bytes; fetches blocks that are not cached from
    /// `objects`.
    pub(super) async fn read(
        self: &Arc<Self>,
        objects: &Deadline,
        path: &Path,
        size: u64,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>> {
        let wanted: BTreeSet<u64> = ranges.iter().flat_map(blocks).collect();
        let mut found = self.load(path, wanted.clone()).await?;
        let missing: Vec<u64> = wanted.into_iter().filter(|block| !found.contains_key(block)).collect();
        self.reads.hits.inc_by(found.len() as u64);
        self.reads.misses.inc_by(missing.len() as u64);
        if !missing.is_empty() {
            let runs = runs(&missing);
            let bytes = |run: &Range<u64>| run.start * BLOCK..(run.end * BLOCK).min(size);
            let fetched = objects.get_ranges(path, &runs.iter().map(bytes).collect::<Vec<_>>()).await?;
            let mut new = Vec::new();
            for (run, mut data) in runs.into_iter().zip(fetched) {
                for block in run {
                    new.push((block, data.split_to(data.len().min(BLOCK as usize))));
                }
            }
            found.extend(new.iter().cloned());
            self.keep(path, new).await?;
        }
        Ok(ranges.iter().map(|range| assemble(&found, range)).collect())
    }

    /// Drops the blocks of `ranges`, so that the next read fetches them.
    pub(super) async fn forget(self: &Arc<Self>, path: &Path, ranges: &[Range<u64>]) -> Result<()> {
        let names: Vec<String> =
            ranges.iter().flat_map(blocks).map(|block| Self::name(path, block)).collect();
        let this = Arc::clone(self);
        Ok(tokio::task::spawn_blocking(move || names.iter().for_each(|name| this.drop_block(name))).await?)
    }

    fn name(path: &Path, block: u64) -> String {
        format!("{}-{block}", path.as_ref().replace('/', "-"))
    }

    async fn load(self: &Arc<Self>, path: &Path, wanted: BTreeSet<u64>) -> Result<HashMap<u64, Bytes>> {
        let (this, path) = (Arc::clone(self), path.clone());
        let load = move || {
            let kept = wanted.into_iter().filter_map(|block| {
                let name = Self::name(&path, block);
                let bytes = this.state.lock().blocks.get(&name)?.0;
                let data = read_block(&this.folder.join(&name));
                match &data {
                    Some(_) => this.state.lock().touch(&name, bytes),
                    None => this.drop_block(&name),
                }
                Some((block, data?))
            });
            kept.collect()
        };
        Ok(tokio::task::spawn_blocking(load).await?)
    }

    /// If caching a block fails, the next read fetches it again.
    async fn keep(self: &Arc<Self>, path: &Path, new: Vec<(u64, Bytes)>) -> Result<()> {
        let (this, path) = (Arc::clone(self), path.clone());
        let keep = move || {
            for (block, data) in new {
                let name = Self::name(&path, block);
                match write_block(&this.folder.join(&name), &data) {
                    Ok(bytes) => this.state.lock().touch(&name, bytes),
                    Err(cause) => {
                        tracing::warn!(%name, %cause, "cannot keep a part of a chunk in the cache");
                        this.drop_block(&name);
                    }
                }
            }
            this.shrink();
        };
        Ok(tokio::task::spawn_blocking(keep).await?)
    }

    fn shrink(&self) {
        loop {
            let mut state = self.state.lock();
            if state.bytes <= self.limit {
                return;
            }
            let Some(name) = state.oldest() else { return };
            drop(state);
            super::durable::discard(&self.folder.join(name));
        }
    }

    fn drop_block(&self, name: &str) {
        self.state.lock().forget(name);
        super::durable::discard(&self.folder.join(name));
    }
}

fn blocks(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

/// Merges adjacent blocks into ranges.
fn runs(blocks: &[u64]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for &block in blocks {
        match runs.last_mut() {
            Some(run) if run.end == block => run.end += 1,
            _ => runs.push(block..block + 1),
        }
    }
    runs
}

/// The bytes of `range`; not copied if they are in one block.
fn assemble(found: &HashMap<u64, Bytes>, range: &Range<u64>) -> Bytes {
    let part = |block: u64| {
        let data = found.get(&block).cloned().unwrap_or_default();
        let from = (range.start.saturating_sub(block * BLOCK) as usize).min(data.len());
        let to = ((range.end - block * BLOCK) as usize).min(data.len());
        data.slice(from..to)
    };
    let blocks = blocks(range);
    if blocks.end - blocks.start == 1 {
        return part(blocks.start);
    }
    let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
    blocks.for_each(|block| whole.extend_from_slice(&part(block)));
    whole.freeze()
}

fn read_block(file: &FilePath) -> Option<Bytes> {
    let mut data = Bytes::from(fs::read(file).ok()?);
    let sum = data.split_off(data.len().checked_sub(SUM_BYTES)?);
    (crc32fast::hash(&data).to_le_bytes() == *sum).then_some(data)
}

fn write_block(file: &FilePath, data: &Bytes) -> io::Result<u64> {
    let mut bytes = data.to_vec();
    bytes.extend(crc32fast::hash(data).to_le_bytes());
    fs::write(file, &bytes)?;
    Ok(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;
    use proptest::prelude::*;

    use super::*;

    const SIZE: u64 = 5 * BLOCK / 2;

    fn data() -> Bytes {
        (0..SIZE).map(|at| (at * 7 / 3) as u8).collect::<Vec<_>>().into()
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    async fn store(path: &Path) -> Deadline {
        let objects = InMemory::new();
        objects.put(path, data().into()).await.expect("an object");
        Deadline::new(Arc::new(objects), Duration::from_secs(10), false)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn reads_are_those_of_the_object(
            reads in proptest::collection::vec(proptest::collection::vec((0..SIZE, 1..SIZE), 1..4), 1..6),
            limit in 0..2 * SIZE,
            spoilt in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().expect("a folder");
            let path = Path::from("seq/a/chunk");
            runtime().block_on(async {
                let objects = store(&path).await;
                let mut cache = Arc::new(Cache::open(folder.path().to_owned(), limit, CacheReads::default()).expect("a cache"));
                for read in reads {
                    let ranges: Vec<_> = read.iter().map(|&(at, len)| at..(at + len).min(SIZE)).collect();
                    let found = cache.read(&objects, &path, SIZE, &ranges).await.expect("bytes");
                    for (range, found) in ranges.iter().zip(found) {
                        assert_eq!(found, data().slice(range.start as usize..range.end as usize));
                    }
                    let kept: Vec<_> = fs::read_dir(folder.path()).expect("a folder").map(|e| e.expect("a file").path()).collect();
                    let bytes: u64 = kept.iter().map(|file| fs::metadata(file).expect("a file").len()).sum();
                    assert!(bytes <= limit, "{bytes} of {limit}");
                    if spoilt && let Some(file) = kept.first() {
                        fs::write(file, b"torn").expect("a file");
                    }
                    cache = Arc::new(Cache::open(folder.path().to_owned(), limit, CacheReads::default()).expect("a cache"));
                }
            });
        }
    }

    #[test]
    fn what_is_kept_is_not_fetched_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Path::from("seq/a/chunk");
        runtime().block_on(async {
            let objects = store(&path).await;
            let cache = Arc::new(
                Cache::open(folder.path().to_owned(), 2 * SIZE, CacheReads::default()).expect("a cache"),
            );
            let range = BLOCK - 10..BLOCK + 10;
            let first = cache.read(&objects, &path, SIZE, std::slice::from_ref(&range)).await.expect("bytes");
            objects.delete(&path).await.expect("a deletion");
            let again = cache.read(&objects, &path, SIZE, &[range]).await.expect("bytes");
            assert_eq!(first, again);
            assert_eq!((cache.reads.misses.get(), cache.reads.hits.get()), (2, 2));
            let elsewhere = 2 * BLOCK..2 * BLOCK + 1;
            cache.read(&objects, &path, SIZE, &[elsewhere]).await.expect_err("it is gone");
        });
    }
}
