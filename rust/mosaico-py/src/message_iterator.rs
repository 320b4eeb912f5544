//! The base class of streamers: a loop over messages runs without Python code for each of them.

use parking_lot::Mutex;
use pyo3::IntoPyObjectExt;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::stream::PyStream;

/// Where the messages come from.
struct Source {
    /// A `Stream`, or an object with its methods.
    stream: Py<PyAny>,
    /// Whether items are `(topic, message)` instead of messages.
    named: bool,
}

/// Iterates over the messages of a stream. The derived class has two methods for it: `_open` calls `_read_from`,
/// or raises the error of a closed streamer; `_end` runs when all messages are read.
#[pyclass(subclass, frozen, name = "MessageIterator", module = "mosaicolabs._native")]
pub(crate) struct PyMessageIterator {
    source: Mutex<Option<Source>>,
}

#[pymethods]
impl PyMessageIterator {
    /// Takes the arguments of the derived class, for its `__init__`.
    #[new]
    #[pyo3(signature = (*_arguments, **_keywords))]
    fn new(_arguments: &Bound<'_, PyTuple>, _keywords: Option<&Bound<'_, PyDict>>) -> Self {
        Self { source: Mutex::new(None) }
    }

    /// Sets where the messages come from; None: nowhere, until the next call.
    #[pyo3(signature = (stream, named=false))]
    fn _read_from(&self, stream: Option<Py<PyAny>>, named: bool) {
        *self.source.lock() = stream.map(|stream| Source { stream, named });
    }

    fn __iter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.call_method0(intern!(slf.py(), "_open"))?;
        Ok(slf)
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let source =
            || slf.get().source.lock().as_ref().map(|source| (source.stream.clone_ref(py), source.named));
        let found = match source() {
            Some(found) => Some(found),
            None => {
                slf.call_method0(intern!(py, "_open"))?;
                source()
            }
        };
        let Some((stream, named)) = found else { return Ok(None) };
        let item = match stream.bind(py).cast::<PyStream>() {
            Ok(stream) => match stream.get().next(py)? {
                Some((_, message)) if !named => Some(message.into_bound(py)),
                Some(item) => Some(item.into_bound_py_any(py)?),
                None => None,
            },
            Err(_) => match stream.bind(py).call_method0(intern!(py, "next"))? {
                item if item.is_none() => None,
                item if named => Some(item),
                item => Some(item.get_item(1)?),
            },
        };
        if item.is_none() {
            slf.call_method0(intern!(py, "_end"))?;
        }
        Ok(item)
    }
}
