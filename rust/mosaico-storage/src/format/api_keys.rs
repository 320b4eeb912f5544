//! The records of API keys. Only commands write `api-keys.json`, also while daemons serve the store; daemons
//! read it again when it changes. Daemons write `api-key-uses.json`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mosaico_types::access::{Fingerprint, Grant, KeyLimits, Scope};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use ulid::Ulid;

/// `api-keys.json`: all API keys, replaced as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeysRecord {
    /// Signs tickets, and calls between the daemons of the store.
    pub signing_secret: Hidden,
    /// Part of each signature of a link. A new one makes all earlier links invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_salt: Option<Hidden>,
    /// In the order of creation.
    pub keys: Vec<ApiKeyRecord>,
    /// The last changes, oldest first: daemons add them to the audit log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AccessChange>,
}

/// A change of keys or links by a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessChange {
    /// A ULID, greater than those of all earlier changes.
    pub id: String,
    pub at_ns: i64,
    /// The user of the command.
    pub who: String,
    /// The machine of the command.
    pub from: String,
    pub call: String,
    /// The fingerprint of the key, or the sequence of the link.
    pub subject: String,
}

/// Changes that the record keeps.
const KEPT_CHANGES: usize = 1000;

impl ApiKeysRecord {
    /// Adds a change by the user `who` on the machine `from`.
    pub fn note(&mut self, (who, from): (&str, &str), call: &str, subject: String, at_ns: i64) {
        let last = self.changes.last().and_then(|last| last.id.parse::<Ulid>().ok());
        let id = last.and_then(|last| last.increment()).map_or_else(Ulid::new, |next| Ulid::new().max(next));
        let (who, from, call) = (who.to_owned(), from.to_owned(), call.to_owned());
        self.changes.push(AccessChange { id: id.to_string(), at_ns, who, from, call, subject });
        self.changes.drain(..self.changes.len().saturating_sub(KEPT_CHANGES));
    }
}

/// One API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRecord {
    pub fingerprint: Fingerprint,
    /// SHA-256 of the secret part. The secret is random and has 165 bits, so nobody can guess it from the
    /// hash, however fast the hash is; a slow hash would only delay each call.
    /// Empty in a record for a certificate, so that no secret opens it.
    pub secret_sha256: Hidden,
    /// The identity of the client certificate that stands for the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    pub description: String,
    pub scopes: Vec<Scope>,
    #[serde(default, skip_serializing_if = "KeyLimits::is_empty")]
    pub limits: KeyLimits,
    pub created_ns: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ns: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ns: Option<i64>,
}

impl ApiKeyRecord {
    /// Whether calls with the key are answered.
    pub fn is_valid(&self, now_ns: i64) -> bool {
        self.revoked_ns.is_none() && self.expires_ns.is_none_or(|expires| now_ns < expires)
    }

    pub fn grant(&self) -> Grant {
        Grant::new(self.scopes.clone())
    }
}

/// `api-key-uses.json`: the last use of each key, to the minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyUsesRecord {
    pub last_used_ns: BTreeMap<Fingerprint, i64>,
    /// The last [`AccessChange`] that the audit log has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audited: Option<String>,
}

/// Bytes that logs do not show; base64 in a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub Vec<u8>);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hidden")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::record::{read, write};

    fn key(expires_ns: Option<i64>, revoked_ns: Option<i64>) -> ApiKeyRecord {
        ApiKeyRecord {
            fingerprint: "1b676530".parse().unwrap(),
            secret_sha256: Hidden(vec![7; 32]),
            certificate: Some("robot-7".into()),
            description: "robot 7".into(),
            scopes: vec![Scope::parse("fleet-*:read,write", None).unwrap()],
            limits: KeyLimits { calls: Some(16), ..KeyLimits::default() },
            created_ns: 1,
            expires_ns,
            revoked_ns,
        }
    }

    #[test]
    fn records_read_back_and_hide_their_secrets() {
        let keys = vec![key(None, None), key(Some(9), Some(8))];
        let mut record = ApiKeysRecord {
            signing_secret: Hidden(vec![0xfa; 32]),
            link_salt: Some(Hidden(vec![7; 16])),
            keys,
            changes: Vec::new(),
        };
        record.note(("user 0", "host"), "api_key_create", "1b676530".into(), 1);
        let bytes = write(&record).unwrap();
        assert_eq!(read::<ApiKeysRecord>(&bytes).unwrap().0, record);
        let shown = format!("{record:?}");
        assert!(!shown.contains("250") && !shown.contains(", 7, 7"), "{shown}");
        let last_used_ns = BTreeMap::from([("1b676530".parse().unwrap(), 7)]);
        let uses = ApiKeyUsesRecord { last_used_ns, audited: Some(record.changes[0].id.clone()) };
        assert_eq!(read::<ApiKeyUsesRecord>(&write(&uses).unwrap()).unwrap().0, uses);
    }

    #[test]
    fn changes_are_in_order_and_limited() {
        let mut record =
            ApiKeysRecord { signing_secret: Hidden(vec![]), link_salt: None, keys: vec![], changes: vec![] };
        for number in 0..KEPT_CHANGES + 5 {
            record.note(("user 0", "host"), "api_key_revoke", number.to_string(), 1);
        }
        assert_eq!((record.changes.len(), record.changes[0].subject.as_str()), (KEPT_CHANGES, "5"));
        assert!(record.changes.is_sorted_by(|one, next| one.id < next.id));
    }

    #[test]
    fn validity() {
        assert!(key(None, None).is_valid(i64::MAX));
        assert!(key(Some(5), None).is_valid(4) && !key(Some(5), None).is_valid(5));
        assert!(!key(None, Some(1)).is_valid(0));
    }
}
