//! A sequence as an MCAP file that does not exist: players open it by its address and read the parts that they need.
//!
//! [`plan`] decides where each byte is, [`messages`] writes rows as messages, [`records`] has the format.

pub(super) mod layouts;
mod messages;
mod plan;
mod records;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use async_stream::try_stream;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use tonic::Status;

use self::layouts::Layout;
use self::plan::Plan;
use super::failure::Failure;
use super::parameters::{Parameters, malformed};
use super::reader::Reader;
use super::served::HttpServer;

/// Changes with the bytes that a sequence gets.
const LAYOUT: u32 = 1;

/// `GET /sequences/{file}`, where the file is `NAME.mcap`.
pub(super) async fn file(
    State(http): State<HttpServer>,
    Extension(reader): Extension<Reader>,
    path: Result<Path<String>, PathRejection>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let Path(file) = path.map_err(|e| malformed(&e))?;
    let name = file.strip_suffix(".mcap").ok_or_else(|| {
        Error::Refused(
            ErrorCode::NotFound,
            format!("there is no file `{file}`; files of sequences are NAME.mcap"),
        )
    })?;
    let parameters = Parameters::parse(&uri, &["topics", "from", "to"])?;
    let (topics, window) = reader.topics(name, parameters.list("topics"), parameters.window()?).await?;
    let mut hasher = DefaultHasher::new();
    (LAYOUT, env!("CARGO_PKG_VERSION"), window.start, window.end).hash(&mut hasher);
    let contents = reader.contents(&topics).await?;
    for topic in &topics {
        let content = contents.get(&topic.id);
        let bounds = content.and_then(|content| content.timestamp).map(|bounds| (bounds.min, bounds.max));
        (topic.id.to_string(), content.and_then(|content| content.rows), bounds).hash(&mut hasher);
    }
    let tag = format!("\"{:016x}\"", hasher.finish());
    let layout = http.0.layouts.get(&tag);
    let limit = reader.engine.config.limits.query_time;
    let planned = layout.get_or_try_init(|| Plan::new(&reader, topics, window));
    tokio::time::timeout(limit, planned).await.unwrap_or_else(|_| {
        let text = format!(
            "the file was not prepared within {} s, the limit of this server (--max-query-time); ask for a part with `topics`, \
             `from` and `to`",
            limit.as_secs_f64()
        );
        Err(Error::Limit("max-query-time", text).into())
    })?;
    let length = layout.get().map_or(0, |plan| plan.length);
    let range = headers.get(RANGE).and_then(|range| range.to_str().ok());
    // Parts of a file that changed meanwhile do not fit together.
    let range = range.filter(|_| headers.get(IF_RANGE).is_none_or(|known| known == tag.as_str()));
    let part = match range.map(|range| parse_range(range, length)) {
        None | Some(Asked::All) => None,
        Some(Asked::Part(part)) => Some(part),
        Some(Asked::Nothing) => {
            let whole = [(CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, whole).into_response());
        }
    };
    let (status, bytes) = match &part {
        Some(part) => (StatusCode::PARTIAL_CONTENT, part.clone()),
        None => (StatusCode::OK, 0..length),
    };
    let mut response = match method {
        Method::HEAD => status.into_response(),
        _ => (status, Body::from_stream(stream(reader, layout, bytes.clone()))).into_response(),
    };
    let head = response.headers_mut();
    let text = |text: String| HeaderValue::try_from(text).map_err(|e| Error::internal("writing a header", e));
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(ETAG, text(tag)?);
    head.insert(CONTENT_DISPOSITION, text(format!("attachment; filename=\"{name}.mcap\""))?);
    head.insert(CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
    if part.is_some() {
        head.insert(CONTENT_RANGE, text(format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1))?);
    }
    Ok(response)
}

/// The bytes of a part of the file.
fn stream(
    reader: Reader,
    layout: Layout,
    part: Range<u64>,
) -> impl futures::Stream<Item = std::result::Result<Bytes, Status>> + Send {
    try_stream! {
        let mut at = part.start;
        while at < part.end {
            let revoked = reader.caller.revoked();
            let next = async { match layout.get() { Some(plan) => plan.bytes(&reader, at).await, None => Ok(None) } };
            let next = tokio::select! {
                next = next => next.map_err(Status::from),
                () = revoked => Err(Status::permission_denied("the key or link is not valid any more")),
                () = reader.engine.halting.cancelled() => Err(Status::unavailable("the server is shutting down")),
            };
            let Some(mut bytes) = next? else { break };
            let rest = usize::try_from(part.end - at).unwrap_or(usize::MAX);
            bytes.truncate(rest);
            at += bytes.len() as u64;
            yield Bytes::from(bytes);
        }
    }
}

/// The bytes that a header asks for.
#[derive(Debug, PartialEq)]
enum Asked {
    All,
    Part(Range<u64>),
    /// It lies behind the end.
    Nothing,
}

/// Several ranges, and what is no range, are answered by the whole file.
fn parse_range(text: &str, length: u64) -> Asked {
    let parse = || {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| text.trim().parse::<u64>().ok();
        match (first.trim(), last.trim()) {
            ("", last) => Some(length.saturating_sub(number(last)?)..length),
            (first, "") => Some(number(first)?..length),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then(|| first..length.min(last.saturating_add(1)))
            }
        }
    };
    match parse() {
        None => Asked::All,
        Some(part) if part.start < part.end => Asked::Part(part),
        Some(_) => Asked::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_parts_of_the_file() {
        let parse = |text| parse_range(text, 100);
        assert_eq!(parse("bytes=0-9"), Asked::Part(0..10));
        assert_eq!(parse("bytes=90-"), Asked::Part(90..100));
        assert_eq!(parse("bytes=-30"), Asked::Part(70..100));
        assert_eq!(parse("bytes=-300"), Asked::Part(0..100));
        assert_eq!(parse("bytes=95-1000"), Asked::Part(95..100));
        for behind in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(parse(behind), Asked::Nothing, "{behind}");
        }
        for other in ["bytes=9-0", "bytes=0-1,5-6", "rows=0-1", "bytes=a-b", "bytes=-", "bytes"] {
            assert_eq!(parse(other), Asked::All, "{other}");
        }
    }
}
