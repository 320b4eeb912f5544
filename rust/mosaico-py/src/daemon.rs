use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs `mosaicod` with the given arguments, the program's name first; returns its exit code.
#[pyfunction]
pub(crate) fn run_daemon(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| mosaicod::run(arguments))
}
