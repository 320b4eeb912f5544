//! Lists the files of a sequence, with the records that decide which of them are unreferenced.

use mosaico_types::id::SequenceId;
use object_store::path::Path;

use super::Store;
use crate::error::Result;
use crate::format::paths::{RecordKey, SequencePaths, StoreFile, locate};
use crate::format::record_kind::RecordKind;
use crate::format::unreferenced::{ListedFile, References};

impl Store {
    /// Lists the files of a sequence, and reads the records that decide about them.
    pub async fn sequence_files(&self, id: SequenceId) -> Result<(Vec<ListedFile>, References)> {
        let paths = SequencePaths(id);
        let objects = self.objects_below(&paths.folder()).await?;
        let files: Vec<ListedFile> = objects.into_iter().map(ListedFile::from).collect();
        let mut references = References::default();
        let has = |path: &Path| files.iter().any(|file| file.path == *path && !file.is_barrier());
        if has(&paths.deleted()) {
            self.refer(&paths.deleted(), &mut references).await?;
            return Ok((files, references));
        }
        let mut chunks = Vec::new();
        for file in files.iter().filter(|file| !file.is_barrier()) {
            match locate(&file.path).file {
                StoreFile::Record(_, RecordKey::Chunk(chunk)) => chunks.push((&file.path, chunk)),
                // They need no reference, whatever their content.
                StoreFile::Record(RecordKind::Notification, _) if has(&paths.created()) => {}
                StoreFile::Record(..) => self.refer(&file.path, &mut references).await?,
                StoreFile::Chunk(_) | StoreFile::Wal(_) | StoreFile::UnknownRecord | StoreFile::Foreign => {}
            }
        }
        // Only records that would be removed have to be read: a referenced record, or one that references its
        // chunk by its presence, is kept.
        for (path, chunk) in chunks {
            let topic = locate(path).topic;
            let named = topic.and_then(|topic| references.chunks.get(&topic));
            if named.is_some_and(|named| !named.contains(&chunk)) {
                self.refer(path, &mut references).await?;
            }
        }
        Ok((files, references))
    }

    async fn refer(&self, path: &Path, references: &mut References) -> Result<()> {
        // If the record was removed meanwhile, it references nothing.
        if let Some(bytes) = self.get(path).await? {
            references.add(path, &bytes);
        }
        Ok(())
    }
}
