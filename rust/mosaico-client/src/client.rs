//! The client: one connection for control calls, a pool for data.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::datatypes::Schema;
use arrow_flight::Criteria;
use mosaico_select::Select;
use mosaico_types::{ErrorKind, TimeWindow};
use mosaico_wire::action::name::changes_nothing;
use mosaico_wire::command::{InfoCommand, PutCommand};

use mosaico_wire::select::Selection;
use mosaico_wire::ticket::selected;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::connection::Target;
use crate::error::{Error, Result};
use crate::info::Info;
use crate::lane::{Lane, LaneConfig};
use crate::pool::{Lease, Pool, Timeouts, Use, late};
use crate::read_ahead::ReadAhead;
use crate::repeat::{self, Effect};
use crate::stream::{Options, TopicStream};
use crate::{calls, recording};

/// A connected client: control calls go over one connection, data over a small pool.
///
/// Cheap to clone; the connections close when the last clone is gone.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
    server: Option<String>,
    skip_damaged: bool,
}

impl Client {
    /// Connects and waits until the server responds.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::Deadline`] if no address responds within `timeouts.connect`.
    pub async fn connect(target: Target, timeouts: Timeouts) -> Result<Self> {
        let pool = Pool::new(target, timeouts);
        let server = greet(&pool).await.map_err(|error| pool.target().explain(error))?;
        Ok(Self { pool: Arc::new(pool), server, skip_damaged: false })
    }

    /// Address of the daemon.
    pub fn target(&self) -> &Target {
        self.pool.target()
    }

    /// `mosaicolabs/<version>` for a native daemon, `None` for others, which send no acknowledgements.
    pub fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// Runs an action; an answer without content is `None`. Actions that change nothing are repeated over another
    /// address if one does not serve, and all while the daemon has too many calls.
    ///
    /// # Errors
    /// The server's refusal, or an answer that cannot be parsed.
    pub async fn action<T: DeserializeOwned>(&self, name: &str, body: &impl Serialize) -> Result<Option<T>> {
        let effect = if changes_nothing(name) { Effect::None } else { Effect::Once };
        self.control(effect, |lease| async move {
            let flight = &mut lease.flight.clone();
            lease.answered(Some(self.pool.timeouts().answer), calls::action(flight, name, body)).await
        })
        .await
    }

    async fn control<T, F: Future<Output = Result<T>>>(
        &self,
        effect: Effect,
        attempt: impl FnMut(Lease) -> F,
    ) -> Result<T> {
        repeat::call(&self.pool, Use::Control, effect, attempt).await
    }

    /// Runs an action of an open recording; if the server is away, waits for it for up to
    /// `reconnect_timeout`.
    ///
    /// # Errors
    /// The server's refusal, an answer that cannot be parsed, or that the server did not return in time.
    pub async fn recording_action(
        &self,
        name: &str,
        body: &Value,
        reconnect_timeout: Duration,
    ) -> Result<Option<Value>> {
        recording::action(&self.pool, name, body, self.reconnect_timeout(reconnect_timeout)).await
    }

    /// The reconnect timeout; zero for a daemon in this process, which does not restart.
    fn reconnect_timeout(&self, asked: Duration) -> Duration {
        match self.pool.target() {
            Target::Tcp(_) => asked,
            Target::InProcess(_) => Duration::ZERO,
        }
    }

