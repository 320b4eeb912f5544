//! Rules for names. Everything else is refused with a [`NameError`]; nothing is repaired silently, and no
//! name ever becomes part of a path in the store.
//!
//! | Name | Allowed | Also accepted as input |
//! | --- | --- | --- |
//! | sequence | 1 to 1024 of `A-Z a-z 0-9 - _`, the first a letter or digit | one leading `/`, dropped |
//! | topic | the same and `/` between segments, none of them empty | one leading `/`, dropped; doubled and trailing `/`, collapsed |
//! | locator | `sequence/topic`: the sequence up to the first `/`, the topic after it | one leading `/`, dropped |
//! | layer | as a sequence, without a leading `/` | |
//! | ontology tag | 1 to 1024 bytes of any text without control characters | |
//!
//! Names are case-sensitive.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a name was refused. The texts are part of the contract with callers that match on them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is left after the optional leading slash.
    #[error("Empty {0} name")]
    Empty(&'static str),
    /// Two leading slashes, or an empty path segment.
    #[error("Malformed {kind} name '{name}': expected at most one leading `/` and no empty segments")]
    Malformed {
        /// The kind of name.
        kind: &'static str,
        /// The name as given.
        name: String,
    },
    /// The first character is not alphanumeric.
    #[error("{kind} name '{name}' does not begin with a letter or a number")]
    BadStart {
        /// The kind of name.
        kind: &'static str,
        /// The name as given.
        name: String,
    },
    /// A character outside the allowed set.
    #[error("{kind} name contains invalid characters: {character:?} in '{name}'; allowed are {allowed}")]
    BadCharacter {
        /// The kind of name.
        kind: &'static str,
        /// The name as given.
        name: String,
        /// The first offending character.
        character: char,
        /// The allowed characters, in words.
        allowed: &'static str,
    },
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("{kind} name of {bytes} bytes is too long; at most {MAX_NAME_BYTES} are allowed")]
    TooLong {
        /// The kind of name.
        kind: &'static str,
        /// Length as given.
        bytes: usize,
    },
    /// A control character in an ontology tag.
    #[error("ontology tag {0:?} contains the control character {1:?}; use printable text")]
    Control(String, char),
    /// A topic locator without the `sequence/topic` shape.
    #[error("locator '{0}' does not name a topic; expected `sequence/topic`")]
    NotATopic(String),
}

/// Longest accepted name of a sequence or of a topic's path, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

