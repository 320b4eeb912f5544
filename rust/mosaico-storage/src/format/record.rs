//! The envelope of all JSON records: the first member is `format_version`, the last one the checksum of all
//! bytes before it ([`crate::format::checksum`]). The members between them depend on the record's kind and
//! version.
//!
//! The envelope never changes, so that every version of the program can distinguish a damaged record from one
//! that a newer version wrote. [`read`] is the only way from bytes to a record, [`write`] the only way back:
//! no caller can skip the checksum or the version.

use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format::api_keys::{ApiKeyUsesRecord, ApiKeysRecord};
use crate::format::checksum::{self, Checksum, add_checksum};
use crate::format::damage::DamageRecord;
use crate::format::record_kind::{CheckRule, RecordKind};
use crate::format::records::{
    ChunkRecord, CommitRecord, DeletedRecord, EndedRecord, EpochRecord, EventsRecord, FinalRecord,
    HeartbeatRecord, LayersRecord, NotificationRecord, OwnerRecord, ResumedRecord, SchemaRecord,
    SequenceRecord, StoreRecord, TopicRecord, UploadedRecord,
};

/// A JSON record of the store.
pub trait Record: Serialize + DeserializeOwned {
    /// Its row in the table of kinds.
    const KIND: RecordKind;
    /// The format version that this program writes, and the newest that it reads.
    const VERSION: u32 = Self::KIND.version();
}

macro_rules! records {
    ($($kind:ident => $record:ty,)*) => {
        $(impl Record for $record {
            const KIND: RecordKind = RecordKind::$kind;
        })*

        /// Checks a record of a kind as `mosaicod check` does.
        pub fn verify(kind: RecordKind, bytes: &[u8]) -> Result<Checksum, FormatError> {
            match (kind.spec().check, kind) {
                (CheckRule::Earlier, _) => Ok(Checksum::Valid),
                // Only the presence of the record counts, even if it is damaged.
                (CheckRule::Version, _) => match check_version(kind, bytes) {
                    Err(error @ FormatError::Newer { .. }) => Err(error),
                    _ => Ok(Checksum::Valid),
                },
                $((CheckRule::Content, RecordKind::$kind) => read::<$record>(bytes).map(|(_, checksum)| checksum),)*
            }
        }
    };
}

records! {
    Owner => OwnerRecord,
    Store => StoreRecord,
    Layers => LayersRecord,
    ApiKeys => ApiKeysRecord,
    ApiKeyUses => ApiKeyUsesRecord,
    Events => EventsRecord,
    Heartbeat => HeartbeatRecord,
    Tombstone => DeletedRecord,
    Sequence => SequenceRecord,
    Final => FinalRecord,
    Ended => EndedRecord,
    Notification => NotificationRecord,
    Commit => CommitRecord,
    Topic => TopicRecord,
    Schema => SchemaRecord,
    Resumed => ResumedRecord,
    Damage => DamageRecord,
    Epoch => EpochRecord,
    Uploaded => UploadedRecord,
    Chunk => ChunkRecord,
}

/// Why a record, or another file with a format version, cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It is intact, and a newer version of the program wrote it.
    #[error("it has format version {found}, this daemon reads up to {known}")]
    Newer { found: u32, known: u32 },
    /// Its content cannot be trusted.
    #[error("{0}")]
    Damaged(String),
}

impl FormatError {
    /// The error for a caller that needs `what`, such as a record, at `path`.
    pub fn at(self, what: &str, path: &Path) -> Error {
        match self {
            Self::Newer { found, known } => Error::newer(format!("{what} {path}"), found, known),
            damaged @ Self::Damaged(_) => Error::internal(format!("reading the {what} {path}"), damaged),
        }
    }
}

#[derive(Deserialize)]
struct Version {
    format_version: u32,
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    format_version: u32,
    #[serde(flatten)]
    record: &'a T,
}

