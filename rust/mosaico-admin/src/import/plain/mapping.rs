//! The mapping of plain Parquet files.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use mosaico_types::SerializationFormat;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// How plain Parquet files become topics of sequences.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// At least one.
    #[serde(rename = "sequence")]
    pub sequences: Vec<SequenceMapping>,
}

/// One sequence, or one for each value of the wildcards in its name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SequenceMapping {
    /// May contain `{wildcards}` of the files.
    pub name: String,
    /// Texts may contain wildcards too.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// At least one.
    #[serde(rename = "topic")]
    pub topics: Vec<TopicMapping>,
}

/// One topic, or one for each value of the wildcards in its name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicMapping {
    /// May contain `{wildcards}` of the files.
    pub name: String,
    /// Paths below the source: `*` matches within a name, `**` across folders, and `{name}` matches within a
    /// name and captures the match.
    pub files: String,
    /// The class of its rows.
    pub ontology_tag: String,
    /// Texts may contain wildcards too.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// A file with the Arrow schema of a class that is not in the package.
    #[serde(default)]
    pub schema: Option<PathBuf>,
    /// Storage profile of a class that is not in the package.
    #[serde(default)]
    pub serialization_format: SerializationFormat,
    /// Sources of columns and fields of the topic. Columns without an entry are matched by name.
    #[serde(default)]
    pub columns: BTreeMap<String, Source>,
    /// Columns of the files that are not imported; `*` matches within a name.
    #[serde(default)]
    pub ignore: Vec<String>,
}

/// The source of a column of the topic.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A column of the files.
    Column(ColumnSource),
    /// The same value in every row.
    Constant(Constant),
}

/// A column of the files, or a field of one: `pose.x`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnSource {
    /// Name of the column.
    pub column: String,
    /// Conversion of the values.
    pub change: Change,
}

/// A conversion of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// No conversion.
    None,
    /// Numbers are times since the epoch in this unit.
    Time(Unit),
    /// `value * scale + offset`, rounded to the type of the column.
    Linear {
        /// Factor.
        scale: f64,
        /// Offset.
        offset: f64,
    },
}

/// The unit of numeric times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Second,
    /// Milliseconds.
    #[serde(rename = "ms")]
    Millisecond,
    /// Microseconds.
    #[serde(rename = "us")]
    Microsecond,
    /// Nanoseconds.
    #[serde(rename = "ns")]
    Nanosecond,
}

/// The same value in every row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged, expecting = "`constant` is a text, a number, a boolean or a list of one kind of these")]
pub enum Constant {
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// A text.
    Text(String),
    /// Texts.
    Texts(Vec<String>),
    /// Whole numbers.
    Integers(Vec<i64>),
    /// Numbers.
    Numbers(Vec<f64>),
}

/// The long form of a source.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    column: Option<String>,
    unit: Option<Unit>,
    scale: Option<f64>,
    offset: Option<f64>,
    constant: Option<Constant>,
}

impl Described {
    fn source(self) -> Result<Source, &'static str> {
        let is_linear = self.scale.is_some() || self.offset.is_some();
        match (self.column, self.constant) {
            (Some(column), None) => {
                let change = match self.unit {
                    Some(_) if is_linear => return Err("`unit` goes without `scale` and `offset`"),
                    Some(unit) => Change::Time(unit),
                    None if is_linear => Change::Linear {
                        scale: self.scale.unwrap_or(1.0),
                        offset: self.offset.unwrap_or(0.0),
                    },
                    None => Change::None,
                };
                Ok(Source::Column(ColumnSource { column, change }))
            }
            (None, Some(_)) if is_linear || self.unit.is_some() => Err("`constant` goes alone"),
            (None, Some(constant)) => Ok(Source::Constant(constant)),
            _ => Err("either `column` or `constant` is needed; names with dots are quoted: \"a.b\" = \"c\""),
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Source;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a column, or { column = … } or { constant = … }")
            }

            fn visit_str<E>(self, column: &str) -> Result<Source, E> {
                Ok(Source::Column(ColumnSource { column: column.to_owned(), change: Change::None }))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
                let described = Described::deserialize(MapAccessDeserializer::new(map))?;
                described.source().map_err(serde::de::Error::custom)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Mapping {
    /// Resolves relative paths of schema files against `folder`.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        let topics = self.sequences.iter_mut().flat_map(|sequence| &mut sequence.topics);
        for schema in topics.filter_map(|topic| topic.schema.as_mut()) {
            *schema = folder.join(&schema);
        }
        self
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(ColumnSource { column, change }) => match change {
                Change::None => write!(f, "{column}"),
                Change::Time(unit) => write!(f, "{column} in {unit}"),
                Change::Linear { scale, offset } => write!(f, "{column} * {scale} + {offset}"),
            },
            Self::Constant(constant) => write!(f, "constant {constant:?}"),
        }
    }
}

impl Unit {
    /// Number of units per second.
    pub fn per_second(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Millisecond => 1_000,
            Self::Microsecond => 1_000_000,
            Self::Nanosecond => 1_000_000_000,
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Second => "s",
            Self::Millisecond => "ms",
            Self::Microsecond => "us",
            Self::Nanosecond => "ns",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Result<Source, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn sources_have_a_short_and_a_long_form() {
        assert_eq!(source(r#""ax""#).unwrap(), source(r#"{"column": "ax"}"#).unwrap());
        let time = source(r#"{"column": "t", "unit": "us"}"#).unwrap();
        assert_eq!(time.to_string(), "t in us");
        let linear = source(r#"{"column": "t", "offset": 2.5}"#).unwrap();
        assert_eq!(linear.to_string(), "t * 1 + 2.5");
        let one = |text| match source(text).unwrap() {
            Source::Constant(constant) => constant,
            Source::Column(_) => panic!("{text}"),
        };
        assert_eq!(one(r#"{"constant": 1}"#), Constant::Integer(1));
        assert_eq!(one(r#"{"constant": 1.5}"#), Constant::Number(1.5));
        assert_eq!(one(r#"{"constant": [1, 1.5]}"#), Constant::Numbers(vec![1.0, 1.5]));
    }

    #[test]
    fn what_says_nothing_or_two_things_is_refused() {
        for (text, words) in [
            ("{}", "either"),
            (r#"{"x": "ax"}"#, "unknown field `x`"),
            (r#"{"column": "a", "constant": 1}"#, "either"),
            (r#"{"column": "a", "unit": "us", "scale": 2}"#, "`unit` goes without"),
            (r#"{"constant": 1, "unit": "us"}"#, "goes alone"),
            (r#"{"constant": {}}"#, "`constant` is a text"),
            ("1", "the name of a column"),
        ] {
            let error = source(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
