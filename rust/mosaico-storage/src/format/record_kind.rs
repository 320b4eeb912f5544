//! The only table of record kinds.
//!
//! Paths ([`crate::format::paths`]), loading ([`crate::objects::load`]), the garbage collector
//! ([`crate::format::unreferenced`]), `mosaicod check` and `docs/formats.md` use it. A new kind is one entry
//! here. Code that handles kinds matches on [`RecordKind`] exhaustively, so the compiler reports a missing
//! kind; the tests of this folder write and read one record of each kind.

use RecordKind as Kind;

/// The folder level of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The root of the store.
    Store,
    /// The folder of a sequence.
    Sequence,
    /// The folder of a topic.
    Topic,
}

/// How the file of a record is named in the folder of its level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// A fixed name.
    Fixed(&'static str),
    /// This prefix, the number of a writer epoch, `.json`.
    Epoch(&'static str),
    /// This prefix, the id of a chunk, `.json`.
    Chunk(&'static str),
    /// This folder; in it a ULID and `.json`.
    Id(&'static str),
}

/// Whether the record is ever replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Never.
    Once,
    /// Each time as a whole.
    Replaced,
}

/// When the loader reads the record. It reads records in the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadWhen {
    /// Separately, by code that uses the whole store.
    WithStore,
    /// First: if it exists, the loader reads nothing else of its folder.
    First,
    /// Always.
    Always,
    /// Only if the topic has no commit record, which contains the same facts.
    WhileOpen,
}

/// What `mosaicod check` verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckRule {
    /// Version, checksum and content.
    Content,
    /// The version only. The record's meaning is its presence.
    Version,
    /// Nothing: the record is read before the check begins.
    Earlier,
}

/// The properties of a kind.
#[derive(Debug)]
pub struct RecordSpec {
    pub file: FileName,
    pub levels: &'static [Level],
    /// The format version that this program writes, and the newest that it reads.
    pub version: u32,
    pub written: Written,
    /// The record kind that references it once that record exists; `None`: it needs no reference.
    pub named_by: Option<RecordKind>,
    pub read: ReadWhen,
    /// Whether a rebuild of the catalog imports its content.
    pub in_catalog: bool,
    pub check: CheckRule,
    /// A folder that has this record and no creation record has lost the latter: a crash leaves no such
    /// folder.
    pub proves_use: bool,
}

