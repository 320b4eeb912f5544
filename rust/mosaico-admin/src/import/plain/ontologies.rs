//! The columns of classes: those of the package, and those that a file tells.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use mosaico_select::{RECORDING, TIMESTAMP};
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::chunk_file::check_schema;
use mosaico_storage::format::schema::stored_schema;
use mosaico_types::{OntologyTag, SerializationFormat};
use serde::Deserialize;

use super::mapping::TopicMapping;

/// Written by `make ontologies`.
static PACKAGE: LazyLock<BTreeMap<String, Described>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("ontologies.json"))
        .expect("the file is written by a program, and tested")
});

#[derive(Deserialize)]
struct Described {
    serialization_format: SerializationFormat,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    data_type: Type,
    #[serde(default = "yes")]
    nullable: bool,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Halffloat,
    Float,
    Double,
    String,
    LargeString,
    Binary,
    List(Box<Column>),
    FixedSizeList(Box<Column>, i32),
    Struct(Vec<Column>),
}

impl Column {
    fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.arrow(), self.nullable).with_metadata(self.metadata.clone())
    }
}

impl Type {
    fn arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Uint8 => DataType::UInt8,
            Self::Uint16 => DataType::UInt16,
            Self::Uint32 => DataType::UInt32,
            Self::Uint64 => DataType::UInt64,
            Self::Halffloat => DataType::Float16,
            Self::Float => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::String => DataType::Utf8,
            Self::LargeString => DataType::LargeUtf8,
            Self::Binary => DataType::Binary,
            Self::List(item) => DataType::List(Arc::new(item.field())),
            Self::FixedSizeList(item, size) => DataType::FixedSizeList(Arc::new(item.field()), *size),
            Self::Struct(fields) => DataType::Struct(fields.iter().map(Column::field).collect()),
        }
    }
}

/// What the rows of a topic are.
#[derive(Debug, Clone)]
pub(super) struct Ontology {
    pub tag: OntologyTag,
    pub format: SerializationFormat,
    /// With the columns that every topic has.
    pub schema: SchemaRef,
}

impl Ontology {
    /// The class that a mapping names.
    pub(super) fn of(topic: &TopicMapping) -> Result<Self> {
        let tag = OntologyTag::parse(&topic.ontology_tag)?;
        if let Some(file) = &topic.schema {
            let schema = schema_of_file(file).map_err(|what| refused(file, &what))?;
            return Ok(Self { tag, format: topic.serialization_format, schema });
        }
        let Some(known) = PACKAGE.get(&topic.ontology_tag) else {
            let tags: Vec<&str> = PACKAGE.keys().map(String::as_str).collect();
            return Err(Error::Startup(format!(
                "the package has no class with the tag `{}`; name the file of its Arrow schema with `schema`, or use \
                 one of {}",
                topic.ontology_tag,
                tags.join(", ")
            )));
        };
        let columns: Fields = known.columns.iter().map(Column::field).collect();
        Ok(Self { tag, format: known.serialization_format, schema: with_times(&columns) })
    }
}

fn refused(file: &Path, what: &str) -> Error {
    Error::Startup(format!("{} cannot be used as a schema: {what}", file.display()))
}

/// An Arrow schema as `pyarrow.Schema.serialize()` writes it.
fn schema_of_file(file: &Path) -> std::result::Result<SchemaRef, String> {
    let bytes = fs::read(file).map_err(|e| e.to_string())?;
    // The reader panics on some damaged bytes.
    let schema = std::panic::catch_unwind(|| arrow::ipc::convert::try_schema_from_ipc_buffer(&bytes))
        .map_err(|_| "it is damaged".to_owned())?
        .map_err(|e| format!("{e}; write it with pyarrow.Schema.serialize()"))?;
    let schema = stored_schema(&with_times(schema.fields())).map_err(|e| e.to_string())?;
    check_schema(&schema).map_err(|e| e.to_string())?;
    Ok(schema)
}

/// The columns of a topic whose rows have these.
fn with_times(columns: &Fields) -> SchemaRef {
    let time = |name: &str, description: &str, nullable| {
        let described = [("description".to_owned(), description.to_owned())];
        Field::new(name, DataType::Int64, nullable).with_metadata(described.into())
    };
    let times = [
        time(TIMESTAMP, "Message time, ns since the Unix epoch.", false),
        time(RECORDING, "Time of recording, ns since the Unix epoch.", true),
    ];
    let is_time = |name: &str| name == TIMESTAMP || name == RECORDING;
    let others = columns.iter().filter(|field| !is_time(field.name())).map(|field| Field::clone(field));
    Arc::new(Schema::new(times.into_iter().chain(others).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(rest: serde_json::Value) -> TopicMapping {
        let mut all = serde_json::json!({"name": "t", "files": "*", "ontology_tag": "imu"});
        all.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn all_classes_of_the_package_can_be_stored() {
        assert!(PACKAGE.len() > 50);
        for tag in PACKAGE.keys() {
            let found = Ontology::of(&topic(serde_json::json!({"ontology_tag": tag}))).unwrap();
            assert_eq!(stored_schema(&found.schema).unwrap(), found.schema, "{tag}");
            check_schema(&found.schema).unwrap();
        }
    }

    #[test]
    fn other_classes_have_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let named = topic(serde_json::json!({"ontology_tag": "wheel", "schema": file.path()}));
        let error = Ontology::of(&named).unwrap_err().to_string();
        assert!(error.contains("serialize()"), "{error}");
        for length in [3, 4, 8, 100] {
            fs::write(file.path(), vec![0xff; length]).unwrap();
            Ontology::of(&named).unwrap_err();
        }
        let unknown = Ontology::of(&topic(serde_json::json!({"ontology_tag": "wheel"}))).unwrap_err();
        assert!(unknown.to_string().contains("`wheel`") && unknown.to_string().contains("imu,"), "{unknown}");
    }
}
