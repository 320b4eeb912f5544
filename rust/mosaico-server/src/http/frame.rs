//! One picture of a camera: the recorded bytes as they are, or raw pixels as PNG.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Schema};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::times;
use mosaico_storage::trace;
use mosaico_types::{ErrorCode, TimeWindow};

use super::failure::Failure;
use super::parameters::{Parameters, malformed};
use super::picture::{Encoded, Raw, png_of, smaller, unpacked};
use super::reader::Reader;
use super::rows::last;
use crate::service::info;

const TIME: HeaderName = HeaderName::from_static("x-timestamp-ns");
const NEXT: HeaderName = HeaderName::from_static("x-next-ns");

const COMPRESSED: [&str; 2] = ["data", "format"];
const RAW: [&str; 7] = ["data", "format", "width", "height", "stride", "encoding", "is_bigendian"];

/// Wider pictures are none.
const MAX_WIDTH: u32 = 16_384;

/// `GET /api/v1/sequences/{name}/topics/{topic}/frame`.
pub(super) async fn frame(
    Extension(reader): Extension<Reader>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
) -> Result<Response, Failure> {
    let parameters = Parameters::parse(&uri, &["at", "width"])?;
    let at = parameters.time("at")?.ok_or_else(|| malformed(&"`at` is missing: the time of the picture"))?;
    let width = parameters.number("width", 1..=MAX_WIDTH)?;
    let (topic, window) = reader.topic(path, TimeWindow::ALL).await?;
    let columns = columns(&info::topic_schema(&topic)?).ok_or_else(|| {
        Error::Invalid(format!("topic `{}` ({}) has no pictures", topic.locator, topic.ontology_tag))
    })?;
    let locator = topic.locator.to_string();
    let found = last(&reader, topic.clone(), window, at, Some(columns)).await?;
    if found.num_rows() == 0 {
        let text = format!("topic `{locator}` has no picture at {at} or before");
        return Err(Error::Refused(ErrorCode::NotFound, text).into());
    }
    let time = times(&found)?.value(0);
    let next = match time.checked_add(1) {
        Some(start) => first_time(&reader, topic, TimeWindow { start: Some(start), ..window }).await?,
        None => None,
    };
    let _permit =
        reader.engine.scans.acquire().await.map_err(|e| Error::internal("waiting for a decoder", e))?;
    let encoded = trace::spawn_blocking(move || encoded(&found, width));
    let encoded = encoded.await.map_err(|e| Error::internal("making a picture", e))?;
    let (kind, body) = encoded
        .map_err(|problem| Error::Invalid(format!("the picture of `{locator}` at {time}: {problem}")))?;
    let mut response = ([(CONTENT_TYPE, kind)], body).into_response();
    response.headers_mut().insert(TIME, HeaderValue::from(time));
    if let Some(next) = next {
        response.headers_mut().insert(NEXT, HeaderValue::from(next));
    }
    Ok(response)
}

/// The columns of pictures; `None`: there are none.
fn columns(schema: &Schema) -> Option<Vec<String>> {
    let has = |name: &&str| schema.field_with_name(name).is_ok();
    let is_binary = matches!(
        schema.field_with_name("data").ok()?.data_type(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    );
    let names = if RAW[..6].iter().all(has) { &RAW[..] } else { &COMPRESSED[..] };
    let found: Vec<String> = names.iter().filter(|name| has(name)).map(|name| (*name).to_owned()).collect();
    (is_binary && COMPRESSED.iter().all(has)).then_some(found)
}

/// The first time of a window.
async fn first_time(
    reader: &Reader,
    topic: mosaico_catalog::TopicRow,
    window: TimeWindow,
) -> Result<Option<i64>, Failure> {
    let mut rows = reader.rows(topic, window, Some(Vec::new())).await?;
    while let Some(batch) = rows.try_next().await? {
        if let Some(first) = times(&batch)?.values().first() {
            return Ok(Some(*first));
        }
    }
    Ok(None)
}

fn encoded(row: &RecordBatch, width: Option<u32>) -> std::result::Result<Encoded, String> {
    let data = bytes(row).ok_or("its bytes are missing")?;
    let format = text(row, "format").ok_or("its format is missing")?;
    if row.column_by_name("encoding").is_some() {
        let number = |name: &str| {
            let column = row.column_by_name(name)?.as_primitive_opt::<Int32Type>()?;
            u32::try_from(column.is_valid(0).then(|| column.value(0))?).ok()
        };
        let missing = |name: &str| format!("its {name} is missing or negative");
        let flag = row.column_by_name("is_bigendian").and_then(|column| column.as_boolean_opt());
        let raw = Raw {
            data: if format == "png" { unpacked(data)? } else { data.to_vec() },
            width: number("width").ok_or_else(|| missing("width"))?,
            height: number("height").ok_or_else(|| missing("height"))?,
            stride: number("stride").ok_or_else(|| missing("stride"))? as usize,
            encoding: text(row, "encoding").ok_or_else(|| missing("encoding"))?,
            is_bigendian: flag.is_some_and(|flag| flag.is_valid(0) && flag.value(0)),
        };
        return png_of(&raw, width);
    }
    match (format.as_str(), width) {
        ("jpeg" | "jpg", Some(width)) => smaller(data, true, width),
        ("png", Some(width)) => smaller(data, false, width),
        ("jpeg" | "jpg", None) => Ok(("image/jpeg", data.to_vec())),
        ("png", None) => Ok(("image/png", data.to_vec())),
        ("tiff", None) => Ok(("image/tiff", data.to_vec())),
        ("h264", None) => Ok(("video/h264", data.to_vec())),
        ("hevc", None) => Ok(("video/h265", data.to_vec())),
        (other, Some(_)) => Err(format!("`{other}` cannot be scaled; leave out `width`")),
        (_, None) => Ok(("application/octet-stream", data.to_vec())),
    }
}

fn bytes(row: &RecordBatch) -> Option<&[u8]> {
    let column = row.column_by_name("data")?;
    if !column.is_valid(0) {
        return None;
    }
    match column.data_type() {
        DataType::Binary => Some(column.as_binary::<i32>().value(0)),
        DataType::LargeBinary => Some(column.as_binary::<i64>().value(0)),
        DataType::BinaryView => Some(column.as_binary_view().value(0)),
        _ => None,
    }
}

fn text(row: &RecordBatch, name: &str) -> Option<String> {
    let column = row.column_by_name(name)?;
    let value = match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value(0),
        DataType::LargeUtf8 => column.as_string::<i64>().value(0),
        DataType::Utf8View => column.as_string_view().value(0),
        _ => return None,
    };
    column.is_valid(0).then(|| value.to_owned())
}