/// Checks whether this program can read the version of a record of a kind, using only the parts that no
/// version changes. Returns the state of its checksum.
pub fn check_version(kind: RecordKind, bytes: &[u8]) -> Result<Checksum, FormatError> {
    let found = checksum::check(bytes);
    if found == Checksum::Invalid {
        return Err(FormatError::Damaged("the record does not have its checksum".to_owned()));
    }
    let known = kind.version();
    match serde_json::from_slice(bytes) {
        Ok(Version { format_version: 0 }) => {
            Err(FormatError::Damaged("the record has format version 0, which there never was".to_owned()))
        }
        Ok(Version { format_version: found }) if found > known => Err(FormatError::Newer { found, known }),
        Ok(_) => Ok(found),
        Err(e) => Err(FormatError::Damaged(format!("the record cannot be read: {e}"))),
    }
}

/// Reads a record that is intact and of a version that this program knows.
pub fn read<T: Record>(bytes: &[u8]) -> Result<(T, Checksum), FormatError> {
    let checksum = check_version(T::KIND, bytes)?;
    match serde_json::from_slice(bytes) {
        Ok(record) => Ok((record, checksum)),
        Err(e) => Err(FormatError::Damaged(format!("the record cannot be read: {e}"))),
    }
}

/// Parses the record at `path`.
pub fn parse<T: Record>(path: &Path, bytes: &[u8]) -> Result<T> {
    read(bytes).map(|(record, _)| record).map_err(|error| error.at("record", path))
}

/// Serializes a record with its version and checksum.
pub fn write<T: Record>(record: &T) -> Result<Vec<u8>> {
    let envelope = Envelope { format_version: T::VERSION, record };
    serde_json::to_vec(&envelope).map(add_checksum).map_err(|e| Error::internal("encoding a record", e))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn with_checksum(value: &Value) -> Vec<u8> {
        add_checksum(serde_json::to_vec(value).unwrap())
    }

    #[test]
    fn a_record_begins_with_its_version_and_reads_back() {
        let record = EndedRecord { ended_ns: 7 };
        let bytes = write(&record).unwrap();
        assert!(bytes.starts_with(br#"{"format_version":1,"ended_ns":7,"record_crc32":"#), "{bytes:?}");
        assert_eq!(read::<EndedRecord>(&bytes), Ok((record, Checksum::Valid)));
    }

    #[test]
    fn a_newer_record_is_refused_before_it_is_read_on() {
        let error = FormatError::Newer { found: 7, known: 1 };
        for fields in [json!({}), json!({"ended_ns": {"other": "shape"}}), json!({"ended_ns": 1})] {
            let mut fields = fields;
            fields["format_version"] = json!(7);
            assert_eq!(read::<EndedRecord>(&with_checksum(&fields)), Err(error.clone()), "{fields}");
            // Also if that version has no checksum.
            assert_eq!(read::<EndedRecord>(&serde_json::to_vec(&fields).unwrap()), Err(error.clone()));
        }
        let text = error.at("record", &Path::from("seq/x/ended.json")).to_string();
        for part in
            ["newer version", "record seq/x/ended.json has format version 7", "up to 1", "upgrade mosaicod"]
        {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_version_whose_bits_flipped_is_damage() {
        let bytes = write(&EndedRecord { ended_ns: 7 }).unwrap();
        let at = bytes.iter().position(|byte| *byte == b'1').unwrap();
        let mut flipped = bytes;
        flipped[at] = b'9';
        assert!(matches!(read::<EndedRecord>(&flipped), Err(FormatError::Damaged(_))));
    }

    #[test]
    fn without_a_version_a_record_is_damaged() {
        for fields in [json!({"ended_ns": 1}), json!({"format_version": 0, "ended_ns": 1})] {
            assert!(
                matches!(read::<EndedRecord>(&with_checksum(&fields)), Err(FormatError::Damaged(_))),
                "{fields}"
            );
        }
    }

    #[test]
    fn every_kind_refuses_a_newer_version() {
        for kind in RecordKind::ALL {
            let newer = with_checksum(&json!({"format_version": kind.version() + 1}));
            let error = FormatError::Newer { found: kind.version() + 1, known: kind.version() };
            assert_eq!(check_version(*kind, &newer), Err(error.clone()), "{kind:?}");
            if kind.spec().check != CheckRule::Earlier {
                assert_eq!(verify(*kind, &newer), Err(error), "{kind:?}");
            }
        }
    }
}
