use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mosaico_client::{
    Addresses, Client, ClientFiles, Error, LaneConfig, Merge, ReadAhead, ReadPlan, Security, Target, Timeouts,
};
use mosaico_types::{ErrorKind, TimeWindow};
use mosaico_wire::command::PutCommand;
use mosaico_wire::select::Selection;
use parking_lot::Mutex;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyType};
use pyo3_arrow::PySchema;
use serde_json::Value;

use crate::batches::PyBatches;
use crate::embedded::{self, Embedded};
use crate::errors::{invalid_input, to_py_err};
use crate::keep_alive::PyKeepAlive;
use crate::lane::{PyLane, PyLaneBudget};
use crate::live::Watch;
use crate::runtime::{runtime, wait};
use crate::stream::PyStream;

/// How long a client waits for a daemon in its own process.
const EMBEDDED: Timeouts = Timeouts { connect: Duration::from_secs(30), answer: Duration::from_secs(600) };

type PySystemInfo = (u64, String, bool, Option<u64>);
type PyInfo = (std::collections::HashMap<String, String>, Vec<PyEndpoint>, Option<PySystemInfo>);
type PyEndpoint =
    (String, Py<PyBytes>, Option<(i64, i64)>, Option<u64>, Option<u32>, Vec<(String, Option<u64>, bool)>);

/// A connection to a daemon.
#[pyclass(frozen, name = "Client", module = "mosaicolabs._native")]
pub(crate) struct PyClient {
    client: Mutex<Option<Client>>,
    /// Keeps the daemon in this process running while a client is connected to it.
    embedded: Mutex<Option<Arc<Embedded>>>,
}

impl PyClient {
    fn open(&self) -> PyResult<Client> {
        self.client.lock().clone().ok_or_else(|| {
            to_py_err(Error::new(ErrorKind::Closed, "the client is closed; connect again to continue"))
        })
    }

    fn connected(py: Python<'_>, target: Target, timeouts: Timeouts) -> PyResult<Client> {
        wait(py, Client::connect(target, timeouts))
    }
}

#[pymethods]
impl PyClient {
    /// `ca`: CA certificates to trust instead of those of the system. `identity`: the client's certificate
    /// and its key. Both need `tls`.
    #[staticmethod]
    #[pyo3(signature = (addresses, timeout_s, *, answer_timeout_s, tls, ca, identity, api_key, allow_plain_text_key))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one Python call")]
    fn connect(
        py: Python<'_>,
        addresses: Vec<(String, u16)>,
        timeout_s: f64,
        answer_timeout_s: f64,
        tls: bool,
        ca: Option<PathBuf>,
        identity: Option<(PathBuf, PathBuf)>,
        api_key: Option<&str>,
        allow_plain_text_key: bool,
    ) -> PyResult<Self> {
        let timeouts = Timeouts {
            connect: seconds("timeout", timeout_s)?,
            answer: seconds("answer_timeout_s", answer_timeout_s)?,
        };
        let mut security = Security::default();
        if tls {
            let files = ClientFiles { ca, identity, pinned: None };
            security = security.with_tls(&files).map_err(to_py_err)?;
        }
        if let Some(key) = api_key {
            security = security.with_api_key(key).map_err(to_py_err)?;
        }
        if allow_plain_text_key {
            security = security.with_plain_text_key();
        }
        let addresses = Addresses::new(addresses).and_then(|addresses| addresses.with_security(security));
        let target = Target::Tcp(addresses.map_err(to_py_err)?);
        let client = Self::connected(py, target, timeouts)?;
        Ok(Self { client: Mutex::new(Some(client)), embedded: Mutex::new(None) })
    }

    #[staticmethod]
    fn embedded(py: Python<'_>, path: std::path::PathBuf) -> PyResult<Self> {
        let server = embedded::open(py, path)?;
        let target = Target::InProcess(server.connector());
        let client = Self::connected(py, target, EMBEDDED)?;
        Ok(Self { client: Mutex::new(Some(client)), embedded: Mutex::new(Some(server)) })
    }

    /// The port at which the daemon in this process serves its page; None: the daemon is in another process.
    fn page_port(&self, py: Python<'_>, port: u16) -> PyResult<Option<u16>> {
        self.open()?;
        let server = self.embedded.lock().clone();
        server.map(|server| server.page(py, port).map(|address| address.port())).transpose()
    }

