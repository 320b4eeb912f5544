//! The only mapping of core errors to Python exceptions.
//!
//! The classes are in `mosaicolabs/exceptions.py`, because most have a second, builtin base. To add a kind:
//! add it to `mosaico_types::ErrorKind` and to `class_name` here. To add a code: add it to
//! `mosaico_types::ErrorCode` and to its class's `codes` there.

use mosaico_client::Error;
use mosaico_types::ErrorKind;
use mosaico_wire::damage::DamagedRows;
use pyo3::prelude::*;

const fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "NotFoundError",
        ErrorKind::AlreadyExists => "AlreadyExistsError",
        ErrorKind::InvalidInput => "InvalidInputError",
        ErrorKind::PermissionDenied => "PermissionDeniedError",
        ErrorKind::FailedPrecondition => "FailedPreconditionError",
        ErrorKind::Cancelled | ErrorKind::Unavailable => "ConnectionFailedError",
        ErrorKind::Deadline => "DeadlineError",
        ErrorKind::ResourceExhausted => "ResourceExhaustedError",
        ErrorKind::Unimplemented => "UnsupportedError",
        ErrorKind::Closed => "ClosedError",
        ErrorKind::DataLoss => "DataLossError",
        ErrorKind::Internal => "InternalError",
    }
}

pub(crate) fn to_py_err(error: Error) -> PyErr {
    Python::attach(|py| {
        let raise = || {
            let class = py.import("mosaicolabs.exceptions")?.getattr(class_name(error.kind))?;
            class.call1((error.message.as_str(), error.code.as_str(), error.request_id.as_deref()))
        };
        match raise() {
            Ok(instance) => PyErr::from_value(instance),
            Err(failed) => failed,
        }
    })
}

/// The exception for a wrong argument.
pub(crate) fn invalid_input(message: String) -> PyErr {
    to_py_err(Error::new(ErrorKind::InvalidInput, message))
}

/// `(topic, chunk, (first row, row behind the last), (first time, last time), skipped rows, cause)`.
pub(crate) type PyDamagedRows = (String, String, (u64, u64), (i64, i64), u64, String);

pub(crate) fn to_py_damaged(rows: Vec<DamagedRows>) -> Vec<PyDamagedRows> {
    let row =
        |row: DamagedRows| (row.topic, row.chunk, row.rows, row.timestamp_range, row.skipped_rows, row.cause);
    rows.into_iter().map(row).collect()
}
