use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, RecordBatch, StructArray};
use arrow::datatypes::{Field, SchemaRef};
use mosaico_client::{Error, Merge, Step};
use mosaico_types::ErrorKind;
use mosaico_wire::metadata::{PROPERTIES, Properties};
use parking_lot::Mutex;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::decode::Reader;
use crate::decode_plan::Plan;
use crate::errors::{PyDamagedRows, to_py_damaged, to_py_err};
use crate::live::Watch;
use crate::runtime::wait;

/// The data for decoding a topic's rows.
struct Topic {
    name: Py<PyString>,
    plan: Plan,
    batch: Option<BoundBatch>,
}

/// Readers of a topic's current batch: the payload and the envelope's second time.
struct BoundBatch {
    payload: Reader,
    recording: Option<Reader>,
}

struct State {
    merge: Merge,
    topics: Vec<Option<Topic>>,
    message: Option<Plan>,
    live: bool,
    watch: Option<Watch>,
}

/// The result of a search for new topics.
enum Joined {
    Some,
    /// None yet; some may appear.
    None,
    /// None now or later.
    End,
}

/// How long a followed stream waits for rows before it searches for new topics.
const REFILL_WAIT: Duration = Duration::from_millis(200);

/// Topics being read, merged by time.
#[pyclass(frozen, name = "Stream", module = "mosaicolabs._native")]
pub(crate) struct PyStream {
    state: Mutex<Option<State>>,
    schemas: Vec<SchemaRef>,
}

impl PyStream {
    pub(crate) fn new(merge: Merge, schemas: Vec<SchemaRef>) -> Self {
        Self::with(merge, schemas, false, None)
    }

    /// A stream of topics that continue while they are read; `watch` finds new ones.
    pub(crate) fn live(merge: Merge, schemas: Vec<SchemaRef>, watch: Option<Watch>) -> Self {
        Self::with(merge, schemas, true, watch)
    }

    fn with(merge: Merge, schemas: Vec<SchemaRef>, live: bool, watch: Option<Watch>) -> Self {
        let topics = schemas.iter().map(|_| None).collect();
        let state = State { merge, topics, message: None, live, watch };
        Self { state: Mutex::new(Some(state)), schemas }
    }

    /// Runs `read` on the state, which is taken out during the call: two threads cannot share a stream.
    fn with_state<T>(&self, read: impl FnOnce(&mut State) -> PyResult<T>) -> PyResult<T> {
        let mut state = self.state.lock().take().ok_or_else(|| {
            let message = "the stream is closed, or another thread is reading it";
            to_py_err(Error::new(ErrorKind::Closed, message))
        })?;
        let outcome = read(&mut state);
        *self.state.lock() = Some(state);
        outcome
    }
}

#[pymethods]
impl PyStream {
    /// The ontology tag of each topic; None where the server sent none.
    fn tags(&self) -> Vec<Option<String>> {
        self.schemas.iter().map(tag).collect()
    }

    /// Sets the names and decode plans of the topics: `message` for the envelope, one per topic for the data.
    fn bind(
        &self,
        message: &Bound<'_, PyAny>,
        names: Vec<Py<PyString>>,
        plans: Vec<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.with_state(|state| {
            state.message = Some(Plan::parse(message)?);
            for ((topic, name), plan) in state.topics.iter_mut().zip(names).zip(plans) {
                *topic = Some(Topic { name, plan: Plan::parse(&plan)?, batch: None });
            }
            Ok(())
        })
    }

    /// The next `(topic, message)`, or None at the end.
    pub(crate) fn next(&self, py: Python<'_>) -> PyResult<Option<(Py<PyString>, Py<PyAny>)>> {
        self.with_state(|state| state.next(py))
    }

    /// The time of the next message without consuming it, or None at the end.
    fn next_timestamp(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        self.with_state(|state| Ok(state.peek(py)?.map(|(_, _, timestamp_ns)| timestamp_ns)))
    }

    /// The rows of damaged chunks that the daemon left out.
    fn skipped(&self) -> PyResult<Vec<PyDamagedRows>> {
        self.with_state(|state| Ok(to_py_damaged(state.merge.skipped())))
    }

    /// Ends the calls of the stream.
    fn close(&self) {
        drop(self.state.lock().take());
    }
}

