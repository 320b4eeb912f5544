//! The number of rows of each topic per pixel column, for time lines.

use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path};
use axum::http::Uri;
use axum::response::Response;
use futures::TryStreamExt;
use mosaico_catalog::TopicRow;
use mosaico_engine::read::series::{Gathered, Grid, series};
use mosaico_storage::error::Result;
use mosaico_types::TimeWindow;
use serde_json::{Map, Value, json};

use super::answer::{self, joined};
use super::failure::Failure;
use super::parameters::{Parameters, malformed};
use super::reader::{Reader, grid};
use super::series::{MAX_PX, PX};
use crate::peers;

/// `GET /api/v1/sequences/{name}/density`.
pub(super) async fn density(
    Extension(reader): Extension<Reader>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Failure> {
    let Path(name) = path.map_err(|e| malformed(&e))?;
    let parameters = Parameters::parse(&uri, &["from", "to", "px"])?;
    let px = parameters.number("px", 1..=MAX_PX)?.unwrap_or(PX);
    let asked = parameters.window()?;
    let (topics, window) = reader.topics(&name, None, asked).await?;
    let contents = reader.contents(&topics).await?;
    let extent = contents.into_values().filter_map(|metadata| metadata.timestamp).reduce(joined);
    let Some(grid) = grid(extent, window, px)? else {
        return Ok(answer::json(&json!({"from_ns": null, "to_ns": null, "px": px, "topics": {}})));
    };
    let mut counts = Map::new();
    for topic in topics {
        let name = topic.locator.topic.to_string();
        counts.insert(name, count(&reader, topic, grid).await?);
    }
    Ok(answer::json(&json!({"from_ns": grid.start, "to_ns": grid.end, "px": px, "topics": counts})))
}

/// The rows of a topic per pixel column.
async fn count(reader: &Reader, topic: TopicRow, grid: Grid) -> Result<Value, Failure> {
    let pixels = if peers::is_remote(&reader.engine, &topic).await? {
        let window = TimeWindow { start: Some(grid.start), end: Some(grid.end) };
        let mut rows = reader.rows(topic, window, Some(Vec::new())).await?;
        let mut gathered = Gathered::new(grid, Vec::new());
        while let Some(batch) = rows.try_next().await? {
            gathered.add(&batch)?;
        }
        gathered.finish()
    } else {
        series(&reader.engine, &topic, grid, Vec::new()).await?
    };
    let mut counts = vec![0_u64; grid.px as usize];
    for one in pixels {
        counts[one.pixel as usize] += one.count;
    }
    Ok(counts.into())
}
