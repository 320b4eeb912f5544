//! Stores of Mosaico 0.2 to 0.4: folders by name, with JSON beside the Parquet files.
//!
//! | File | 0.2 | 0.3 | 0.4 |
//! | --- | --- | --- | --- |
//! | `<sequence>/metadata.json` | user metadata | the same | the same |
//! | topic: tag, format, user metadata | `metadata.json` | `manifest.json` | `metadata.json` |
//! | topic: time bounds | `manifest.json` | – | – |
//! | rows | `<topic>/data-00000.parquet` … | `<topic>/data:<5 hex digits>/data-00000.parquet` … | the same |

use std::path::{Path, PathBuf};
use std::{fs, io};

use mosaico_storage::error::{Error, Result};
use mosaico_types::{OntologyTag, SequenceName, SerializationFormat, TopicPath};
use mosaico_wire::maintenance::Problem;
use serde::Deserialize;
use serde_json::Value;

use super::source::{SourceSequence, SourceTopic, age};

#[derive(Deserialize)]
struct SequenceJson {
    user_metadata: Value,
}

/// The topic's file of 0.2.
#[derive(Deserialize)]
struct TopicJson {
    properties: TopicProperties,
    user_metadata: Value,
}

#[derive(Deserialize)]
struct TopicProperties {
    serialization_format: SerializationFormat,
    ontology_tag: String,
}

/// The topic's file of 0.3 and 0.4.
#[derive(Deserialize)]
struct LaterTopicJson {
    ontology_metadata: TopicJson,
}

#[derive(Deserialize)]
struct BoundsJson {
    timestamp: Bounds,
}

#[derive(Deserialize)]
struct Bounds {
    min: i64,
    max: i64,
}

/// All sequences by name, and the problems of folders that cannot be imported.
pub(super) fn scan(root: &Path) -> Result<(Vec<SourceSequence>, Vec<Problem>)> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for folder in folders(root).map_err(|e| unreadable(root, &e))? {
        match sequence(&folder) {
            Ok(Some(sequence)) => found.push(sequence),
            Ok(None) => {
                let text = "not imported: the folder has no metadata.json of a sequence".to_owned();
                problems.push(Problem { path: folder.display().to_string(), text, repaired: false });
            }
            Err(error) => {
                let text = format!("not imported: {error}");
                problems.push(Problem { path: folder.display().to_string(), text, repaired: false });
            }
        }
    }
    if found.is_empty() && problems.is_empty() {
        return Err(Error::Startup(format!("{} holds no store of Mosaico 0.2 to 0.4", root.display())));
    }
    Ok((found, problems))
}

fn sequence(folder: &Path) -> Result<Option<SourceSequence>> {
    let file = folder.join("metadata.json");
    let Some(value) = json(&file)? else { return Ok(None) };
    let SequenceJson { user_metadata } = parse(&file, value)?;
    let mut topics = Vec::new();
    add_topics(folder, "", &mut topics)?;
    topics.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    let name = SequenceName::parse(&name_of(folder))?;
    Ok(Some(SourceSequence {
        name,
        folder: folder.to_owned(),
        user_metadata,
        created_ns: age(&file),
        topics,
    }))
}

/// Topics nest: one may lie below another.
fn add_topics(parent: &Path, prefix: &str, topics: &mut Vec<SourceTopic>) -> Result<()> {
    for folder in folders(parent).map_err(|e| unreadable(parent, &e))? {
        let name = name_of(&folder);
        if name.starts_with("data:") {
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if let Some((file, described)) = describe(&folder)? {
            topics.push(SourceTopic {
                path: TopicPath::parse(&path)?,
                tag: OntologyTag::parse(&described.properties.ontology_tag)?,
                format: described.properties.serialization_format,
                user_metadata: described.user_metadata,
                created_ns: age(&file),
                files: files(&folder)?,
                recipe: None,
                bounds: bounds(&folder)?,
            });
        } else if !files(&folder)?.is_empty() {
            return Err(Error::Invalid(format!(
                "{} has rows and no description of a topic; they would be lost",
                folder.display()
            )));
        }
        add_topics(&folder, &path, topics)?;
    }
    Ok(())
}

/// The file that describes a topic, with its contents.
fn describe(folder: &Path) -> Result<Option<(PathBuf, TopicJson)>> {
    for name in ["metadata.json", "manifest.json"] {
        let file = folder.join(name);
        let Some(value) = json(&file)? else { continue };
        if value.get("ontology_metadata").is_some() {
            let later: LaterTopicJson = parse(&file, value)?;
            return Ok(Some((file, later.ontology_metadata)));
        }
        if value.get("properties").is_some() {
            let topic = parse(&file, value)?;
            return Ok(Some((file, topic)));
        }
    }
    Ok(None)
}

fn bounds(folder: &Path) -> Result<Option<(i64, i64)>> {
    let file = folder.join("manifest.json");
    match json(&file)?.filter(|value| value.get("timestamp").is_some()) {
        Some(value) => {
            parse(&file, value).map(|BoundsJson { timestamp }| Some((timestamp.min, timestamp.max)))
        }
        None => Ok(None),
    }
}

/// The Parquet files of a topic by number.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let inner = folders(folder).map_err(|e| unreadable(folder, &e))?;
    let inner = inner.into_iter().filter(|inner| name_of(inner).starts_with("data:"));
    for folder in inner.chain([folder.to_owned()]) {
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&folder, &e))? {
            let file = entry.map_err(|e| unreadable(&folder, &e))?.path();
            if file.extension().is_some_and(|ending| ending == "parquet") {
                found.push(file);
            }
        }
    }
    // Numbers have at least five digits: sorts the shorter name first.
    found.sort_by_key(|file| (name_of(file).len(), name_of(file)));
    Ok(found)
}

fn folders(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn json(file: &Path) -> Result<Option<Value>> {
    match fs::read(file) {
        Ok(bytes) => parse_bytes(file, &bytes).map(Some),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unreadable(file, &e)),
    }
}

fn parse_bytes(file: &Path, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|e| Error::Invalid(format!("{} is malformed: {e}", file.display())))
}

fn parse<T: serde::de::DeserializeOwned>(file: &Path, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|e| Error::Invalid(format!("{} is malformed: {e}", file.display())))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Invalid(format!("{} cannot be read: {error}", path.display()))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
