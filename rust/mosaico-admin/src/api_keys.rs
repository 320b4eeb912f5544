//! The API keys of a store. Commands change them beside running daemons: they write `api-keys.json` and
//! nothing else, daemons only read it. In a bucket, a conditional put excludes other commands; in a folder, a
//! lock file does.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use mosaico_engine::access::secret::{Signer, hash, new_signing_secret, new_token};
use mosaico_engine::state::config::Config;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::api_keys::{ApiKeyRecord, ApiKeyUsesRecord, ApiKeysRecord, Hidden};
use mosaico_storage::format::paths::{api_key_uses_file, api_keys_file};
use mosaico_storage::objects::Store;
use mosaico_storage::objects::durable::create_folders;
use mosaico_storage::objects::location::StoreLocation;
use mosaico_types::access::{Fingerprint, KeyLimits, Scope, Token};
use mosaico_types::{ErrorCode, now_ns};
use tokio::time::sleep;

/// The lock of commands that change the keys of a folder.
const LOCK: &str = "api-keys.lock";
/// The folder of files that are being written.
const STAGING: &str = "tmp";

/// Attempts to replace the record while others replace it too.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(20);

const MAX_KEYS: usize = 10_000;
const MAX_DESCRIPTION_BYTES: usize = 1024;
const MAX_SCOPES: usize = 100;

/// A description of a new key.
#[derive(Debug, Clone)]
pub struct NewKey {
    pub description: String,
    pub scopes: Vec<Scope>,
    pub limits: KeyLimits,
    pub expires_ns: Option<i64>,
}

/// Changes of an existing key; `None`: as it is.
#[derive(Debug, Clone, Default)]
pub struct KeyUpdate {
    pub description: Option<String>,
    /// Removes the limits that the key has; those in `limits` are set afterwards.
    pub no_limits: bool,
    pub limits: KeyLimits,
    /// `Some(None)`: the key does not expire.
    pub expires_ns: Option<Option<i64>>,
}

/// Who runs a command, for the audit log.
#[derive(Debug, Clone)]
pub struct Author {
    /// The user.
    pub who: String,
    /// The machine.
    pub from: String,
}

/// Whether calls with a key are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    Valid,
    Expired,
    Revoked,
}

/// What everybody may know of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    pub fingerprint: Fingerprint,
    pub state: KeyState,
    /// The identity of the client certificate that stands for the secret.
    pub certificate: Option<String>,
    pub description: String,
    pub scopes: Vec<Scope>,
    pub limits: KeyLimits,
    pub created_ns: i64,
    pub expires_ns: Option<i64>,
    pub revoked_ns: Option<i64>,
    /// To the minute; `None`: never used.
    pub last_used_ns: Option<i64>,
}

impl KeyInfo {
    fn of(key: &ApiKeyRecord, uses: &ApiKeyUsesRecord) -> Self {
        let state = match key.revoked_ns {
            Some(_) => KeyState::Revoked,
            None if key.is_valid(now_ns()) => KeyState::Valid,
            None => KeyState::Expired,
        };
        Self {
            fingerprint: key.fingerprint,
            state,
            certificate: key.certificate.clone(),
            description: key.description.clone(),
            scopes: key.scopes.clone(),
            limits: key.limits,
            created_ns: key.created_ns,
            expires_ns: key.expires_ns,
            revoked_ns: key.revoked_ns,
            last_used_ns: uses.last_used_ns.get(&key.fingerprint).copied(),
        }
    }
}

/// The API keys of a store.
#[derive(Debug)]
pub struct ApiKeys {
    store: Store,
    location: StoreLocation,
    author: Author,
}

impl ApiKeys {
    /// Opens the keys of an existing store, also while daemons serve it.
    ///
    /// # Errors
    /// [`Error::Startup`] if there is no store.
    pub fn open(config: &Config, author: Author) -> Result<Self> {
        match &config.store {
            StoreLocation::Local(folder) if !folder.is_dir() => Err(Error::Startup(format!(
                "there is no store in {}; name the folder that `mosaicod run` serves",
                folder.display()
            ))),
            location => {
                let store = Store::open_to_read(&config.read_options())?;
                Ok(Self { store, location: location.clone(), author })
            }
        }
    }

