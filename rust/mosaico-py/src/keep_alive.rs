use mosaico_client::KeepAlive;
use parking_lot::Mutex;
use pyo3::prelude::*;

/// Keeps the sequence of a silent writer open until it is stopped.
#[pyclass(frozen, name = "KeepAlive", module = "mosaicolabs._native")]
pub(crate) struct PyKeepAlive(pub(crate) Mutex<Option<KeepAlive>>);

#[pymethods]
impl PyKeepAlive {
    fn stop(&self) {
        drop(self.0.lock().take());
    }
}