    /// Names of all sequences.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn sequences(&self) -> Result<Vec<String>> {
        let answer = self.pool.timeouts().answer;
        self.control(Effect::None, |lease| async move {
            lease.answered(Some(answer), calls::sequences(&mut lease.flight.clone())).await
        })
        .await
    }

    /// The catalog's facts about a sequence or topic; `window` is part of the tickets.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or another refusal by the server.
    pub async fn info(&self, locator: &str, window: TimeWindow) -> Result<Info> {
        let mut command = InfoCommand::new(locator, window);
        command.system_info = self.server.is_some();
        let (command, answer) = (&command, self.pool.timeouts().answer);
        self.control(Effect::None, |lease| async move {
            lease.answered(Some(answer), calls::info(&mut lease.flight.clone(), command)).await
        })
        .await
    }

    /// Opens the lane of a topic that `topic_create` has just created.
    ///
    /// # Errors
    /// If no connection can be opened, or a column of `schema` cannot be built row by row.
    pub async fn write(&self, put: PutCommand, schema: Arc<Schema>, config: LaneConfig) -> Result<Lane> {
        let config =
            LaneConfig { reconnect_timeout: self.reconnect_timeout(config.reconnect_timeout), ..config };
        let lease = self.pool.lease(Use::Data).await?;
        Lane::open(Arc::clone(&self.pool), lease, put, schema, config, self.server.is_some())
    }

    /// Opens the stream of a ticket.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn read(&self, ticket: Vec<u8>, read_ahead: ReadAhead) -> Result<TopicStream> {
        TopicStream::open(&self.pool, ticket, read_ahead, self.options(false), |_| Ok(None)).await
    }

    /// Opens the stream of a ticket; the server sends new rows until the topic is complete.
    ///
    /// # Errors
    /// The server's refusal; [`ErrorKind::Unimplemented`] for a server that is not native.
    pub async fn follow(&self, ticket: Vec<u8>, read_ahead: ReadAhead) -> Result<TopicStream> {
        self.check_follow()?;
        TopicStream::open(&self.pool, ticket, read_ahead, self.options(true), |_| Ok(None)).await
    }

    fn options(&self, follow: bool) -> Options {
        Options { follow, ours: self.server.is_some(), skip_damaged: self.skip_damaged }
    }

    /// The same client, whose reads leave out the rows of damaged chunks instead of failing. A server that is not
    /// native has no such reads.
    pub fn skipping_damaged(&self, skip_damaged: bool) -> Self {
        Self { skip_damaged, ..self.clone() }
    }

    fn check_follow(&self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let message =
            format!("{} is a Mosaico 0.2 server; what it records cannot be followed", self.target());
        Err(Error::new(ErrorKind::Unimplemented, message))
    }

    /// Opens the stream of a ticket of a topic with this ontology tag, restricted to `selection`. A native
    /// server evaluates the selection; otherwise the client does.
    ///
    /// # Errors
    /// The server's refusal, or a selection that does not fit the topic.
    pub async fn select(
        &self,
        mut ticket: Vec<u8>,
        tag: &str,
        selection: &Selection,
        read_ahead: ReadAhead,
        follow: bool,
    ) -> Result<TopicStream> {
        if follow {
            self.check_follow()?;
        }
        let here = self.server.is_none();
        if !here && !selection.is_all() {
            ticket.extend(selected(selection));
        }
        TopicStream::open(&self.pool, ticket, read_ahead, self.options(follow), |schema| {
            let ready = || Ok(Select::new(selection, tag, schema)?);
            (here && !selection.is_all()).then(ready).transpose()
        })
        .await
    }
}

/// Connects to an address that answers; returns the version of a native daemon. Each address gets its share of the
/// time, and one that does not answer is avoided by the next attempt.
async fn greet(pool: &Pool) -> Result<Option<String>> {
    let begun = Instant::now();
    let limit = pool.timeouts().connect;
    let addresses = u32::try_from(pool.target().addresses()).unwrap_or(u32::MAX).max(1);
    let mut failure = late(limit);
    for others in (0..addresses).rev() {
        let share = limit.saturating_sub(begun.elapsed()) / (others + 1);
        let lease = pool.lease_within(Use::Control, share).await?;
        let first = async {
            let answer = lease.flight.clone().list_flights(Criteria::default()).await?;
            let server = answer.metadata().get(mosaico_wire::SERVER_HEADER);
            Ok::<_, Error>(server.and_then(|value| value.to_str().ok()).map(str::to_owned))
        };
        let share = limit.saturating_sub(begun.elapsed()) / (others + 1);
        failure = match tokio::time::timeout(share, first).await {
            Ok(Err(error)) if error.kind.is_retryable() => error,
            Ok(answer) => return answer,
            Err(_) => {
                let text = format!("{} did not answer within {limit:?}", pool.target());
                Error::new(ErrorKind::Deadline, text)
            }
        };
        lease.failed();
    }
    Err(failure)
}
