//! Records that are written once, inside a change: at most one attempt of at most one daemon takes effect.

use mosaico_catalog::Change;
use mosaico_storage::error::Result;
use mosaico_storage::format::record::Record;
use object_store::path::Path;

use super::engine::Engine;

impl Engine {
    /// Writes a record, durably. `change` is the one that was begun for this record.
    ///
    /// # Errors
    /// [`mosaico_storage::error::Error::StoreUnavailable`] if another daemon decided that the record does not exist.
    pub async fn write_once<T: Record>(&self, change: &Change, path: &Path, record: &T) -> Result<()> {
        let Some(barrier) = self.store.try_create_json(path, record).await? else { return Ok(()) };
        self.catalog.check_intent(change).await?;
        self.store.replace_barrier(path, record, barrier).await
    }

    /// Removes a record that was written once, if it is there.
    ///
    /// # Errors
    /// As of [`Self::write_once`].
    pub async fn withdraw(&self, change: &Change, path: &Path) -> Result<()> {
        let Some(found) = self.store.find(path).await? else { return Ok(()) };
        self.catalog.check_intent(change).await?;
        self.store.withdraw(path, found).await
    }
}