    /// `mosaicolabs/<version>` if the daemon is native.
    fn server(&self) -> PyResult<Option<String>> {
        Ok(self.open()?.server().map(str::to_owned))
    }

    fn action(&self, py: Python<'_>, name: &str, body: &str) -> PyResult<Option<String>> {
        let client = self.open()?;
        let body = json(name, body)?;
        let answer = wait(py, client.action::<Value>(name, &body))?;
        Ok(answer.map(|answer| answer.to_string()))
    }

    /// As `action`, for an open recording: if the daemon is away, waits for it.
    fn recording_action(
        &self,
        py: Python<'_>,
        name: &str,
        body: &str,
        reconnect_timeout_s: f64,
    ) -> PyResult<Option<String>> {
        let client = self.open()?;
        let (body, reconnect_timeout) =
            (json(name, body)?, seconds("reconnect_timeout_s", reconnect_timeout_s)?);
        let answer = wait(py, client.recording_action(name, &body, reconnect_timeout))?;
        Ok(answer.map(|answer| answer.to_string()))
    }

    /// Sends heartbeats for a sequence that is being written; a no-op for daemons that need none.
    fn keep_alive(&self, sequence: String, key: String) -> PyResult<PyKeepAlive> {
        let client = self.open()?;
        let _runtime = runtime()?.enter();
        Ok(PyKeepAlive(Mutex::new(client.keep_alive(sequence, key))))
    }

    fn sequences(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        wait(py, self.open()?.sequences())
    }

    /// `(schema metadata, [endpoint], system info | None)`. An endpoint is `(locator, ticket, (min, max) |
    /// None, rows | None, resumed | None, [(daemon, rows | None, running)])`; its last item lists rows on
    /// other daemons. The info is `(total_size_bytes, created_datetime, is_locked, chunks_number | None)`.
    #[pyo3(signature = (locator, start, end))]
    fn info(&self, py: Python<'_>, locator: &str, start: Option<i64>, end: Option<i64>) -> PyResult<PyInfo> {
        let info = wait(py, self.open()?.info(locator, TimeWindow { start, end }))?;
        let endpoint = |endpoint: mosaico_client::Endpoint| {
            let metadata = endpoint.metadata;
            let bounds = metadata.timestamp.map(|bounds| (bounds.min, bounds.max));
            let ticket = PyBytes::new(py, &endpoint.ticket).unbind();
            let elsewhere = metadata.remote_rows.into_iter();
            let elsewhere = elsewhere.map(|some| (some.daemon, some.rows, some.running)).collect();
            (endpoint.locator, ticket, bounds, metadata.rows, metadata.resumed, elsewhere)
        };
        let system = info.system.map(|system| {
            (system.total_size_bytes, system.created_datetime, system.is_locked, system.chunks_number)
        });
        Ok((info.schema.metadata, info.endpoints.into_iter().map(endpoint).collect(), system))
    }

    #[pyo3(signature = (locator, key, schema, data_class, *, max_batch_bytes, max_batch_records, max_batch_age_s, reconnect_timeout_s, budget))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one Python call")]
    fn write(
        &self,
        py: Python<'_>,
        locator: String,
        key: String,
        schema: PySchema,
        data_class: Py<PyType>,
        max_batch_bytes: usize,
        max_batch_records: usize,
        max_batch_age_s: f64,
        reconnect_timeout_s: f64,
        budget: &PyLaneBudget,
    ) -> PyResult<PyLane> {
        let max_batch_age = Duration::try_from_secs_f64(max_batch_age_s)
            .ok()
            .filter(|age| *age >= Duration::from_millis(1))
            .ok_or_else(|| {
                let message = format!("max_batch_age_s is {max_batch_age_s}; give at least 0.001 s");
                invalid_input(message)
            })?;
        let reconnect_timeout = seconds("reconnect_timeout_s", reconnect_timeout_s)?;
        let budget = budget.0.clone();
        let config =
            LaneConfig { max_batch_bytes, max_batch_records, max_batch_age, budget, reconnect_timeout };
        let schema = schema.into_inner();
        let put = PutCommand { resource_locator: locator.clone(), key, resume: None, acknowledged: None };
        let lane = wait(py, self.open()?.write(put, Arc::clone(&schema), config))?;
        Ok(PyLane::new(py, lane, locator, data_class, &schema))
    }