    /// As [`Self::open`]; creates a missing folder, so that a store has keys before its first daemon starts.
    ///
    /// # Errors
    /// [`Error::Startup`] if the folder cannot be created.
    pub fn create_store(config: &Config, author: Author) -> Result<Self> {
        if let StoreLocation::Local(folder) = &config.store {
            create_folders(folder).map_err(|e| unusable(folder, &e))?;
        }
        Self::open(config, author)
    }

    /// Adds a key. Its token exists only in the returned value.
    ///
    /// # Errors
    /// [`Error::Invalid`] or [`Error::Refused`] for a description, scopes or a time that no key can have;
    /// [`Error::Internal`] or [`Error::StoreUnavailable`] if the store cannot be written.
    pub async fn create(&self, new: NewKey) -> Result<(Token, KeyInfo)> {
        self.add(new, None).await
    }

    /// Adds a key for clients with a certificate of this identity. It has no secret.
    ///
    /// # Errors
    /// As of [`Self::create`]; [`ErrorCode::AlreadyExists`] if the certificate has a valid key.
    pub async fn create_for_certificate(&self, new: NewKey, certificate: String) -> Result<KeyInfo> {
        let is_name = (1..=MAX_DESCRIPTION_BYTES).contains(&certificate.len());
        if !is_name || certificate.chars().any(char::is_control) {
            let text = format!(
                "`{certificate}` is no identity of a certificate; use its common name, of at most \
                 {MAX_DESCRIPTION_BYTES} bytes"
            );
            return Err(Error::Invalid(text));
        }
        Ok(self.add(new, Some(certificate)).await?.1)
    }

    async fn add(&self, new: NewKey, certificate: Option<String>) -> Result<(Token, KeyInfo)> {
        check(&new)?;
        let mut token = new_token()?;
        let secret = |token: &Token| match &certificate {
            Some(_) => Hidden(Vec::new()),
            None => hash(token),
        };
        let NewKey { description, scopes, limits, expires_ns } = new;
        let mut key = ApiKeyRecord {
            fingerprint: token.fingerprint(),
            secret_sha256: secret(&token),
            certificate: certificate.clone(),
            description,
            scopes,
            limits,
            created_ns: now_ns(),
            expires_ns,
            revoked_ns: None,
        };
        self.change(|record| {
            // An attempt that seemed to fail may have added it.
            if record.keys.contains(&key) {
                return Ok(());
            }
            if record.keys.len() >= MAX_KEYS {
                let text =
                    format!("the store has {MAX_KEYS} API keys; purge those that are not valid any more");
                return Err(Error::Refused(ErrorCode::TooMany, text));
            }
            check_certificate(&record.keys, &key)?;
            while record.keys.iter().any(|other| other.fingerprint == key.fingerprint) {
                token = new_token()?;
                (key.fingerprint, key.secret_sha256) = (token.fingerprint(), secret(&token));
            }
            record.keys.push(key.clone());
            self.note(record, "api_key_create", key.fingerprint.to_string());
            Ok(())
        })
        .await?;
        let info = KeyInfo::of(&key, &ApiKeyUsesRecord::default());
        Ok((token, info))
    }

    /// All keys, oldest first.
    ///
    /// # Errors
    /// [`Error::Internal`] or [`Error::StoreUnavailable`] if the store cannot be read.
    pub async fn list(&self) -> Result<Vec<KeyInfo>> {
        let record = self.store.get_json::<ApiKeysRecord>(&api_keys_file()).await?;
        let uses = self.store.get_json::<ApiKeyUsesRecord>(&api_key_uses_file()).await?.unwrap_or_default();
        let keys = record.map(|record| record.keys).unwrap_or_default();
        Ok(keys.iter().map(|key| KeyInfo::of(key, &uses)).collect())
    }

