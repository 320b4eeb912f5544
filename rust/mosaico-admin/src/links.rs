//! Signed links that a command creates, and the revocation of all links.

use mosaico_engine::access::keys::KeyRing;
use mosaico_engine::access::link::{IssuedLink, NewLink};
use mosaico_engine::access::secret::new_link_salt;
use mosaico_storage::error::Result;
use mosaico_types::now_ns;

use crate::api_keys::ApiKeys;

impl ApiKeys {
    /// Signs a link. It does not look whether the sequence exists.
    ///
    /// # Errors
    /// As of [`KeyRing::issue_link`]; [`mosaico_storage::error::Error::Internal`] or
    /// [`mosaico_storage::error::Error::StoreUnavailable`] if the store cannot be used.
    pub async fn create_link(&self, new: NewLink) -> Result<IssuedLink> {
        // A store that never had a key has no secret yet.
        let record = self.change(|record| Ok(record.clone())).await?;
        KeyRing::new(record).issue_link(new, now_ns())
    }

    /// Makes all links that were created until now invalid.
    ///
    /// # Errors
    /// As of [`Self::create`].
    pub async fn revoke_links(&self) -> Result<()> {
        self.change(|record| {
            record.link_salt = Some(new_link_salt()?);
            Ok(())
        })
        .await
    }
}
