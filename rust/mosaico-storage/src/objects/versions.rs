//! Conditional replacement of objects: a read returns the version, and a write fails if the version has
//! changed.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, UpdateVersion};

use crate::error::{Error, Result};
use crate::format::record::{self, Record};
use crate::objects::Store;

impl Store {
    /// Reads an object and its version.
    pub async fn get_versioned(&self, path: &Path) -> Result<Option<(Bytes, UpdateVersion)>> {
        let failed = |e| Error::internal(format!("reading {path}"), e);
        match self.objects.get(path).await {
            Ok(found) => {
                let meta = found.meta.clone();
                let version = UpdateVersion { e_tag: meta.e_tag, version: meta.version };
                Ok(Some((found.bytes().await.map_err(failed)?, version)))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    /// The version of an object; `None` if it does not exist.
    pub async fn version(&self, path: &Path) -> Result<Option<UpdateVersion>> {
        match self.objects.head(path).await {
            Ok(meta) => Ok(Some(UpdateVersion { e_tag: meta.e_tag, version: meta.version })),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(Error::internal(format!("looking for {path}"), e)),
        }
    }

    /// Reads a JSON record and its version, for [`Self::replace_json`]; `None` if it does not exist.
    pub async fn get_json_versioned<T: Record>(&self, path: &Path) -> Result<Option<(T, UpdateVersion)>> {
        let Some((bytes, version)) = self.get_versioned(path).await? else { return Ok(None) };
        Ok(Some((record::parse(path, &bytes)?, version)))
    }

    /// Writes a JSON record, durably, in place of any earlier one. Each attempt is conditional, so a write of an
    /// earlier process that arrives later does not replace it.
    pub async fn put_json_last<T: Record>(&self, path: &Path, record: &T) -> Result<()> {
        match self.replace_json(path, record, None).await {
            Err(error @ Error::StoreUnavailable(_)) => match self.version(path).await? {
                Some(version) => self.replace_json(path, record, Some(&version)).await.map(drop),
                None => Err(error),
            },
            written => written.map(drop),
        }
    }

    /// Writes a JSON record, durably, if the current version is the one that the caller knows; `None`: the
    /// object does not exist. Folders have no other writers, so there it is an unconditional write. Returns
    /// the new version.
    pub async fn replace_json<T: Record>(
        &self,
        path: &Path,
        record: &T,
        known: Option<&UpdateVersion>,
    ) -> Result<Option<UpdateVersion>> {
        let bytes = record::write(record)?;
        if !self.is_remote() {
            return self.put(path, bytes).await.map(|()| None);
        }
        let mode = known.map_or(PutMode::Create, |known| PutMode::Update(known.clone()));
        match self.objects.put_opts(path, bytes.clone().into(), mode.into()).await {
            Ok(written) => Ok(Some(written.into())),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                // An earlier attempt of the same write may have succeeded, and its response was lost.
                match self.get_versioned(path).await? {
                    Some((found, version)) if found == bytes => Ok(Some(version)),
                    _ => Err(Error::StoreUnavailable(
                        format!("replacing {path}, which changed meanwhile,").into(),
                    )),
                }
            }
            Err(e) => Err(Error::internal(format!("replacing {path}"), e)),
        }
    }
}