fn check_chars(kind: [&'static str; 2], given: &str, body: &str, slash: bool) -> Result<(), NameError> {
    if body.is_empty() {
        return Err(NameError::Empty(kind[0]));
    }
    if body.len() > MAX_NAME_BYTES {
        return Err(NameError::TooLong { kind: kind[0], bytes: body.len() });
    }
    let name = || given.to_owned();
    if body.starts_with('/') {
        return Err(NameError::Malformed { kind: kind[0], name: name() });
    }
    if !body.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(NameError::BadStart { kind: kind[0], name: name() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (slash && c == '/');
    if let Some(character) = body.chars().find(|&c| !allowed(c)) {
        let allowed = if slash { "A-Z a-z 0-9 - _ /" } else { "A-Z a-z 0-9 - _" };
        return Err(NameError::BadCharacter { kind: kind[1], name: name(), character, allowed });
    }
    Ok(())
}

/// A valid sequence name: `A-Za-z0-9-_`, starting alphanumeric, without slashes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceName(String);

impl SequenceName {
    /// Validates `name`; one leading `/` is accepted and dropped.
    ///
    /// # Errors
    /// [`NameError`] with the offending value.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        let body = name.strip_prefix('/').unwrap_or(name);
        check_chars(["sequence", "Sequence"], name, body, false)?;
        Ok(Self(body.to_owned()))
    }

    /// The name without slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A valid layer name: the characters of a sequence name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerName(String);

impl LayerName {
    /// Validates `name`.
    ///
    /// # Errors
    /// [`NameError`] with the offending value.
    pub fn parse(name: &str) -> Result<Self, NameError> {
        check_chars(["layer", "Layer"], name, name, false)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A valid tag of a message type: any printable text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OntologyTag(String);

impl OntologyTag {
    /// Validates `tag`.
    ///
    /// # Errors
    /// [`NameError`] with the offending value.
    pub fn parse(tag: &str) -> Result<Self, NameError> {
        if tag.is_empty() {
            return Err(NameError::Empty("ontology tag"));
        }
        if tag.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong { kind: "ontology tag", bytes: tag.len() });
        }
        match tag.chars().find(|c| c.is_control()) {
            Some(found) => Err(NameError::Control(tag.to_owned(), found)),
            None => Ok(Self(tag.to_owned())),
        }
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A valid topic path inside its sequence, without leading slash: `sensors/imu`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPath(String);

impl TopicPath {
    /// Validates `path`; one leading `/` is dropped, doubled and trailing separators collapse.
    ///
    /// # Errors
    /// [`NameError`] with the offending value.
    pub fn parse(path: &str) -> Result<Self, NameError> {
        let body = path.strip_prefix('/').unwrap_or(path);
        check_chars(["topic", "Topic"], path, body, true)?;
        let segments: Vec<&str> = body.split('/').filter(|segment| !segment.is_empty()).collect();
        Ok(Self(segments.join("/")))
    }

    /// The path without leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A topic's full address: `sequence/path/of/topic`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicLocator {
    /// The sequence it belongs to.
    pub sequence: SequenceName,
    /// The path inside the sequence.
    pub topic: TopicPath,
}

impl TopicLocator {
    /// Splits `sequence/topic` at the first slash and validates both parts.
    ///
    /// # Errors
    /// [`NameError`] with the offending value.
    pub fn parse(locator: &str) -> Result<Self, NameError> {
        let body = locator.strip_prefix('/').unwrap_or(locator);
        let (sequence, topic) =
            body.split_once('/').ok_or_else(|| NameError::NotATopic(locator.to_owned()))?;
        if topic.is_empty() {
            return Err(NameError::NotATopic(locator.to_owned()));
        }
        Ok(Self { sequence: SequenceName::parse(sequence)?, topic: TopicPath::parse(topic)? })
    }
}

impl fmt::Display for SequenceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for LayerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for OntologyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TopicLocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.sequence, self.topic)
    }
}

macro_rules! serde_as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
serde_as_text!(LayerName);
serde_as_text!(OntologyTag);
serde_as_text!(SequenceName);
serde_as_text!(TopicPath);
serde_as_text!(TopicLocator);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn accepts_what_the_contract_allows() {
        assert_eq!(SequenceName::parse("/run_01").unwrap().as_str(), "run_01");
        assert_eq!(TopicPath::parse("/sensors//imu/").unwrap().as_str(), "sensors/imu");
        let locator = TopicLocator::parse("run_01/sensors/imu").unwrap();
        assert_eq!((locator.sequence.as_str(), locator.topic.as_str()), ("run_01", "sensors/imu"));
    }

    #[test]
    fn refuses_with_the_offending_value() {
        assert_eq!(SequenceName::parse("/"), Err(NameError::Empty("sequence")));
        assert!(matches!(SequenceName::parse("//a"), Err(NameError::Malformed { .. })));
        assert!(matches!(SequenceName::parse("_a"), Err(NameError::BadStart { .. })));
        assert!(matches!(SequenceName::parse("a/b"), Err(NameError::BadCharacter { character: '/', .. })));
        assert!(matches!(TopicPath::parse("a/../b"), Err(NameError::BadCharacter { character: '.', .. })));
        assert!(matches!(TopicLocator::parse("only"), Err(NameError::NotATopic(_))));
        assert!(SequenceName::parse(&"a".repeat(MAX_NAME_BYTES)).is_ok());
        assert!(SequenceName::parse(&"a".repeat(MAX_NAME_BYTES + 1)).is_err());
        assert!(matches!(LayerName::parse("/a"), Err(NameError::Malformed { .. })));
        assert!(LayerName::parse("two words").is_err());
        assert!(OntologyTag::parse("wheel.speed (left) ü").is_ok());
        assert_eq!(OntologyTag::parse(""), Err(NameError::Empty("ontology tag")));
        assert!(matches!(OntologyTag::parse("a\nb"), Err(NameError::Control(_, '\n'))));
    }

    proptest! {
        /// Accepted names have only characters that are harmless in a URL, a path or SQL.
        #[test]
        fn accepted_names_are_tame(text in "[a-c/_. \\-\\\\\u{e9}\n%'\";:0]{0,12}") {
            let tame = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            if let Ok(name) = SequenceName::parse(&text) {
                prop_assert!(name.as_str().chars().all(tame) && !name.as_str().is_empty());
            }
            if let Ok(path) = TopicPath::parse(&text) {
                for segment in path.as_str().split('/') {
                    prop_assert!(segment.chars().all(tame) && !segment.is_empty(), "{}", path);
                }
            }
        }

        #[test]
        fn parsing_is_idempotent(text in "\\PC{0,24}") {
            if let Ok(path) = TopicPath::parse(&text) {
                prop_assert_eq!(TopicPath::parse(path.as_str()).unwrap(), path);
            }
            if let Ok(locator) = TopicLocator::parse(&text) {
                prop_assert_eq!(TopicLocator::parse(&locator.to_string()).unwrap(), locator);
            }
        }
    }
}