fn tag(schema: &SchemaRef) -> Option<String> {
    let properties: Properties = serde_json::from_str(schema.metadata().get(PROPERTIES)?).ok()?;
    Some(properties.ontology_tag)
}

impl State {
    fn peek(&mut self, py: Python<'_>) -> PyResult<Option<(usize, usize, i64)>> {
        loop {
            if self.watch.as_ref().is_some_and(Watch::is_due) {
                self.join(py)?;
            }
            match self.merge.peek() {
                Step::Row { topic, row, timestamp_ns } => return Ok(Some((topic, row, timestamp_ns))),
                Step::Refill => self.refill(py)?,
                Step::End => {
                    match self.join(py)? {
                        Joined::Some => continue,
                        Joined::End => return Ok(None),
                        Joined::None => {}
                    }
                    if let Some(watch) = &self.watch {
                        wait(py, watch.pause())?;
                    }
                }
            }
        }
    }

    fn refill(&mut self, py: Python<'_>) -> PyResult<()> {
        let starved = self.merge.starved().to_vec();
        if self.live {
            wait(py, self.merge.refill_live(REFILL_WAIT))?;
        } else {
            wait(py, self.merge.refill())?;
        }
        for index in starved {
            if !self.merge.starved().contains(&index) {
                self.rebind(py, index)?;
            }
        }
        Ok(())
    }

    /// Adds the new topics.
    fn join(&mut self, py: Python<'_>) -> PyResult<Joined> {
        let Some(watch) = &mut self.watch else { return Ok(Joined::End) };
        let (found, ended) = wait(py, watch.look())?;
        let joined = match found.is_empty() {
            false => Joined::Some,
            true if ended => Joined::End,
            true => Joined::None,
        };
        for (locator, stream) in found {
            let (name, plan): (Py<PyString>, Bound<'_, PyAny>) =
                watch.bind.bind(py).call1((locator, tag(stream.schema())))?.extract()?;
            self.topics.push(Some(Topic { name, plan: Plan::parse(&plan)?, batch: None }));
            self.merge.add(stream);
        }
        Ok(joined)
    }

    fn rebind(&mut self, py: Python<'_>, index: usize) -> PyResult<()> {
        if let (Some(topic), Some(batch)) = (&mut self.topics[index], self.merge.batch(index)) {
            topic.batch = Some(BoundBatch::new(py, &topic.plan, batch)?);
        }
        Ok(())
    }

    fn next(&mut self, py: Python<'_>) -> PyResult<Option<(Py<PyString>, Py<PyAny>)>> {
        let Some((index, row, timestamp_ns)) = self.peek(py)? else { return Ok(None) };
        let (Some(topic), Some(Plan::Model(message))) = (&self.topics[index], &self.message) else {
            return Err(PyRuntimeError::new_err("bind() gives the stream its plans before it is read"));
        };
        let batch = topic.batch.as_ref().expect("a batch is bound before its rows are handed out");
        let data = batch.payload.get(py, row)?;
        let recording = match &batch.recording {
            Some(reader) => reader.get(py, row)?,
            None => py.None().into_bound(py),
        };
        let dict = PyDict::new(py);
        dict.set_item(intern!(py, "data"), data)?;
        dict.set_item(intern!(py, "timestamp_ns"), timestamp_ns)?;
        dict.set_item(intern!(py, "recording_timestamp_ns"), recording)?;
        let message = message.build(py, &dict)?;
        self.merge.advance();
        Ok(Some((topic.name.clone_ref(py), message.unbind())))
    }
}

impl BoundBatch {
    fn new(py: Python<'_>, plan: &Plan, batch: &RecordBatch) -> PyResult<Self> {
        let leaf = |name: &str| {
            let (index, field) = batch.schema_ref().fields().find(name)?;
            Some(Reader::new(py, &Plan::Leaf, batch.column(index), field))
        };
        let recording = leaf("recording_timestamp_ns").transpose()?;
        let payload: ArrayRef = Arc::new(StructArray::from(batch.clone()));
        let field = Arc::new(Field::new("data", payload.data_type().clone(), false));
        Ok(Self { payload: Reader::new(py, plan, &payload, &field)?, recording })
    }
}
