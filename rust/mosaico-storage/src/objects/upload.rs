//! Uploads of finished files to a bucket: small files as one object, large files in parts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path as FilePath;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, Result};

use super::deadline::Deadline;

/// S3's minimum for all parts but the last: slow links finish each part within the time limit of an
/// operation.
const PART_BYTES: u64 = 5 << 20;
/// The number of parts in flight at the same time.
const PARALLEL: usize = 2;

/// Writes the file to `path`; when this returns, the object is complete.
pub(super) async fn upload(objects: &Deadline, file: &FilePath, path: &Path) -> Result<()> {
    let mut file = File::open(file).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes <= PART_BYTES {
        let (_, whole) = part(file).await?;
        return objects.put(path, whole.into()).await.map(drop);
    }
    let mut upload = objects.put_multipart_opts(path, Default::default()).await?;
    let mut under_way = FuturesUnordered::new();
    let sent = async {
        let mut left = bytes;
        while left > 0 {
            let (rest, data) = part(file).await?;
            file = rest;
            left = left.saturating_sub(PART_BYTES);
            under_way.push(upload.put_part(data.into()));
            if under_way.len() == PARALLEL {
                under_way.try_next().await?;
            }
        }
        while under_way.try_next().await?.is_some() {}
        upload.complete().await
    };
    match sent.await {
        Ok(_) => Ok(()),
        Err(error) => {
            if let Err(cause) = upload.abort().await {
                tracing::warn!(%path, %cause, "parts of an upload that failed may be left in the bucket");
            }
            Err(error)
        }
    }
}

async fn part(mut file: File) -> Result<(File, Bytes)> {
    let read = tokio::task::spawn_blocking(move || {
        let mut data = Vec::new();
        (&mut file).take(PART_BYTES).read_to_end(&mut data)?;
        Ok((file, Bytes::from(data)))
    });
    read.await?.map_err(failed)
}

fn failed(error: io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "upload", source: Box::new(error) }
}
