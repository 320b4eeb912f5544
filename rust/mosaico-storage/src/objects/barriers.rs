//! Writes records once, over barriers, and places barriers. See [`crate::format::barrier`].

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectStore, PutMode, PutPayload, UpdateVersion};

use super::store::Store;
use crate::error::{Error, Result};
use crate::format::barrier;
use crate::format::record::{self, Record};

/// Attempts to place a barrier while others write to the same place.
const ATTEMPTS: usize = 5;

/// A barrier that is in the place of a record. Who writes the record has to find out, after it got this value, that it
/// still has the right to: nobody else reconciled its change.
#[derive(Debug)]
#[must_use]
pub struct Barrier(UpdateVersion);

impl Store {
    /// Writes a JSON record that is written once, durably.
    pub async fn create_json<T: Record>(&self, path: &Path, record: &T) -> Result<()> {
        self.create(path, record::write(record)?.into()).await
    }

    /// Writes an object that is written once, durably.
    pub async fn create(&self, path: &Path, payload: PutPayload) -> Result<()> {
        match self.create_unless_barred(path, payload).await? {
            None => Ok(()),
            Some(_) => Err(changed(path)),
        }
    }

    /// Writes a JSON record that is written once, durably, where there is no object; or returns the barrier that is
    /// there.
    pub async fn try_create_json<T: Record>(&self, path: &Path, record: &T) -> Result<Option<Barrier>> {
        self.create_unless_barred(path, record::write(record)?.into()).await
    }

    async fn create_unless_barred(&self, path: &Path, payload: PutPayload) -> Result<Option<Barrier>> {
        let failed = |e| Error::internal(format!("writing {path} once"), e);
        let refused = match self.objects.put_opts(path, payload.clone(), PutMode::Create.into()).await {
            Ok(_) => return Ok(None),
            Err(refused @ StoreError::AlreadyExists { .. }) => refused,
            Err(e) => return Err(failed(e)),
        };
        match self.get_versioned(path).await? {
            // An earlier attempt of the same write succeeded, and its response was lost.
            Some((found, _)) if found == Bytes::from(payload) => Ok(None),
            Some((found, version)) if barrier::is_barrier(&found) => Ok(Some(Barrier(version))),
            _ => Err(failed(refused)),
        }
    }

    /// Writes a JSON record, durably, in place of a barrier.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] if it is not the same barrier any more.
    pub async fn replace_barrier<T: Record>(&self, path: &Path, record: &T, known: Barrier) -> Result<()> {
        let bytes = record::write(record)?;
        match self.replace_version(path, bytes.clone().into(), known.0).await {
            Ok(()) => Ok(()),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {
                let found = self.get(path).await?;
                if found.is_some_and(|found| found == bytes) { Ok(()) } else { Err(changed(path)) }
            }
            Err(e) => Err(Error::internal(format!("writing {path} once"), e)),
        }
    }

    /// Decides whether a record that is written once, and was sent by somebody who is gone, exists: from now on it
    /// does if it is there now, and otherwise it never will.
    pub async fn bar(&self, path: &Path) -> Result<()> {
        for _ in 0..ATTEMPTS {
            let payload = PutPayload::from(barrier::new());
            let placed = match self.get_versioned(path).await? {
                None => self.objects.put_opts(path, payload, PutMode::Create.into()).await.map(drop),
                Some((found, version)) if barrier::is_barrier(&found) => {
                    self.replace_version(path, payload, version).await
                }
                Some(_) => return Ok(()),
            };
            match placed {
                Ok(()) => return Ok(()),
                Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => {}
                Err(e) => return Err(Error::internal(format!("placing a barrier at {path}"), e)),
            }
        }
        Err(changed(path))
    }

    /// The version of a record that is to be withdrawn, if it is there. As with [`Barrier`], the caller has to find out
    /// after this that it still has the right to.
    pub async fn find(&self, path: &Path) -> Result<Option<Barrier>> {
        Ok(self.version(path).await?.map(Barrier))
    }

    /// Removes a record that is written once. No earlier request for it is applied later.
    pub async fn withdraw(&self, path: &Path, known: Barrier) -> Result<()> {
        if !self.is_remote() {
            return self.remove(path).await;
        }
        match self.replace_version(path, barrier::new().into(), known.0).await {
            Ok(()) => Ok(()),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Err(changed(path)),
            Err(e) => Err(Error::internal(format!("removing {path}"), e)),
        }
    }

