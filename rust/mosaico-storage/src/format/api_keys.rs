//! The records of API keys. Only commands write `api-keys.json`, also while daemons serve the store; daemons
//! read it again when it changes. Daemons write `api-key-uses.json`.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mosaico_types::access::{Fingerprint, Grant, KeyLimits, Scope};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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
        let record = ApiKeysRecord {
            signing_secret: Hidden(vec![0xfa; 32]),
            link_salt: Some(Hidden(vec![7; 16])),
            keys,
        };
        let bytes = write(&record).unwrap();
        assert_eq!(read::<ApiKeysRecord>(&bytes).unwrap().0, record);
        let shown = format!("{record:?}");
        assert!(!shown.contains("250") && !shown.contains(", 7, 7"), "{shown}");
        let last_used_ns = BTreeMap::from([("1b676530".parse().unwrap(), 7)]);
        let uses = ApiKeyUsesRecord { last_used_ns };
        assert_eq!(read::<ApiKeyUsesRecord>(&write(&uses).unwrap()).unwrap().0, uses);
    }

    #[test]
    fn validity() {
        assert!(key(None, None).is_valid(i64::MAX));
        assert!(key(Some(5), None).is_valid(4) && !key(Some(5), None).is_valid(5));
        assert!(!key(None, Some(1)).is_valid(0));
    }
}
