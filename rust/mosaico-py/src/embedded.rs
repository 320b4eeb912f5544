//! The daemon inside this process, on a local folder, without a port; on request with one for pages.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use mosaico_client::{Connector, Error};
use mosaico_server::{Config, HttpServer, Server, StoreLocation};
use mosaico_types::ErrorKind;
use parking_lot::Mutex;
use pyo3::prelude::*;
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::errors::invalid_input;
use crate::runtime::{runtime, wait};

/// Bytes in flight per direction of one in-process connection.
const PIPE_BYTES: usize = 1 << 20;

/// Daemons of this process, so that a second client of the same folder shares the first one's daemon.
static RUNNING: Mutex<Option<HashMap<PathBuf, Weak<Embedded>>>> = Mutex::new(None);

/// A running daemon; [`Embedded::shutdown`] ends it once the last client closes.
pub(crate) struct Embedded {
    connector: Arc<Pipes>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    task: Mutex<Option<JoinHandle<Result<(), Error>>>>,
    http: HttpServer,
    /// The address of the HTTP port, once somebody asked for it, and what serves it.
    page: Mutex<Option<(SocketAddr, JoinHandle<()>)>>,
}

struct Pipes(mpsc::UnboundedSender<io::Result<DuplexStream>>);

impl Connector for Pipes {
    fn open(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the embedded daemon has stopped");
        self.0.send(Ok(theirs)).map_err(gone)?;
        Ok(ours)
    }
}

/// Starts the daemon on `path`, or returns the one that already runs there in this process.
pub(crate) fn open(py: Python<'_>, path: PathBuf) -> PyResult<Arc<Embedded>> {
    let path = std::path::absolute(&path)
        .map_err(|cause| invalid_input(format!("`{}` is no path: {cause}", path.display())))?;
    let running = |path: &PathBuf| RUNNING.lock().as_ref()?.get(path)?.upgrade();
    if let Some(server) = running(&path) {
        return Ok(server);
    }
    runtime()?;
    let config = Config::new(StoreLocation::Local(path.clone()));
    let server = wait(py, async { Server::open(config).await.map_err(core_error) })?;
    let http = HttpServer::new(None);
    http.watch(&server);
    let (pipes, incoming) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = runtime()?.spawn(async move {
        let incoming = tokio_stream::wrappers::UnboundedReceiverStream::new(incoming);
        let stopped = async { drop(stopped.await) };
        let served = server.serve(incoming, stopped).await.map_err(core_error);
        server.shutdown().await;
        served
    });
    let server = Arc::new(Embedded {
        connector: Arc::new(Pipes(pipes)),
        stop: Mutex::new(Some(stop)),
        task: Mutex::new(Some(task)),
        http,
        page: Mutex::new(None),
    });
    RUNNING.lock().get_or_insert_default().insert(path, Arc::downgrade(&server));
    Ok(server)
}

impl Embedded {
    pub(crate) fn connector(&self) -> Arc<dyn Connector> {
        Arc::clone(&self.connector) as Arc<dyn Connector>
    }

    /// Serves the page and the HTTP API to this machine, on `port` (0: a free one) unless they are served already; returns
    /// their address.
    pub(crate) fn page(&self, py: Python<'_>, port: u16) -> PyResult<SocketAddr> {
        if let Some((address, _)) = &*self.page.lock() {
            return Ok(*address);
        }
        let failed = |cause: io::Error| {
            invalid_input(format!(
                "cannot listen on 127.0.0.1:{port}: {cause}; choose another port, or 0 for a free one"
            ))
        };
        let listener = wait(py, async { Ok::<_, Error>(TcpListener::bind(("127.0.0.1", port)).await) })?
            .map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (http, runtime) = (self.http.clone(), runtime()?);
        let mut page = self.page.lock();
        // Another thread may have been faster.
        let (address, _) = page.get_or_insert_with(|| {
            // It does not end: connections that fail are not errors of the port.
            (address, runtime.spawn(async move { drop(http.serve(listener).await) }))
        });
        Ok(*address)
    }

    /// Ends the daemon and waits until all of its rows are stored and the folder is released.
    pub(crate) async fn shutdown(self) -> Result<(), Error> {
        if let Some((_, serving)) = self.page.lock().take() {
            serving.abort();
        }
        drop(self.stop.lock().take());
        let task = self.task.lock().take();
        match task {
            Some(task) => task.await.map_err(|cause| {
                Error::new(ErrorKind::Internal, format!("the embedded daemon failed: {cause}"))
            })?,
            None => Ok(()),
        }
    }
}

fn core_error(error: mosaico_server::Error) -> Error {
    // The operator is in this process.
    Error::with_code(error.code(), error.detail().to_string())
}
