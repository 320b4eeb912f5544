//! Rows as messages: JSON with its JSON Schema. Pictures, poses and positions have the schemas of Foxglove, so that players
//! show them.

use std::fmt::Write as _;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema as ArrowSchema};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::{TIMESTAMP, times};
use serde_json::{Map, Value, json};

use super::super::json_rows::{RowWriter, Style};
use super::super::picture::unpacked;
use super::records::{MESSAGE_HEAD, Schema, message};

/// What the messages of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As recorded.
    Plain,
    Picture,
    Video,
    Pixels,
    Pose,
    Position,
}

impl Form {
    /// The form of a topic; `format` is that of its first picture.
    pub(super) fn of(tag: &str, format: Option<&str>) -> Self {
        match (tag, format) {
            ("compressed_image", Some("jpeg" | "png" | "webp" | "avif")) => Self::Picture,
            ("compressed_image", Some("h264" | "hevc")) => Self::Video,
            ("image", Some(_)) => Self::Pixels,
            ("pose", _) => Self::Pose,
            ("gps", _) => Self::Position,
            _ => Self::Plain,
        }
    }

    pub(super) fn schema(self, tag: &str, schema: &ArrowSchema) -> Schema {
        let number = json!({"type": "number"});
        let bytes = json!({"type": "string", "contentEncoding": "base64"});
        let text = json!({"type": "string"});
        let integer = json!({"type": "integer"});
        let object = |members: Value| json!({"type": "object", "properties": members});
        let vector = object(json!({"x": number, "y": number, "z": number}));
        let (name, members) = match self {
            Self::Plain => {
                let fields = schema.fields().iter().filter(|field| field.name() != TIMESTAMP);
                let members: Map<String, Value> =
                    fields.map(|field| (field.name().clone(), described(field.data_type()))).collect();
                let data = object(Value::Object(members)).to_string();
                return Schema { name: format!("mosaico.{tag}"), data };
            }
            Self::Picture => ("foxglove.CompressedImage", json!({"data": bytes, "format": text})),
            Self::Video => ("foxglove.CompressedVideo", json!({"data": bytes, "format": text})),
            Self::Pixels => (
                "foxglove.RawImage",
                json!({"width": integer, "height": integer, "encoding": text, "step": integer, "data": bytes}),
            ),
            Self::Pose => {
                let quaternion = object(json!({"x": number, "y": number, "z": number, "w": number}));
                (
                    "foxglove.PoseInFrame",
                    json!({"pose": object(json!({"position": vector, "orientation": quaternion}))}),
                )
            }
            Self::Position => {
                ("foxglove.LocationFix", json!({"latitude": number, "longitude": number, "altitude": number}))
            }
        };
        let mut all = members;
        all["timestamp"] = object(json!({"sec": integer, "nsec": integer}));
        all["frame_id"] = text;
        Schema { name: name.to_owned(), data: object(all).to_string() }
    }
}

/// The JSON Schema of values of a type.
fn described(data_type: &DataType) -> Value {
    use DataType::*;
    let members = |fields: &Fields| {
        let member = |field: &std::sync::Arc<Field>| (field.name().clone(), described(field.data_type()));
        Value::Object(fields.iter().map(member).collect())
    };
    match data_type {
        Boolean => json!({"type": "boolean"}),
        Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | UInt64 => json!({"type": "integer"}),
        Float16 | Float32 | Float64 => json!({"type": "number"}),
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => {
            json!({"type": "string", "contentEncoding": "base64"})
        }
        Struct(fields) => json!({"type": "object", "properties": members(fields)}),
        List(item) | LargeList(item) | FixedSizeList(item, _) => {
            json!({"type": "array", "items": described(item.data_type())})
        }
        _ => json!({"type": "string"}),
    }
}

