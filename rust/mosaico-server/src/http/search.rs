//! Queries over HTTP.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::Extension;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use mosaico_engine::query;
use mosaico_storage::error::{Error, Result};
use mosaico_types::ErrorCode;
use serde_json::{Value, json};

use super::answer;
use super::failure::Failure;
use super::parameters::Parameters;
use super::reader::Reader;
use crate::limits::MAX_BODY_BYTES;

/// `POST /api/v1/query`.
pub(super) async fn search(
    Extension(reader): Extension<Reader>,
    uri: Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    reader.check_no_link()?;
    Parameters::parse(&uri, &[])?;
    let body = body.map_err(|e| match e.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("the body has more than {MAX_BODY_BYTES} bytes");
            Error::Refused(ErrorCode::TooLarge, text)
        }
        _ => Error::Invalid(format!("the body was not received: {e}")),
    })?;
    let found = query::run(&reader.engine, &body, reader.caller.grant.visibility()).await?;
    let sequences: Vec<Value> = found
        .items
        .iter()
        .map(|item| {
            let topics = item.topics.iter().map(|topic| {
                let name = topic.locator.split_once('/').map_or("", |(_, path)| path);
                let range = topic.timestamp_range.map(|(min, max)| json!({"min_ns": min, "max_ns": max}));
                json!({"name": name, "time_range": range})
            });
            json!({"name": item.sequence, "topics": topics.collect::<Vec<_>>()})
        })
        .collect();
    let mut answer =
        BTreeMap::from([("sequences", json!(sequences)), ("next_cursor", json!(found.cursor.flatten()))]);
    if !found.incomplete.is_empty() {
        answer.insert("incomplete", json!(found.incomplete));
    }
    Ok(answer::json(&json!(answer)))
}
