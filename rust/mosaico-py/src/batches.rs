use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{Field, SchemaRef};
use arrow::error::ArrowError;
use mosaico_client::{Batches, Error};
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::PyRecordBatch;
use pyo3_arrow::error::PyArrowResult;
use pyo3_arrow::ffi::{ArrayIterator, to_schema_pycapsule, to_stream_pycapsule};

use crate::errors::{PyDamagedRows, to_py_damaged, to_py_err};
use crate::runtime::wait;

/// Shared with the streams that were returned.
type Shared = Arc<Mutex<Option<Batches>>>;

/// Topics being read as columns.
#[pyclass(frozen, name = "Batches", module = "mosaicolabs._native")]
pub(crate) struct PyBatches {
    schema: SchemaRef,
    batches: Shared,
}

impl PyBatches {
    pub(crate) fn new(batches: Batches) -> Self {
        Self { schema: Arc::clone(batches.schema()), batches: Arc::new(Mutex::new(Some(batches))) }
    }
}

#[pymethods]
impl PyBatches {
    /// The next batch as a pyarrow batch, or None at the end.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        match next(py, &self.batches)? {
            Some(batch) => PyRecordBatch::new(batch).into_pyarrow(py).map(Some),
            None => Ok(None),
        }
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyArrowResult<Bound<'py, PyCapsule>> {
        to_schema_pycapsule(py, self.schema.as_ref())
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyArrowResult<Bound<'py, PyCapsule>> {
        let field = Field::new_struct("", self.schema.fields().clone(), false);
        let field = Arc::new(field.with_metadata(self.schema.metadata().clone()));
        let arrays = Reader(Arc::clone(&self.batches))
            .map(|batch| batch.map(|batch| -> ArrayRef { Arc::new(StructArray::from(batch)) }));
        to_stream_pycapsule(py, Box::new(ArrayIterator::new(arrays, field)), requested_schema)
    }

    /// The rows of damaged chunks that the daemon left out.
    fn skipped(&self) -> Vec<PyDamagedRows> {
        let open = self.batches.lock();
        open.as_ref().map(|batches| to_py_damaged(batches.skipped())).unwrap_or_default()
    }

    /// Ends the calls of the reader.
    fn close(&self) {
        drop(self.batches.lock().take());
    }
}

/// The batches are taken out during the call: two threads cannot share them.
fn next(py: Python<'_>, shared: &Shared) -> PyResult<Option<RecordBatch>> {
    let mut batches = shared.lock().take().ok_or_else(|| {
        let message = "the batches are closed, or another thread is reading them";
        to_py_err(Error::new(ErrorKind::Closed, message))
    })?;
    let outcome = wait(py, batches.next());
    *shared.lock() = Some(batches);
    outcome
}

/// The Arrow stream for other libraries, which call it in any thread, with or without the GIL.
struct Reader(Shared);

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let outcome = Python::try_attach(|py| next(py, &self.0).map_err(|error| error.to_string()));
        let outcome = outcome.unwrap_or_else(|| Err("the interpreter has ended".to_owned()));
        outcome.map_err(|message| ArrowError::ExternalError(message.into())).transpose()
    }
}