/// A part of a message.
enum Part {
    Text(&'static str),
    /// Seconds and nanoseconds of the row.
    Time,
    Row(RowWriter),
    /// A value, and what stands for a missing one.
    Value(RowWriter, &'static str),
    /// Raw pixels, and the name of their container.
    Pixels(ArrayRef, ArrayRef),
}

/// The message records of a batch.
pub(super) struct Encoder {
    form: Form,
    channel: u16,
}

impl Encoder {
    pub(super) fn new(form: Form, channel: u16) -> Self {
        Self { form, channel }
    }

    /// Hands time and record of each row to `add`.
    pub(super) fn encode(&self, batch: &RecordBatch, mut add: impl FnMut(u64, &[u8])) -> Result<()> {
        let parts = self.parts(batch)?;
        let (mut text, mut record) = (String::new(), Vec::new());
        for (row, time) in times(batch)?.values().iter().enumerate() {
            let time = u64::try_from(*time).map_err(|_| {
                Error::Invalid(format!(
                    "a row has the time {time}; MCAP has no times before 1970, use `from=0`"
                ))
            })?;
            text.clear();
            for part in &parts {
                write(part, row, time, &mut text)?;
            }
            record.clear();
            message(&mut record, self.channel, time, text.as_bytes());
            debug_assert_eq!(record.len(), MESSAGE_HEAD + text.len());
            add(time, &record);
        }
        Ok(())
    }

    fn parts(&self, batch: &RecordBatch) -> Result<Vec<Part>> {
        let lacking =
            |path: &str| Error::Internal(format!("a topic with a known tag has no column `{path}`").into());
        let value = |path: &str, missing| {
            let column = column(batch, path).ok_or_else(|| lacking(path))?;
            Ok::<_, Error>(Part::Value(RowWriter::of_column(&column, Style::Whole)?, missing))
        };
        if self.form == Form::Plain {
            return Ok(vec![Part::Row(RowWriter::new(batch, Style::Whole)?)]);
        }
        let frame = match column(batch, "header.frame_id") {
            Some(_) => value("header.frame_id", "\"\"")?,
            None => Part::Text("\"\""),
        };
        let mut parts = vec![Part::Text("{\"timestamp\":"), Part::Time, Part::Text(",\"frame_id\":"), frame];
        match self.form {
            Form::Plain => {}
            Form::Picture | Form::Video => {
                parts.extend([Part::Text(",\"format\":"), value("format", "\"\"")?]);
                parts.extend([Part::Text(",\"data\":"), value("data", "\"\"")?]);
            }
            Form::Pixels => {
                for (name, path) in [
                    (",\"width\":", "width"),
                    (",\"height\":", "height"),
                    (",\"step\":", "stride"),
                    (",\"encoding\":", "encoding"),
                ] {
                    parts.extend([Part::Text(name), value(path, "0")?]);
                }
                let of = |path: &str| column(batch, path).ok_or_else(|| lacking(path));
                parts.extend([Part::Text(",\"data\":"), Part::Pixels(of("data")?, of("format")?)]);
            }
            Form::Pose => {
                for (name, path) in [
                    (",\"pose\":{\"position\":{\"x\":", "position.x"),
                    (",\"y\":", "position.y"),
                    (",\"z\":", "position.z"),
                    ("},\"orientation\":{\"x\":", "orientation.x"),
                    (",\"y\":", "orientation.y"),
                    (",\"z\":", "orientation.z"),
                    (",\"w\":", "orientation.w"),
                ] {
                    parts.extend([Part::Text(name), value(path, "0")?]);
                }
                parts.push(Part::Text("}}"));
            }
            Form::Position => {
                for (name, path) in [
                    (",\"latitude\":", "position.x"),
                    (",\"longitude\":", "position.y"),
                    (",\"altitude\":", "position.z"),
                ] {
                    parts.extend([Part::Text(name), value(path, "null")?]);
                }
            }
        }
        parts.push(Part::Text("}"));
        Ok(parts)
    }
}

/// The column at a dotted path.
fn column(batch: &RecordBatch, path: &str) -> Option<ArrayRef> {
    let mut names = path.split('.');
    let mut found = batch.column_by_name(names.next()?)?;
    for name in names {
        found = found.as_struct_opt()?.column_by_name(name)?;
    }
    Some(ArrayRef::clone(found))
}

fn write(part: &Part, row: usize, time: u64, out: &mut String) -> Result<()> {
    match part {
        Part::Text(text) => out.push_str(text),
        Part::Time => {
            let (sec, nsec) = (time / 1_000_000_000, time % 1_000_000_000);
            _ = write!(out, "{{\"sec\":{sec},\"nsec\":{nsec}}}");
        }
        Part::Row(writer) => writer.write(row, out),
        Part::Value(writer, missing) => {
            let start = out.len();
            writer.write(row, out);
            if &out[start..] == "null" {
                out.truncate(start);
                out.push_str(missing);
            }
        }
        Part::Pixels(data, format) => {
            let data = data.as_binary_opt::<i32>().map_or(&[][..], |data| data.value(row));
            let is_packed = format.as_string_opt::<i32>().is_some_and(|format| format.value(row) == "png");
            out.push('"');
            if is_packed {
                let pixels = unpacked(data)
                    .map_err(|problem| Error::Invalid(format!("a picture at {time}: {problem}")))?;
                STANDARD.encode_string(pixels, out);
            } else {
                STANDARD.encode_string(data, out);
            }
            out.push('"');
        }
    }
    Ok(())
}