macro_rules! record_kinds {
    ($($(#[$doc:meta])* $kind:ident { $($field:ident: $value:expr,)* })*) => {
        /// A kind of JSON record.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RecordKind {
            $($(#[$doc])* $kind,)*
        }

        /// In the order of the enum.
        const TABLE: &[RecordSpec] = &[$(RecordSpec { $($field: $value,)* }),*];

        impl RecordKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The newest format of the kind.
            pub const fn version(self) -> u32 {
                TABLE[self as usize].version
            }
        }
    };
}

impl RecordKind {
    /// Its row in the table.
    pub fn spec(self) -> &'static RecordSpec {
        &TABLE[self as usize]
    }
}

record_kinds! {
    /// The server that owns the bucket exclusively, or the fact that several servers share it.
    Owner {
        file: FileName::Fixed("owner.json"),
        levels: &[Level::Store],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WithStore,
        in_catalog: false,
        check: CheckRule::Earlier,
        proves_use: false,
    }
    /// The id of the store, and that of its catalog.
    Store {
        file: FileName::Fixed("store.json"),
        levels: &[Level::Store],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WithStore,
        in_catalog: false,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// All layers.
    Layers {
        file: FileName::Fixed("layers.json"),
        levels: &[Level::Store],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WithStore,
        in_catalog: false,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// All API keys.
    ApiKeys {
        file: FileName::Fixed("api-keys.json"),
        levels: &[Level::Store],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WithStore,
        in_catalog: false,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// The last use of each API key.
    ApiKeyUses {
        file: FileName::Fixed("api-key-uses.json"),
        levels: &[Level::Store],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WithStore,
        in_catalog: false,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// Events, starting with the one in its name.
    Events {
        file: FileName::Id("events"),
        levels: &[Level::Store],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WithStore,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// The last heartbeat of a daemon that does not reach the database.
    Heartbeat {
        file: FileName::Id("heartbeats"),
        levels: &[Level::Store],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WithStore,
        in_catalog: false,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// The removal of the folder has begun.
    Tombstone {
        file: FileName::Fixed("deleted.json"),
        levels: &[Level::Sequence, Level::Topic],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::First,
        in_catalog: false,
        check: CheckRule::Version,
        proves_use: false,
    }
    /// The creation of a sequence.
    Sequence {
        file: FileName::Fixed("sequence.json"),
        levels: &[Level::Sequence],
        version: 1,
        written: Written::Once,
        named_by: None,
        read: ReadWhen::Always,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// The finalization of a sequence.
    Final {
        file: FileName::Fixed("final.json"),
        levels: &[Level::Sequence],
        version: 1,
        written: Written::Once,
        named_by: None,
        read: ReadWhen::Always,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// The end of a sequence without finalization.
    Ended {
        file: FileName::Fixed("ended.json"),
        levels: &[Level::Sequence],
        version: 1,
        written: Written::Once,
        named_by: None,
        read: ReadWhen::Always,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// A notification about a sequence or a topic.
    Notification {
        file: FileName::Id("notify"),
        levels: &[Level::Sequence],
        version: 1,
        written: Written::Once,
        named_by: None,
        read: ReadWhen::Always,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// The complete upload of a topic.
    Commit {
        file: FileName::Fixed("commit.json"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::Always,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// The creation of a topic.
    Topic {
        file: FileName::Fixed("topic.json"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Once,
        named_by: None,
        read: ReadWhen::WhileOpen,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: false,
    }
    /// The schema snapshot of a topic.
    Schema {
        file: FileName::Fixed("schema.json"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Once,
        named_by: None,
        read: ReadWhen::WhileOpen,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// How often the writer of a topic resumed.
    Resumed {
        file: FileName::Fixed("resumed.json"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::Always,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// Damaged WAL segments of a topic, and the lost rows.
    Damage {
        file: FileName::Fixed("damage.json"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::Always,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// A writer epoch: the daemon that receives the rows of a topic from here on.
    Epoch {
        file: FileName::Epoch("epoch-"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Once,
        named_by: None,
        read: ReadWhen::WhileOpen,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// The end of an upload that is not yet complete.
    Uploaded {
        file: FileName::Fixed("uploaded.json"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Replaced,
        named_by: None,
        read: ReadWhen::WhileOpen,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
    /// The metadata of the chunk file beside it.
    Chunk {
        file: FileName::Chunk("chunk-"),
        levels: &[Level::Topic],
        version: 1,
        written: Written::Once,
        named_by: Some(Kind::Commit),
        read: ReadWhen::WhileOpen,
        in_catalog: true,
        check: CheckRule::Content,
        proves_use: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_belongs_to_its_kind() {
        assert_eq!(TABLE.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(kind.spec().version, kind.version());
            assert!(kind.version() > 0, "0 is what a record without a version would say");
        }
    }

    /// A row of the table in docs/formats.md.
    fn documented(kind: RecordKind) -> String {
        let spec = kind.spec();
        let file = |kind: RecordKind| match kind.spec().file {
            FileName::Fixed(name) => format!("`{name}`"),
            FileName::Epoch(prefix) => format!("`{prefix}<epoch>.json`"),
            FileName::Chunk(prefix) => format!("`{prefix}<epoch>-<index>.json`"),
            FileName::Id(folder) => format!("`{folder}/<id>.json`"),
        };
        let level = |level: &Level| match level {
            Level::Store => "store",
            Level::Sequence => "sequence",
            Level::Topic => "topic",
        };
        let levels: Vec<&str> = spec.levels.iter().map(level).collect();
        let written = match spec.written {
            Written::Once => "once",
            Written::Replaced => "replaced",
        };
        let read = match spec.read {
            ReadWhen::WithStore => "with the store",
            ReadWhen::First => "first",
            ReadWhen::Always => "always",
            ReadWhen::WhileOpen => "while open",
        };
        let check = match spec.check {
            CheckRule::Content => "content",
            CheckRule::Version => "version",
            CheckRule::Earlier => "earlier",
        };
        let (file, named_by) = (file(kind), spec.named_by.map_or("–".to_owned(), file));
        let (levels, catalog) = (levels.join(", "), if spec.in_catalog { "yes" } else { "no" });
        format!(
            "| {file} | {levels} | {} | {written} | {named_by} | {read} | {catalog} | {check} |",
            spec.version
        )
    }

    #[test]
    fn the_table_in_the_docs_is_this_one() {
        let docs = include_str!("../../../../docs/formats.md");
        let rows: Vec<&str> =
            docs.lines().filter(|line| line.starts_with("| `") && line.matches('|').count() == 9).collect();
        let expected: Vec<String> = Kind::ALL.iter().map(|kind| documented(*kind)).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn no_two_kinds_have_one_file() {
        for (at, kind) in Kind::ALL.iter().enumerate() {
            for other in &Kind::ALL[..at] {
                let same_level = kind.spec().levels.iter().any(|level| other.spec().levels.contains(level));
                assert!(!same_level || kind.spec().file != other.spec().file, "{kind:?} and {other:?}");
            }
        }
    }
}
