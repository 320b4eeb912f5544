//! The common form of all import sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use mosaico_types::{OntologyTag, SequenceName, SerializationFormat, TopicPath, now_ns};
use serde_json::Value;

use super::plain::column_mapping::Recipe;

/// A sequence of the source.
#[derive(Debug)]
pub(super) struct SourceSequence {
    pub name: SequenceName,
    pub folder: PathBuf,
    pub user_metadata: Value,
    pub created_ns: i64,
    pub topics: Vec<SourceTopic>,
}

/// A topic of the source.
#[derive(Debug)]
pub(super) struct SourceTopic {
    pub path: TopicPath,
    pub tag: OntologyTag,
    pub format: SerializationFormat,
    pub user_metadata: Value,
    pub created_ns: i64,
    /// Parquet files in the order of arrival.
    pub files: Vec<PathBuf>,
    /// The mapping of their columns to those of the topic; `None`: the columns are the same.
    pub recipe: Option<Arc<Recipe>>,
    /// Lowest and highest time, if the source records it.
    pub bounds: Option<(i64, i64)>,
}

/// Modification time of a file: the best available creation time in such a store.
pub(super) fn age(file: &Path) -> i64 {
    let written = fs::metadata(file).and_then(|file| file.modified()).ok();
    let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_nanos()).ok()).unwrap_or_else(now_ns)
}
