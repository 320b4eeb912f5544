//! The API keys of a store, as a daemon sees them.
//!
//! Commands change the record of the keys while daemons serve. A daemon looks whether the record changed when
//! a call needs a key and the last look is older than [`FRESH`]: a change takes effect on new calls of every
//! daemon within that time, and a daemon whose callers have no keys sends no requests. While the store is
//! unavailable, the daemon uses the keys that it knows, so that recordings continue.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::api_keys::{
    AccessChange, ApiKeyRecord, ApiKeyUsesRecord, ApiKeysRecord, Hidden,
};
use mosaico_storage::format::paths::{api_key_uses_file, api_keys_file};
use mosaico_storage::objects::Store;
use mosaico_types::access::{Fingerprint, Right, Token};
use mosaico_types::now_ns;
use object_store::UpdateVersion;
use parking_lot::Mutex;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::secret::{self, Signer};

/// For how long a look at the store counts.
const FRESH: Duration = Duration::from_millis(250);

/// How long a call waits for the store if the daemon knows earlier keys.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

/// How exact the time of the last use of a key is.
const USE_INTERVAL_NS: i64 = 60_000_000_000;

/// The keys of a store at some moment.
#[derive(Debug, Default)]
pub struct KeyRing {
    keys: HashMap<Fingerprint, ApiKeyRecord>,
    /// The keys of each client certificate; at most one of them is valid.
    certificates: HashMap<String, Vec<Fingerprint>>,
    signer: Option<Signer>,
    link_salt: Option<Hidden>,
}

impl KeyRing {
    /// The keys of a record.
    pub fn new(record: ApiKeysRecord) -> Self {
        let signer = Signer::new(&record.signing_secret);
        let mut certificates: HashMap<String, Vec<Fingerprint>> = HashMap::new();
        for key in &record.keys {
            if let Some(name) = &key.certificate {
                certificates.entry(name.clone()).or_default().push(key.fingerprint);
            }
        }
        let keys = record.keys.into_iter().map(|key| (key.fingerprint, key)).collect();
        Self { keys, certificates, signer, link_salt: record.link_salt }
    }

    /// The valid key with this token. A wrong, an expired, a revoked and an unknown one take the same time.
    pub fn find(&self, token: &Token, now_ns: i64) -> Option<&ApiKeyRecord> {
        let found = self.keys.get(&token.fingerprint());
        let is_right = secret::is_of(token, found);
        found.filter(|key| is_right && key.is_valid(now_ns))
    }

    /// The valid key of a client certificate with this identity.
    pub fn find_certificate(&self, name: &str, now_ns: i64) -> Option<&ApiKeyRecord> {
        let keys = self.certificates.get(name)?.iter().filter_map(|key| self.keys.get(key));
        keys.into_iter().find(|key| key.is_valid(now_ns))
    }

    /// Whether a client certificate has a key, also an expired or a revoked one.
    pub fn has_certificate(&self, name: &str) -> bool {
        self.certificates.contains_key(name)
    }

    /// Whether calls of a key that was valid are still answered.
    pub fn is_valid(&self, key: Fingerprint, now_ns: i64) -> bool {
        self.keys.get(&key).is_some_and(|key| key.is_valid(now_ns))
    }

    /// The key, if it is valid and may read a sequence.
    pub(super) fn readers_key(&self, key: Fingerprint, sequence: &str, now_ns: i64) -> Option<&ApiKeyRecord> {
        let key = self.keys.get(&key).filter(|key| key.is_valid(now_ns))?;
        key.grant().allows(Right::Read, sequence).then_some(key)
    }

    /// Part of each signature of a link; empty until links are revoked for the first time.
    pub(super) fn link_salt(&self) -> &[u8] {
        self.link_salt.as_ref().map_or(&[], |Hidden(salt)| salt)
    }

    /// Signs with the secret of the store; `None`: the store never had an API key.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }
}

fn unavailable() -> Error {
    Error::StoreUnavailable("reading the API keys".into())
}

#[derive(Debug, Default)]
struct Known {
    /// The end of the last look, whatever it found.
    looked: Option<Instant>,
    /// `None`: the keys were never read.
    ring: Option<Arc<KeyRing>>,
    version: Option<UpdateVersion>,
    /// Whether the last look failed: only the first failure is logged.
    failing: bool,
}

/// What the audit log has of the changes of keys and links.
#[derive(Debug, Default)]
struct Audited {
    /// The last change that it has.
    last: Option<String>,
    /// The record of which it has every change.
    version: Option<UpdateVersion>,
}

/// The API keys of a store.
#[derive(Debug)]
pub struct Keys {
    store: Store,
    known: Mutex<Known>,
    /// Locked during a look: concurrent calls share it.
    looking: tokio::sync::Mutex<()>,
    /// The noted last uses.
    uses: Mutex<HashMap<Fingerprint, i64>>,
    audited: Mutex<Audited>,
    /// Locked while the uses are written.
    writing: tokio::sync::Mutex<()>,
    tasks: TaskTracker,
}

