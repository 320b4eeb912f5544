use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use mosaico_client::columns::Column;
use mosaico_client::{Error, Lane, LaneBudget, SpillConfig};
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyString, PyType};
use pyo3_arrow::input::AnyRecordBatch;

use crate::encode::{EncodeError, append_fields, append_times};
use crate::envelope::{ENVELOPE, append_header, split_time};
use crate::errors::{invalid_input, to_py_err};
use crate::fields::{Fields, FieldsPlan};
use crate::runtime::{refuse_after_fork, wait};

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
    /// A value may run Python code while it is encoded, in which another thread pushes: it has to wait for this
    /// lock without the GIL, and so takes it before that of the lane.
    plans: Mutex<Plans>,
}

/// How a message is read.
struct Plans {
    envelope: FieldsPlan,
    payload: FieldsPlan,
}

impl PyLane {
    pub(crate) fn new(
        py: Python<'_>,
        lane: Lane,
        topic: String,
        class: Py<PyType>,
        schema: &arrow::datatypes::Schema,
    ) -> Self {
        let fields = || schema.fields().iter().map(AsRef::as_ref);
        let envelope = FieldsPlan::new(py, fields().take(ENVELOPE));
        let payload = FieldsPlan::new(py, fields().skip(ENVELOPE));
        Self { lane: Arc::new(lane), topic, class, plans: Mutex::new(Plans { envelope, payload }) }
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

impl PyLane {
    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        self.lane.schema()
    }

    /// Appends one row through `append`, which fills every column once, and waits while the queue is over its
    /// limit. Returns whether there are notices to take.
    pub(crate) fn append(
        &self,
        py: Python<'_>,
        append: impl FnOnce(&mut [Column], &mut [Column]) -> Result<(), EncodeError>,
    ) -> PyResult<bool> {
        refuse_after_fork()?;
        let full = self.lane.push(|columns| {
            let (envelope, payload) = columns.split_at_mut(ENVELOPE);
            append(envelope, payload)
        });
        if full.map_err(|error| error.into_py_err(py, &self.topic))? {
            wait(py, self.lane.room())?;
        }
        Ok(self.lane.has_notices())
    }
}

#[pymethods]
impl PyLane {
    /// Returns whether there are notices to take.
    fn push(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mut plans = self.plans.lock_py_attached(py);
        let Plans { envelope, payload } = &mut *plans;
        self.append(py, |head, tail| {
            let data = Fields::of(message).get(intern!(py, "data"))?;
            self.check_class(&data)?;
            let row = head[0].len();
            append_fields(py, envelope, head, row, message)?;
            append_fields(py, payload, tail, row, &data)
        })
    }

    /// Appends `data` as the message of a time, without a message; if `has_header`, with the header that the
    /// message would have. Returns whether there are notices to take.
    fn push_data(
        &self,
        py: Python<'_>,
        timestamp_ns: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        has_header: bool,
    ) -> PyResult<bool> {
        let fill = has_header && needs_header(data, timestamp_ns)?;
        let mut plans = self.plans.lock_py_attached(py);
        let Plans { envelope, payload } = &mut *plans;
        self.append(py, |head, tail| {
            self.check_class(data)?;
            let row = head[0].len();
            append_times(py, envelope, head, [Some(timestamp_ns), None])?;
            if fill && let Some(header) = payload.position("header") {
                append_header(&mut tail[header], timestamp_ns.extract()?)?;
            }
            append_fields(py, payload, tail, row, data)
        })
    }

    /// Returns whether there are notices to take.
    fn push_batch(&self, py: Python<'_>, columns: AnyRecordBatch) -> PyResult<bool> {
        refuse_after_fork()?;
        let reader = columns.into_reader()?;
        // Some streams are Python code, and all of them may block.
        let batches = py.detach(|| reader.collect::<Result<Vec<_>, _>>()).map_err(|cause| {
            invalid_input(format!("topic `{}`: the columns cannot be read: {cause}", self.topic))
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

/// Whether a message of this time fills in a header: the data has none, or one that an earlier message of
/// another time filled in. The set of given fields tells these from headers that the user gave.
fn needs_header(data: &Bound<'_, PyAny>, timestamp_ns: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = data.py();
    let header = Fields::of(data).get(intern!(py, "header"))?;
    if header.is_none() {
        return Ok(true);
    }
    if data.getattr(intern!(py, "__pydantic_fields_set__"))?.contains(intern!(py, "header"))? {
        return Ok(false);
    }
    let stamp = Fields::of(&header).get(intern!(py, "stamp"))?;
    let stamp = Fields::of(&stamp);
    let part = |name| stamp.get(name)?.extract::<i64>();
    let (sec, nanosec) = (part(intern!(py, "sec"))?, part(intern!(py, "nanosec"))?);
    Ok(split_time(timestamp_ns.extract()?) != [sec, nanosec])
}