    /// One key.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is no such key; else as of [`Self::list`].
    pub async fn status(&self, fingerprint: Fingerprint) -> Result<KeyInfo> {
        let keys = self.list().await?;
        keys.into_iter().find(|key| key.fingerprint == fingerprint).ok_or_else(|| unknown(fingerprint))
    }

    /// Revokes a key for ever. A second time changes nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is no such key; else as of [`Self::create`].
    pub async fn revoke(&self, fingerprint: Fingerprint) -> Result<KeyInfo> {
        self.change(|record| {
            let key = record.keys.iter_mut().find(|key| key.fingerprint == fingerprint);
            let key = key.ok_or_else(|| unknown(fingerprint))?;
            if key.revoked_ns.is_none() {
                key.revoked_ns = Some(now_ns());
                self.note(record, "api_key_revoke", fingerprint.to_string());
            }
            Ok(())
        })
        .await?;
        self.status(fingerprint).await
    }

    /// Changes the description, the limits or the expiry of a key. Its secret, its rights and scopes stay.
    ///
    /// # Errors
    /// [`Error::Refused`] if there is no such key, if it is revoked, or if its certificate has another valid key;
    /// else as of [`Self::create`].
    pub async fn update(&self, fingerprint: Fingerprint, update: KeyUpdate) -> Result<KeyInfo> {
        self.change(|record| {
            let others = record.keys.clone();
            let key = record.keys.iter_mut().find(|key| key.fingerprint == fingerprint);
            let key = key.ok_or_else(|| unknown(fingerprint))?;
            if key.revoked_ns.is_some() {
                let text =
                    format!("the API key {fingerprint} is revoked, which is for ever; create another one");
                return Err(Error::Refused(ErrorCode::InvalidInput, text));
            }
            let before = key.clone();
            if let Some(description) = &update.description {
                key.description.clone_from(description);
            }
            if update.no_limits {
                key.limits = KeyLimits::default();
            }
            key.limits = KeyLimits {
                calls: update.limits.calls.or(key.limits.calls),
                call_rate: update.limits.call_rate.or(key.limits.call_rate),
                bytes: update.limits.bytes.or(key.limits.bytes),
            };
            if let Some(expires_ns) = update.expires_ns {
                key.expires_ns = expires_ns;
                check_certificate(&others, key)?;
            }
            check(&NewKey {
                description: key.description.clone(),
                scopes: key.scopes.clone(),
                limits: key.limits,
                expires_ns: update.expires_ns.flatten(),
            })?;
            if *key != before {
                self.note(record, "api_key_update", fingerprint.to_string());
            }
            Ok(())
        })
        .await?;
        self.status(fingerprint).await
    }

    /// Removes expired and revoked keys; with `all`, every key. Returns the removed ones.
    ///
    /// # Errors
    /// As of [`Self::create`].
    pub async fn purge(&self, all: bool) -> Result<Vec<Fingerprint>> {
        self.change(|record| {
            let now = now_ns();
            let (left, removed): (Vec<_>, Vec<_>) =
                record.keys.drain(..).partition(|key| !all && key.is_valid(now));
            record.keys = left;
            for key in &removed {
                self.note(record, "api_key_purge", key.fingerprint.to_string());
            }
            Ok(removed.iter().map(|key| key.fingerprint).collect())
        })
        .await
    }

    /// Adds a change to the record, for the audit log of the next daemon that looks.
    pub(crate) fn note(&self, record: &mut ApiKeysRecord, call: &str, subject: String) {
        let Author { who, from } = &self.author;
        record.note((who, from), call, subject, now_ns());
    }

    /// Replaces the record. `change` may run several times.
    pub(crate) async fn change<T>(
        &self,
        mut change: impl FnMut(&mut ApiKeysRecord) -> Result<T>,
    ) -> Result<T> {
        let _alone = self.lock().await?;
        let path = api_keys_file();
        let mut attempts = 0;
        loop {
            let (mut record, version) = match self.store.get_json_versioned::<ApiKeysRecord>(&path).await? {
                Some((record, version)) => (record, Some(version)),
                None => {
                    let signing_secret = new_signing_secret()?;
                    (
                        ApiKeysRecord {
                            signing_secret,
                            link_salt: None,
                            keys: Vec::new(),
                            changes: Vec::new(),
                        },
                        None,
                    )
                }
            };
            let changed = change(&mut record)?;
            attempts += 1;
            match self.store.replace_json(&path, &record, version.as_ref()).await {
                // Another command was faster; a daemon that starts empties the folder of staging files.
                Err(Error::StoreUnavailable(_) | Error::Internal(_)) if attempts < ATTEMPTS => {
                    sleep(PAUSE * attempts).await;
                }
                replaced => return replaced.map(|_| changed),
            }
        }
    }

