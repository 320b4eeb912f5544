//! Heartbeats that keep the sequence of a silent writer open.

use std::time::Duration;

use mosaico_types::ErrorKind;
use mosaico_wire::action::SequenceKey;
use mosaico_wire::event::{self, name};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::error::{Error, Result};

/// Heartbeats per timeout: a lost or late one has no effect.
const PER_TIMEOUT: u32 = 3;

const SHORTEST: Duration = Duration::from_millis(10);

/// Pause before a failed heartbeat is repeated, and the timeout of its answer.
const RETRY: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(10);

/// Sends heartbeats for the writer of a sequence until it is dropped.
#[derive(Debug)]
pub struct KeepAlive(AbortHandle);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// Prevents the daemon from ending the sequence of `key` while its writer is silent. `None`: this daemon
    /// does not end sequences. Call it on a tokio runtime.
    pub fn keep_alive(&self, sequence: String, key: String) -> Option<KeepAlive> {
        self.server()?;
        let work = tell(self.clone(), SequenceKey { name: sequence, key });
        Some(KeepAlive(tokio::spawn(work).abort_handle()))
    }
}

async fn tell(client: Client, body: SequenceKey) {
    loop {
        let sign = client.action::<event::KeepAlive>(name::SEQUENCE_KEEP_ALIVE, &body);
        match timeout(ANSWER, sign).await.unwrap_or_else(|_| late()) {
            Ok(answer) => match answer.and_then(|answer| answer.writer_timeout_ms) {
                Some(timeout_ms) => {
                    sleep((Duration::from_millis(timeout_ms) / PER_TIMEOUT).max(SHORTEST)).await;
                }
                None => return,
            },
            Err(error) if error.kind.is_retryable() => sleep(RETRY).await,
            // The sequence was ended or removed; the writer's next call returns the error.
            Err(_) => return,
        }
    }
}

fn late<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Deadline, "the daemon did not answer a heartbeat"))
}
