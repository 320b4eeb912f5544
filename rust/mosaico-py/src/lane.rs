use std::path::PathBuf;
use std::sync::Arc;

use mosaico_client::{Error, Lane, LaneBudget, SpillConfig};
use mosaico_types::ErrorKind;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};
use pyo3_arrow::input::AnyRecordBatch;

use crate::encode::{EncodeError, Fields, Plan, append_fields};
use crate::errors::to_py_err;
use crate::runtime::{refuse_after_fork, wait};

/// Columns of the envelope, which precede those of the data class.
const ENVELOPE: usize = 2;

/// The byte budget of one recording's lanes.
#[pyclass(frozen, name = "LaneBudget", module = "mosaicolabs._native")]
pub(crate) struct PyLaneBudget(pub(crate) LaneBudget);

#[pymethods]
impl PyLaneBudget {
    #[new]
    #[pyo3(signature = (bytes, spill_folder=None, spill_bytes=0))]
    fn new(bytes: usize, spill_folder: Option<PathBuf>, spill_bytes: u64) -> Self {
        Self(LaneBudget::new(bytes, spill_folder.map(|folder| SpillConfig::new(folder, spill_bytes))))
    }
}

/// One topic being written.
#[pyclass(frozen, name = "Lane", module = "mosaicolabs._native")]
pub(crate) struct PyLane {
    lane: Arc<Lane>,
    topic: String,
    class: Py<PyType>,
    envelope: Vec<Plan>,
    payload: Vec<Plan>,
}

impl PyLane {
    pub(crate) fn new(
        py: Python<'_>,
        lane: Lane,
        topic: String,
        class: Py<PyType>,
        schema: &arrow::datatypes::Schema,
    ) -> Self {
        let mut plans: Vec<Plan> = schema.fields().iter().map(|field| Plan::new(py, field)).collect();
        let payload = plans.split_off(ENVELOPE.min(plans.len()));
        Self { lane: Arc::new(lane), topic, class, envelope: plans, payload }
    }

    fn check_class(&self, data: &Bound<'_, PyAny>) -> Result<(), EncodeError> {
        let class = self.class.bind(data.py());
        if data.get_type().is(class) || data.is_instance(class)? {
            return Ok(());
        }
        let found = data.get_type();
        let name = |class: &Bound<'_, PyType>| class.name().map(|name: Bound<'_, PyString>| name.to_string());
        let message = format!(
            "topic `{}` holds {}, not {}; create a topic of its own for it",
            self.topic,
            name(class)?,
            name(&found)?
        );
        Err(Error::new(ErrorKind::InvalidInput, message).into())
    }
}

#[pymethods]
impl PyLane {
    /// Returns whether there are notices to take.
    fn push(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        refuse_after_fork()?;
        let full = self.lane.push(|columns| {
            let envelope = Fields::of(message);
            let data = envelope.get(intern!(py, "data"))?;
            self.check_class(&data)?;
            let (head, tail) = columns.split_at_mut(ENVELOPE);
            append_fields(py, &self.envelope, head, &envelope)?;
            append_fields(py, &self.payload, tail, &Fields::of(&data))
        });
        if full.map_err(|error| error.into_py_err(py, &self.topic))? {
            wait(py, self.lane.room())?;
        }
        Ok(self.lane.has_notices())
    }

    /// Returns whether there are notices to take.
    fn push_batch(&self, py: Python<'_>, columns: AnyRecordBatch) -> PyResult<bool> {
        refuse_after_fork()?;
        let reader = columns.into_reader()?;
        // Some streams are Python code, and all of them may block.
        let batches = py.detach(|| reader.collect::<Result<Vec<_>, _>>()).map_err(|cause| {
            let message = format!("topic `{}`: the columns cannot be read: {cause}", self.topic);
            to_py_err(Error::new(ErrorKind::InvalidInput, message))
        })?;
        wait(py, self.lane.push_batches(&batches))?;
        Ok(self.lane.has_notices())
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.lane.flush())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        wait(py, self.lane.close())
    }

    fn end(&self) {
        self.lane.end();
    }

    fn abort(&self) {
        self.lane.abort();
    }

    /// `(pushed, sent, durable, queued_bytes)`.
    fn stats(&self) -> (u64, u64, u64, usize) {
        let stats = self.lane.stats();
        (stats.pushed, stats.sent, stats.durable, stats.queued_bytes)
    }

    fn take_notices(&self) -> Vec<String> {
        self.lane.take_notices()
    }

    fn check(&self) -> PyResult<()> {
        self.lane.failure().map_or(Ok(()), |error| Err(to_py_err(error)))
    }
}
