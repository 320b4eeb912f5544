//! Signed links that a command creates, and the revocation of all links.

use mosaico_engine::access::keys::KeyRing;
use mosaico_engine::access::link::{IssuedLink, NewLink};
use mosaico_engine::access::secret::new_link_salt;
use mosaico_storage::error::Result;
use mosaico_storage::format::api_keys::ApiKeysRecord;
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
        let sequence = new.sequence.to_string();
        let change = |record: &mut ApiKeysRecord| {
            let issued = KeyRing::new(record.clone()).issue_link(new.clone(), now_ns())?;
            self.note(record, "link_create", sequence.clone());
            Ok(issued)
        };
        self.change(change).await
    }

    /// Makes all links that were created until now invalid.
    ///
    /// # Errors
    /// As of [`Self::create`].
    pub async fn revoke_links(&self) -> Result<()> {
        self.change(|record| {
            record.link_salt = Some(new_link_salt()?);
            self.note(record, "link_revoke_all", "*".to_owned());
            Ok(())
        })
        .await
    }
}
