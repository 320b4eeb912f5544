//! Follows a sequence while it is recorded, until it ends; finds topics that are created later.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mosaico_client::{Client, Error, ReadAhead, TopicStream};
use mosaico_types::{ErrorKind, TimeWindow};
use mosaico_wire::action::{Named, NotifyList, SequenceSystemInfo, name};
use pyo3::prelude::*;

/// Interval of the search for new topics.
const PAUSE: Duration = Duration::from_millis(200);

/// The same while there is nothing else to read: new topics may appear, or the sequence may end.
const SHORT_PAUSE: Duration = Duration::from_millis(50);

/// How long a new topic may take to send its schema; one without a schema is polled again later.
const SCHEMA_WAIT: Duration = Duration::from_millis(200);

/// A sequence that may get further topics.
pub(crate) struct Watch {
    client: Client,
    sequence: String,
    window: TimeWindow,
    read_ahead: ReadAhead,
    known: HashSet<String>,
    looked: Instant,
    /// `(locator, ontology tag | None) -> (name, plan)`.
    pub(crate) bind: Py<PyAny>,
}

impl Watch {
    pub(crate) fn new(
        client: Client,
        sequence: String,
        window: TimeWindow,
        read_ahead: ReadAhead,
        known: Vec<String>,
        bind: Py<PyAny>,
    ) -> Self {
        let known = known.into_iter().collect();
        Self { client, sequence, window, read_ahead, known, looked: Instant::now(), bind }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.looked.elapsed() >= PAUSE
    }

    /// Opens the new topics, each with its locator; also returns whether no other can appear any more.
    pub(crate) async fn look(&mut self) -> Result<(Vec<(String, TopicStream)>, bool), Error> {
        self.looked = Instant::now();
        let mut info = self.client.info(&self.sequence, self.window).await?;
        let ended = match &info.system {
            Some(system) => system.is_ended,
            None => {
                let ended = self.seems_ended().await?;
                if ended {
                    info = self.client.info(&self.sequence, self.window).await?;
                }
                ended
            }
        };
        let mut found = Vec::new();
        for topic in info.endpoints {
            if self.known.contains(&topic.locator) {
                continue;
            }
            let open = self.client.follow(topic.ticket, self.read_ahead.clone());
            match tokio::time::timeout(SCHEMA_WAIT, open).await {
                Ok(Ok(stream)) => {
                    self.known.insert(topic.locator.clone());
                    found.push((topic.locator, stream));
                }
                // The sequence was deleted between the two calls, as an aborted recording is.
                Ok(Err(error)) if error.kind == ErrorKind::NotFound => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok((found, ended))
    }

    /// Whether the sequence is finalized, or its recording failed, as far as a Mosaico 0.2 server reveals it.
    async fn seems_ended(&self) -> Result<bool, Error> {
        let named = Named { name: self.sequence.clone() };
        let info: Option<SequenceSystemInfo> = self.client.action(name::SEQUENCE_SYSTEM_INFO, &named).await?;
        if info.is_some_and(|info| info.is_locked) {
            return Ok(true);
        }
        let notes: Option<NotifyList> = self.client.action(name::SEQUENCE_NOTIFY_LIST, &named).await?;
        Ok(notes.is_some_and(|notes| !notes.notifies.is_empty()))
    }

    pub(crate) async fn pause(&self) -> Result<(), Error> {
        tokio::time::sleep(SHORT_PAUSE).await;
        Ok(())
    }
}
