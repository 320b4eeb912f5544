//! Bodies of answers, and parts that several have.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use mosaico_storage::error::{Error, Result};
use mosaico_wire::metadata::Bounds;
use serde_json::{Value, json};

use super::failure::JSON;
use super::reader::ARROW_STREAM;

pub(super) fn json(value: &Value) -> Response {
    json_text(value.to_string())
}

pub(super) fn json_text(text: String) -> Response {
    ([(CONTENT_TYPE, JSON), (VARY, "accept")], text).into_response()
}

/// Batches in memory as an Arrow IPC stream.
pub(super) fn arrow(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Response> {
    let written = || {
        let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.into_inner()
    };
    let body = written().map_err(|e| Error::internal("encoding an answer", e))?;
    Ok(([(CONTENT_TYPE, ARROW_STREAM), (VARY, "accept")], body).into_response())
}

/// Whether a sequence grows, ended without being finalized, or is complete.
pub(super) fn state(finalized_ns: Option<i64>, ended_ns: Option<i64>) -> &'static str {
    match (finalized_ns, ended_ns) {
        (Some(_), _) => "finalized",
        (None, Some(_)) => "interrupted",
        (None, None) => "recording",
    }
}

pub(super) fn range(bounds: Bounds) -> Value {
    json!({"min_ns": bounds.min, "max_ns": bounds.max})
}

/// The times of both.
pub(super) fn joined(a: Bounds, b: Bounds) -> Bounds {
    Bounds { min: a.min.min(b.min), max: a.max.max(b.max) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_has_one_state() {
        assert_eq!(state(Some(1), Some(1)), "finalized");
        assert_eq!(state(None, Some(1)), "interrupted");
        assert_eq!(state(None, None), "recording");
    }
}
