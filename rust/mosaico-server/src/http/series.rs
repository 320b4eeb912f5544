//! A topic as pixel columns, for plots: a JSON object of columns, or an Arrow IPC stream.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, UInt32Array, UInt64Array};
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use futures::TryStreamExt;
use mosaico_catalog::TopicRow;
use mosaico_engine::read::series::{Gathered, Grid, Pixel, PixelValues, rows_at_least, series};
use mosaico_select::{Column, find};
use mosaico_storage::error::{Error, Result};
use mosaico_types::TimeWindow;
use serde_json::{Map, Value, json};

use super::answer;
use super::failure::Failure;
use super::parameters::{Parameters, malformed};
use super::reader::{Reader, wants_arrow};
use crate::peers;
use crate::service::info;

/// Pixel columns, by default and at most.
pub(super) const PX: u32 = 1024;
pub(super) const MAX_PX: u32 = 8192;

const MAX_FIELDS: usize = 8;

/// `GET /api/v1/sequences/{name}/topics/{topic}/series`.
pub(super) async fn topic_series(
    Extension(reader): Extension<Reader>,
    path: Result<Path<(String, String)>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let parameters = Parameters::parse(&uri, &["fields", "from", "to", "px"])?;
    let px = parameters.number("px", 1..=MAX_PX)?.unwrap_or(PX);
    let fields = parameters.list("fields").unwrap_or_default();
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        let text =
            format!("`fields` has {} fields; name 1 to {MAX_FIELDS}, separated by commas", fields.len());
        return Err(malformed(&text).into());
    }
    let (topic, window) = reader.topic(path, parameters.window()?).await?;
    let columns = columns(&topic, &fields)?;
    let Some(grid) = reader.grid(&topic, window, px).await? else {
        return Ok(respond(None, px, &fields, &[], &headers)?);
    };
    let pixels = pixels(&reader, topic, grid, &fields, columns).await?;
    Ok(respond(Some(grid), px, &fields, &pixels, &headers)?)
}

/// The fields of a topic, each with one number per row.
fn columns(topic: &TopicRow, fields: &[String]) -> Result<Vec<Column>> {
    let schema = info::topic_schema(topic)?;
    let column = |path: &String| {
        if topic.schema.is_none() {
            return Err(Error::Invalid(format!("topic `{}` has no rows and no fields yet", topic.locator)));
        }
        let found = find(&schema, path).ok_or_else(|| {
            Error::Invalid(format!(
                "topic `{}` has no field `{path}`; its sequence lists the fields",
                topic.locator
            ))
        })?;
        if found.is_number() {
            return Ok(found);
        }
        let (data_type, repeated) = (&found.data_type, if found.repeated { " in a list" } else { "" });
        let text = format!("field `{path}` is {data_type}{repeated}; a series has one number per row");
        Err(Error::Invalid(text))
    };
    fields.iter().map(column).collect()
}

async fn pixels(
    reader: &Reader,
    topic: TopicRow,
    grid: Grid,
    fields: &[String],
    columns: Vec<Column>,
) -> Result<Vec<Pixel>, Failure> {
    let engine = &reader.engine;
    let window = TimeWindow { start: Some(grid.start), end: Some(grid.end) };
    let is_remote = peers::is_remote(engine, &topic).await?;
    if !is_remote && rows_at_least(engine, &topic, grid).await? > u64::from(grid.px) {
        return Ok(series(engine, &topic, grid, columns).await?);
    }
    let mut rows = reader.rows(topic.clone(), window, Some(fields.to_vec())).await?;
    let (mut few, mut count) = (Vec::new(), 0);
    let mut gathered = Gathered::new(grid, columns.clone());
    while let Some(batch) = rows.try_next().await? {
        count += batch.num_rows();
        if is_remote {
            gathered.add(&batch)?;
        }
        if count <= grid.px as usize {
            few.push(batch);
        } else if !is_remote {
            break;
        }
    }
    drop(rows);
    if count <= grid.px as usize {
        return Ok(Gathered::single(grid, &columns, &few)?);
    }
    if is_remote {
        return Ok(gathered.finish());
    }
    Ok(series(engine, &topic, grid, columns).await?)
}

type Part = (&'static str, fn(&PixelValues) -> Option<f64>);

const PARTS: [Part; 4] = [
    ("min", |values| values.bounds.map(|(low, _)| low)),
    ("max", |values| values.bounds.map(|(_, high)| high)),
    ("first", |values| values.first),
    ("last", |values| values.last),
];

fn respond(
    grid: Option<Grid>,
    px: u32,
    fields: &[String],
    pixels: &[Pixel],
    headers: &HeaderMap,
) -> Result<Response> {
    let of_field = |field: usize, part: fn(&PixelValues) -> Option<f64>| {
        pixels.iter().map(move |pixel| pixel.values.get(field).and_then(part))
    };
    if wants_arrow(headers) {
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("pixel".into(), Arc::new(pixels.iter().map(|one| one.pixel).collect::<UInt32Array>())),
            ("first_ns".into(), Arc::new(pixels.iter().map(|one| one.first_ns).collect::<Int64Array>())),
            ("last_ns".into(), Arc::new(pixels.iter().map(|one| one.last_ns).collect::<Int64Array>())),
            ("count".into(), Arc::new(pixels.iter().map(|one| one.count).collect::<UInt64Array>())),
        ];
        for (index, field) in fields.iter().enumerate() {
            for (name, part) in PARTS {
                let values: Float64Array = of_field(index, part).collect();
                columns.push((format!("{field}.{name}"), Arc::new(values)));
            }
        }
        // The names may differ in nothing but a field that is named twice, which Arrow allows.
        let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(nullable);
        let batch = batch.map_err(|e| Error::internal("encoding a series", e))?;
        return answer::arrow(&batch.schema(), &[batch]);
    }
    let values: Map<String, Value> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let part = |(name, part): Part| (name.to_owned(), of_field(index, part).collect::<Value>());
            (field.clone(), Value::Object(PARTS.map(part).into_iter().collect()))
        })
        .collect();
    let all = |value: fn(&Pixel) -> Value| pixels.iter().map(value).collect::<Value>();
    Ok(answer::json(&json!({
        "from_ns": grid.map(|grid| grid.start),
        "to_ns": grid.map(|grid| grid.end),
        "px": px,
        "columns": {
            "pixel": all(|one| one.pixel.into()),
            "first_ns": all(|one| one.first_ns.into()),
            "last_ns": all(|one| one.last_ns.into()),
            "count": all(|one| one.count.into()),
            "fields": values,
        },
    })))
}