impl Keys {
    /// The keys of a store; reads them when a call needs them. `tasks` are waited for at the shutdown.
    pub fn new(store: Store, tasks: TaskTracker) -> Self {
        let (known, looking, uses, audited, writing) = Default::default();
        Self { store, known, looking, uses, audited, writing, tasks }
    }

    /// The current keys.
    ///
    /// # Errors
    /// [`Error::StoreUnavailable`] if they cannot be read and were never read before.
    pub async fn ring(&self) -> Result<Arc<KeyRing>> {
        if let Some(ring) = self.fresh() {
            return ring;
        }
        let _looking = self.looking.lock().await;
        if let Some(ring) = self.fresh() {
            return ring;
        }
        let has_earlier = self.known.lock().ring.is_some();
        let found = match has_earlier {
            true => match timeout(LOOK_TIMEOUT, self.look()).await {
                Ok(found) => found,
                Err(_) => Err(unavailable()),
            },
            false => self.look().await,
        };
        let mut known = self.known.lock();
        known.looked = Some(Instant::now());
        if let Err(error) = &found
            && !known.failing
        {
            let cause = error.detail();
            tracing::error!(%cause, "the API keys cannot be read; the daemon uses those that it knows");
        }
        known.failing = found.is_err();
        known.ring.clone().ok_or_else(unavailable)
    }

    /// What the last look found, if it was a short time ago.
    fn fresh(&self) -> Option<Result<Arc<KeyRing>>> {
        let known = self.known.lock();
        let is_fresh = known.looked.is_some_and(|looked| looked.elapsed() < FRESH);
        is_fresh.then(|| known.ring.clone().ok_or_else(unavailable))
    }

    /// Reads the keys if they changed.
    async fn look(&self) -> Result<()> {
        let (version, is_known) = {
            let known = self.known.lock();
            (known.version.clone(), known.ring.is_some())
        };
        if is_known && self.store.version(&api_keys_file()).await? == version {
            return Ok(());
        }
        let found = self.store.get_json_versioned::<ApiKeysRecord>(&api_keys_file()).await?;
        let (ring, version) = match found {
            Some((record, version)) => (KeyRing::new(record), Some(version)),
            None => (KeyRing::default(), None),
        };
        let mut known = self.known.lock();
        known.ring = Some(Arc::new(ring));
        known.version = version;
        Ok(())
    }

    /// Notes that a key is used now.
    pub fn note_use(self: &Arc<Self>, key: Fingerprint) {
        let now = now_ns();
        {
            let mut uses = self.uses.lock();
            if uses.get(&key).is_some_and(|last| now - last < USE_INTERVAL_NS) {
                return;
            }
            uses.insert(key, now);
        }
        let keys = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = keys.write_uses().await {
                tracing::debug!(cause = %error.detail(), "the last use of API keys is not stored now");
            }
        });
    }

    /// The changes of keys and links that the audit log does not have, oldest first.
    pub async fn unaudited(&self) -> Result<Vec<AccessChange>> {
        let version = self.store.version(&api_keys_file()).await?;
        if version.is_none() || version == self.audited.lock().version {
            return Ok(Vec::new());
        }
        let record = self.store.get_json::<ApiKeysRecord>(&api_keys_file()).await?;
        let mut changes = record.map(|record| record.changes).unwrap_or_default();
        let uses = self.store.get_json::<ApiKeyUsesRecord>(&api_key_uses_file()).await?.unwrap_or_default();
        let mut audited = self.audited.lock();
        audited.last = uses.audited.clone().max(audited.last.take());
        let last = audited.last.as_ref();
        changes.retain(|change| last.is_none_or(|last| change.id > *last));
        if changes.is_empty() && uses.audited == audited.last {
            audited.version = version;
        }
        Ok(changes)
    }

    /// Notes that the audit log has all changes up to the one with this id.
    pub async fn note_audited(&self, id: String) -> Result<()> {
        self.audited.lock().last = Some(id);
        self.write_uses().await
    }

    /// Adds the noted uses to the record. Other daemons write it too: a use that is lost in a race is noted
    /// again a minute later.
    async fn write_uses(&self) -> Result<()> {
        let _writing = self.writing.lock().await;
        let path = api_key_uses_file();
        let found = self.store.get_json_versioned::<ApiKeyUsesRecord>(&path).await?;
        let (mut record, version) = match found {
            Some((record, version)) => (record, Some(version)),
            None => (ApiKeyUsesRecord::default(), None),
        };
        let before = record.clone();
        for (key, used) in self.uses.lock().iter() {
            let last = record.last_used_ns.entry(*key).or_insert(*used);
            *last = (*last).max(*used);
        }
        record.audited = record.audited.max(self.audited.lock().last.clone());
        let ring = self.known.lock().ring.clone();
        if let Some(ring) = ring {
            record.last_used_ns.retain(|key, _| ring.keys.contains_key(key));
        }
        if record != before {
            self.store.replace_json(&path, &record, version.as_ref()).await?;
        }
        Ok(())
    }
}
