//! The rows of a topic: all as an Arrow IPC stream, some as JSON.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use mosaico_catalog::TopicRow;
use mosaico_engine::read::last_before::last_before;
use mosaico_select::data_bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_storage::format::schema::times;
use mosaico_types::TimeWindow;

use super::answer;
use super::arrow_body::ipc_stream;
use super::failure::Failure;
use super::json_rows::{RowWriter, Style};
use super::parameters::{Parameters, malformed};
use super::reader::{ARROW_STREAM, Reader, wants_arrow};

/// Messages of an answer, by default and at most.
const MESSAGES: usize = 100;
const MAX_MESSAGES: usize = 1000;

/// Arrow data of the messages of an answer, which has more only if they have the same time.
const ANSWER_BYTES: usize = 4 << 20;

/// Messages of the same time are in one answer.
const MAX_SAME_TIME: usize = 100_000;

type TopicPath = Result<Path<(String, String)>, PathRejection>;

/// `GET /api/v1/sequences/{name}/topics/{topic}/data`.
pub(super) async fn data(
    Extension(reader): Extension<Reader>,
    path: TopicPath,
    uri: Uri,
) -> Result<Response, Failure> {
    let parameters = Parameters::parse(&uri, &["from", "to", "columns"])?;
    let (topic, window) = reader.topic(path, parameters.window()?).await?;
    let messages = reader.messages(topic, window, parameters.list("columns")).await?;
    let body = Body::from_stream(ipc_stream(messages));
    Ok(([(CONTENT_TYPE, ARROW_STREAM)], body).into_response())
}

/// `GET /api/v1/sequences/{name}/topics/{topic}/messages`.
pub(super) async fn messages(
    Extension(reader): Extension<Reader>,
    path: TopicPath,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let parameters = Parameters::parse(&uri, &["from", "to", "at", "limit", "columns"])?;
    let columns = parameters.list("columns");
    let (rows, next) = match parameters.time("at")? {
        Some(at) => {
            if let Some(name) =
                ["from", "to", "limit"].into_iter().find(|name| parameters.text(name).is_some())
            {
                return Err(malformed(&format!("`{name}` and `at` exclude each other")).into());
            }
            let (topic, window) = reader.topic(path, TimeWindow::ALL).await?;
            (last(&reader, topic, window, at, columns).await?, None)
        }
        None => {
            let limit = parameters.number("limit", 1..=MAX_MESSAGES)?.unwrap_or(MESSAGES);
            let (topic, window) = reader.topic(path, parameters.window()?).await?;
            first(&reader, topic, window, limit, columns).await?
        }
    };
    if wants_arrow(&headers) {
        return Ok(answer::arrow(&rows.schema(), &[rows])?);
    }
    let times = if rows.num_rows() == 0 { Vec::new() } else { times(&rows)?.values().to_vec() };
    let writer = RowWriter::new(&rows, Style::Shown)?;
    let mut text = String::from("{\"messages\":[");
    for (row, time) in times.iter().enumerate() {
        let separator = if row == 0 { "" } else { "," };
        text.push_str(&format!("{separator}{{\"timestamp_ns\":{time},\"data\":"));
        writer.write(row, &mut text);
        text.push('}');
    }
    text.push_str(&format!("],\"next_ns\":{}}}", next.map_or("null".to_owned(), |next| next.to_string())));
    Ok(answer::json_text(text))
}

fn joined(schema: &arrow::datatypes::SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    concat_batches(schema, batches).map_err(|e| Error::internal("joining rows", e))
}

/// The first rows of a window, and the time of the first row after them. Rows of one time stay together, so that the
/// next page begins at a time.
async fn first(
    reader: &Reader,
    topic: TopicRow,
    window: TimeWindow,
    limit: usize,
    columns: Option<Vec<String>>,
) -> Result<(RecordBatch, Option<i64>), Failure> {
    let schema = reader.schema(&topic, columns.as_deref())?;
    let mut rows = reader.rows(topic, window, columns).await?;
    let (mut found, mut count, mut bytes) = (Vec::new(), 0, 0);
    let mut first: Option<i64> = None;
    while let Some(batch) = rows.try_next().await? {
        let batch_times = times(&batch)?.values().to_vec();
        let Some((&start, &end)) = batch_times.first().zip(batch_times.last()) else { continue };
        let first = *first.get_or_insert(start);
        bytes += data_bytes(&batch);
        count += batch_times.len();
        found.push(batch);
        let is_enough = count > limit || bytes > ANSWER_BYTES;
        if is_enough && end > first {
            break;
        }
        if count > MAX_SAME_TIME {
            let text =
                format!("more than {MAX_SAME_TIME} messages have the time {first}; read them as `data`");
            return Err(Error::Invalid(text).into());
        }
    }
    let all = joined(&schema, &found)?;
    if count == 0 {
        return Ok((all, None));
    }
    let all_times = times(&all)?.values();
    let most = limit_by_bytes(bytes, count).min(limit);
    let Some(&next) = all_times.get(most) else { return Ok((all, None)) };
    let mut end = all_times.partition_point(|&time| time < next);
    if end == 0 {
        end = all_times.partition_point(|&time| time <= next);
    }
    let next = all_times.get(end).copied();
    Ok((all.slice(0, end), next))
}

/// The number of rows that fit an answer, of `count` rows with `bytes` bytes.
fn limit_by_bytes(bytes: usize, count: usize) -> usize {
    if bytes <= ANSWER_BYTES {
        return count;
    }
    (ANSWER_BYTES / (bytes / count).max(1)).clamp(1, (count - 1).max(1))
}

/// The last row that is not after a time; none if there is none in the window.
pub(super) async fn last(
    reader: &Reader,
    topic: TopicRow,
    window: TimeWindow,
    at: i64,
    columns: Option<Vec<String>>,
) -> Result<RecordBatch, Failure> {
    let schema = reader.schema(&topic, columns.as_deref())?;
    let at = window.end.map_or(at, |end| at.min(end.saturating_sub(1)));
    let end = at.checked_add(1);
    // A row of another daemon may be later than this one. The time first: rows may be large.
    let start = last_before(&reader.engine, &topic, at).await?.max(window.start);
    let time = {
        let mut rows = reader.rows(topic.clone(), TimeWindow { start, end }, Some(Vec::new())).await?;
        let mut last = None;
        while let Some(batch) = rows.try_next().await? {
            last = times(&batch)?.values().last().copied().or(last);
        }
        last
    };
    let mut found = RecordBatch::new_empty(schema);
    let Some(time) = time else { return Ok(found) };
    let window = TimeWindow { start: Some(time), end: time.checked_add(1) };
    let mut rows = reader.rows(topic, window, columns).await?;
    while let Some(batch) = rows.try_next().await? {
        if batch.num_rows() > 0 {
            found = batch.slice(batch.num_rows() - 1, 1);
        }
    }
    Ok(found)
}