    fn read(
        &self,
        py: Python<'_>,
        tickets: Vec<Vec<u8>>,
        read_ahead_bytes: usize,
        skip_damaged: bool,
    ) -> PyResult<PyStream> {
        let client = self.open()?.skipping_damaged(skip_damaged);
        let read_ahead = ReadAhead::new(read_ahead_bytes, tickets.len());
        let streams = wait(py, async {
            let mut streams = Vec::with_capacity(tickets.len());
            for ticket in tickets {
                streams.push(client.read(ticket, read_ahead.clone()).await?);
            }
            Ok(streams)
        })?;
        let schemas = streams.iter().map(|stream| Arc::clone(stream.schema())).collect();
        Ok(PyStream::new(Merge::new(streams), schemas))
    }

    /// As `read`, but follows topics while they are recorded. With `sequence`, topics that are created later
    /// join: `bind(locator, tag | None)` returns their names and decode plans; `locators` are those of
    /// `tickets`.
    #[pyo3(signature = (locators, tickets, read_ahead_bytes, lateness_s, window, sequence, bind, skip_damaged))]
    #[expect(clippy::too_many_arguments, reason = "arguments of one Python call")]
    fn follow(
        &self,
        py: Python<'_>,
        locators: Vec<String>,
        tickets: Vec<Vec<u8>>,
        read_ahead_bytes: usize,
        lateness_s: f64,
        window: (Option<i64>, Option<i64>),
        sequence: Option<String>,
        bind: Py<PyAny>,
        skip_damaged: bool,
    ) -> PyResult<PyStream> {
        let client = self.open()?.skipping_damaged(skip_damaged);
        let lateness = seconds("max_lateness_s", lateness_s)?;
        let read_ahead = ReadAhead::new(read_ahead_bytes, tickets.len());
        let streams = wait(py, async {
            let follow = tickets.into_iter().map(|ticket| client.follow(ticket, read_ahead.clone()));
            futures::future::try_join_all(follow).await
        })?;
        let schemas = streams.iter().map(|stream| Arc::clone(stream.schema())).collect();
        let window = TimeWindow { start: window.0, end: window.1 };
        let watch = sequence.map(|name| Watch::new(client, name, window, read_ahead, locators, bind));
        Ok(PyStream::live(Merge::live(streams, lateness), schemas, watch))
    }

    /// Reads topics as columns; `columns` and `condition` (JSON) as in `ReadPlan`. With `lateness_s` they are
    /// followed.
    #[pyo3(signature = (locators, window, *, columns, condition, merged, lateness_s, read_ahead_bytes, skip_damaged))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of one Python call")]
    fn batches(
        &self,
        py: Python<'_>,
        locators: Vec<String>,
        window: (Option<i64>, Option<i64>),
        columns: Option<Vec<String>>,
        condition: Option<&str>,
        merged: bool,
        lateness_s: Option<f64>,
        read_ahead_bytes: usize,
        skip_damaged: bool,
    ) -> PyResult<PyBatches> {
        let client = self.open()?.skipping_damaged(skip_damaged);
        let condition = condition.map(|text| json("where", text)).transpose()?;
        let read_ahead = ReadAhead::new(read_ahead_bytes, if merged { locators.len() } else { 1 });
        let plan = ReadPlan {
            topics: locators,
            window: TimeWindow { start: window.0, end: window.1 },
            selection: Selection { columns, condition },
            merged,
            follow: lateness_s.map(|lateness| seconds("max_lateness_s", lateness)).transpose()?,
            read_ahead,
        };
        wait(py, client.batches(&plan)).map(PyBatches::new)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        drop(self.client.lock().take());
        let server = self.embedded.lock().take();
        match server.and_then(Arc::into_inner) {
            Some(server) => wait(py, server.shutdown()),
            None => Ok(()),
        }
    }
}

fn json(action: &str, text: &str) -> PyResult<Value> {
    serde_json::from_str(text)
        .map_err(|cause| invalid_input(format!("`{action}` needs a JSON body: {cause}")))
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value).map_err(|cause| invalid_input(format!("{name} is {value} s: {cause}")))
}