    /// Excludes other commands from a folder.
    async fn lock(&self) -> Result<Option<File>> {
        let StoreLocation::Local(folder) = &self.location else { return Ok(None) };
        let folder = folder.clone();
        let lock = move || {
            create_folders(&folder.join(STAGING)).map_err(|e| unusable(&folder, &e))?;
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).write(true);
            let file = options.open(folder.join(LOCK)).map_err(|e| unusable(&folder, &e))?;
            file.lock().map_err(|e| unusable(&folder, &e))?;
            Ok(Some(file))
        };
        let locked = tokio::task::spawn_blocking(lock).await;
        locked.map_err(|e| Error::internal("locking the API keys", e))?
    }
}

/// The signer of a store; `None`: it never had an API key.
pub(crate) async fn signer(config: &Config) -> Result<Option<Signer>> {
    let store = Store::open_to_read(&config.read_options())?;
    let record = store.get_json::<ApiKeysRecord>(&api_keys_file()).await?;
    Ok(record.and_then(|record| Signer::new(&record.signing_secret)))
}

/// A certificate has one valid key at a time.
fn check_certificate(keys: &[ApiKeyRecord], key: &ApiKeyRecord) -> Result<()> {
    let has_it = |other: &&ApiKeyRecord| {
        key.certificate.is_some()
            && other.certificate == key.certificate
            && other.fingerprint != key.fingerprint
            && other.is_valid(now_ns())
    };
    let Some(other) = keys.iter().find(has_it) else { return Ok(()) };
    let text = format!(
        "the certificate has the API key {}; revoke it first, or choose other scopes for another certificate",
        other.fingerprint
    );
    Err(Error::Refused(ErrorCode::AlreadyExists, text))
}

fn check(new: &NewKey) -> Result<()> {
    let too_large = |text: String| Err(Error::Refused(ErrorCode::TooLarge, text));
    if new.description.len() > MAX_DESCRIPTION_BYTES {
        let bytes = new.description.len();
        return too_large(format!(
            "the description has {bytes} bytes; at most {MAX_DESCRIPTION_BYTES} are allowed"
        ));
    }
    if new.scopes.len() > MAX_SCOPES {
        return too_large(format!("{} scopes; at most {MAX_SCOPES} are allowed", new.scopes.len()));
    }
    if new.scopes.iter().all(|scope| scope.rights.is_empty()) {
        return Err(Error::Invalid("a key needs a right; add --permissions or --scope".into()));
    }
    if new.description.chars().any(char::is_control) {
        return Err(Error::Invalid("the description has control characters; use printable text".into()));
    }
    let KeyLimits { calls, call_rate, bytes } = new.limits;
    if calls == Some(0) || call_rate == Some(0) || bytes == Some(0) {
        return Err(Error::Invalid("a limit of the key is 0; leave it out to use that of the daemon".into()));
    }
    match new.expires_ns {
        Some(expires) if expires <= now_ns() => {
            Err(Error::Invalid("the key would expire at once; choose a time in the future".into()))
        }
        _ => Ok(()),
    }
}

fn unknown(fingerprint: Fingerprint) -> Error {
    let text = format!("there is no API key {fingerprint}; `mosaicod api-key list` shows all");
    Error::Refused(ErrorCode::NotFound, text)
}

fn unusable(folder: &Path, error: &std::io::Error) -> Error {
    Error::Startup(format!("cannot use the store folder {}: {error}", folder.display()))
}

#[cfg(test)]
mod tests;
