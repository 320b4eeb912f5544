//! Refusals and errors of pages: JSON with the stable code of Flight.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use mosaico_storage::error::Error;
use mosaico_types::{ErrorCode, ErrorKind};
use mosaico_wire::status::{LIMIT_HEADER, RETRY_HEADER, code, grpc_code};
use serde_json::json;
use tonic::{Code, Status};

use crate::request_layer::status_of;

pub(super) const JSON: &str = "application/json";

/// An answer without content.
#[derive(Debug)]
pub(super) struct Failure(Box<Status>);

/// The gRPC code of an answer, for metrics and the audit log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended(pub(super) Code);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        status_of(error).into()
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self(Box::new(status))
    }
}

impl From<Failure> for Status {
    fn from(Failure(status): Failure) -> Self {
        *status
    }
}

fn http_status(code: ErrorCode) -> StatusCode {
    match code.kind() {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::InvalidInput => StatusCode::BAD_REQUEST,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::AlreadyExists
        | ErrorKind::FailedPrecondition
        | ErrorKind::Cancelled
        | ErrorKind::Closed => StatusCode::CONFLICT,
        ErrorKind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Deadline => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::DataLoss | ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(status) = self;
        let code = code(&status);
        let text = |header: &str| status.metadata().get(header).and_then(|value| value.to_str().ok());
        let mut error = json!({"code": code.as_str(), "message": status.message()});
        if let Some(limit) = text(LIMIT_HEADER) {
            error["limit"] = limit.into();
        }
        let seconds =
            text(RETRY_HEADER).and_then(|ms| ms.parse::<u64>().ok()).map(|ms| ms.div_ceil(1000).max(1));
        let body = json!({"error": error}).to_string();
        let mut response = (http_status(code), [(CONTENT_TYPE, JSON)], body).into_response();
        if let Some(seconds) = seconds {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(Ended(grpc_code(code)));
        response
    }
}
