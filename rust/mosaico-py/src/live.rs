//! A sequence that is followed while it is recorded: topics join, and at some time it ends.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use mosaico_client::{Client, Error, ReadAhead, TopicStream};
use mosaico_types::{ErrorKind, TimeWindow};
use mosaico_wire::action::{Named, NotifyList, SequenceSystemInfo, name};
use pyo3::prelude::*;

/// How often new topics are looked for.
const PAUSE: Duration = Duration::from_millis(200);

/// The same while there is nothing else to read: they may join, or the sequence end.
const SHORT_PAUSE: Duration = Duration::from_millis(50);

/// How long a new topic may take to send its schema; one that has none yet is asked again later.
const SCHEMA_PATIENCE: Duration = Duration::from_millis(200);

/// A sequence whose topics are not all known yet.
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

    /// Opens the topics that are new, each with its locator; tells also whether no other will join any more.
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
            match tokio::time::timeout(SCHEMA_PATIENCE, open).await {
                Ok(Ok(stream)) => {
                    self.known.insert(topic.locator.clone());
                    found.push((topic.locator, stream));
                }
                // It was deleted between the two calls, as an aborted recording does.
                Ok(Err(error)) if error.kind == ErrorKind::NotFound => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => {}
            }
        }
        Ok((found, ended))
    }

    /// Whether the sequence is finalized, or its recording failed, as far as a Mosaico 0.2 server tells.
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
