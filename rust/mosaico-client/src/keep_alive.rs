use std::time::Duration;

use mosaico_types::ErrorKind;
use mosaico_wire::action::SequenceKey;
use mosaico_wire::event::{self, name};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::client::Client;
use crate::error::{Error, Result};

/// Signs of life per time-out: one that is lost or late does no harm.
const PER_TIMEOUT: u32 = 3;

const SHORTEST: Duration = Duration::from_millis(10);

/// Pause before a sign that did not arrive is sent again, and the time for its answer.
const RETRY: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(10);

/// Tells the daemon that the writer of a sequence is still there, from time to time, until this is dropped.
#[derive(Debug)]
pub struct KeepAlive(AbortHandle);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// Keeps the sequence that `key` opens from being ended while its writer is silent. `None`: this daemon does not
    /// end sequences. Called on a tokio runtime.
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
            // The sequence was ended or removed; the writer's next call says so.
            Err(_) => return,
        }
    }
}

fn late<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Deadline, "the daemon did not answer a sign of life"))
}