    /// Replaces the version of an object that the caller knows. Folders have no other writers.
    async fn replace_version(
        &self,
        path: &Path,
        payload: PutPayload,
        version: UpdateVersion,
    ) -> Result<(), StoreError> {
        let mode = if self.is_remote() { PutMode::Update(version) } else { PutMode::Overwrite };
        self.objects.put_opts(path, payload, mode.into()).await.map(drop)
    }
}

fn changed(path: &Path) -> Error {
    Error::StoreUnavailable(format!("writing {path}, which changed meanwhile,").into())
}

#[cfg(feature = "faults")]
#[cfg(test)]
mod tests {
    use std::path::Path as FilePath;
    use std::time::Duration;

    use super::*;
    use crate::format::records::EndedRecord;
    use crate::objects::faults::{Effect, Fault, Faults, Operation, When};
    use crate::objects::location::StoreLocation;
    use crate::objects::options::{StoreMetrics, StoreOptions};

    fn store(folder: &FilePath, faults: &Faults) -> Store {
        let options = StoreOptions {
            location: StoreLocation::parse("s3://bucket").unwrap(),
            folder: folder.join("state"),
            timeout: Duration::from_secs(30),
            retries: 0,
            cache_bytes: 0,
            faults: faults.clone(),
        };
        std::fs::create_dir_all(folder.join("state")).unwrap();
        Store::open(&options, &StoreMetrics::default()).unwrap()
    }

    fn faults(folder: &FilePath) -> Faults {
        std::fs::create_dir_all(folder.join("bucket")).unwrap();
        Faults::bucket(&folder.join("bucket")).unwrap()
    }

    fn ended(ended_ns: i64) -> EndedRecord {
        EndedRecord { ended_ns }
    }

    /// What happens between the sending of a record and its arrival.
    async fn late(meanwhile: impl AsyncFnOnce(&Store, &Path)) -> (Result<()>, Option<EndedRecord>) {
        let folder = tempfile::TempDir::new().unwrap();
        let (first, other) = (faults(folder.path()), faults(folder.path()));
        let (slow, store) = (store(folder.path(), &first), store(folder.path(), &other));
        let path = Path::from("seq/x/ended.json");
        let effect = Effect::Stall;
        first.add(Fault { operation: Some(Operation::Put), path: String::new(), when: When::Always, effect });
        let record = ended(1);
        let mut sent = std::pin::pin!(slow.create_json(&path, &record));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut sent).await.is_err());
        meanwhile(&store, &path).await;
        first.lift();
        (sent.await, store.get_json(&path).await.unwrap())
    }

    #[tokio::test]
    async fn a_record_that_is_late_is_never_there() {
        let (sent, found) = late(async |store, path| store.bar(path).await.unwrap()).await;
        assert!(sent.is_err() && found.is_none());
        let (sent, found) = late(async |store, path| {
            store.bar(path).await.unwrap();
            write_over(store, path, 2).await.unwrap();
        })
        .await;
        assert!(sent.is_err() && found == Some(ended(2)));
    }

    #[tokio::test]
    async fn a_record_that_is_there_stays() {
        let (sent, found) = late(async |store, path| {
            store.create_json(path, &ended(2)).await.unwrap();
            store.bar(path).await.unwrap();
        })
        .await;
        assert!(sent.is_err() && found == Some(ended(2)));
    }

    #[tokio::test]
    async fn a_record_that_was_withdrawn_can_be_written_again() {
        let (sent, found) = late(async |store, path| {
            store.create_json(path, &ended(2)).await.unwrap();
            let known = store.find(path).await.unwrap().unwrap();
            store.withdraw(path, known).await.unwrap();
            assert_eq!(store.get_json::<EndedRecord>(path).await.unwrap(), None);
            write_over(store, path, 3).await.unwrap();
        })
        .await;
        assert!(sent.is_err() && found == Some(ended(3)));
    }

    #[tokio::test]
    async fn a_later_barrier_stops_a_record_over_an_earlier_one() {
        let (_, found) = late(async |store, path| {
            store.bar(path).await.unwrap();
            let known = store.try_create_json(path, &ended(2)).await.unwrap().unwrap();
            store.bar(path).await.unwrap();
            let error = store.replace_barrier(path, &ended(2), known).await.unwrap_err();
            assert!(matches!(error, Error::StoreUnavailable(_)), "{error}");
        })
        .await;
        assert_eq!(found, None);
    }

    /// Writes a record in place of the barrier that is there.
    async fn write_over(store: &Store, path: &Path, ended_ns: i64) -> Result<()> {
        let known = store.try_create_json(path, &ended(ended_ns)).await.unwrap().unwrap();
        store.replace_barrier(path, &ended(ended_ns), known).await
    }
}
