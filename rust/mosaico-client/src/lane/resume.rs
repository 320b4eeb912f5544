//! Resumes an upload over a new connection after one broke.

use std::time::Duration;

use mosaico_types::{ErrorKind, TimeWindow};
use mosaico_wire::action::{Named, TopicSystemInfo, name};
use mosaico_wire::command::InfoCommand;
use tokio::sync::oneshot;

use super::put::{Call, Upload};
use crate::calls;
use crate::error::{Error, Result};
use crate::pool::Use;
use crate::reconnect::Reconnect;

impl Upload {
    /// Opens a call that resumes at the server's position; `None` if the server has all rows already.
    pub(super) async fn resume(
        &mut self,
        mut error: Error,
        reconnect_timeout: Duration,
    ) -> Result<Option<Call>> {
        self.shared.notice(format!("{error}; retrying for {} s", reconnect_timeout.as_secs_f64()));
        *self.command.resume.get_or_insert(0) += 1;
        self.shared.outbox.release();
        let mut reconnect = Reconnect::new(reconnect_timeout);
        while let Some(left) = reconnect.pause(error.retry_after).await {
            match tokio::time::timeout(left, self.reopen()).await {
                Ok(Ok((call, again))) => {
                    let seconds = reconnect.elapsed().as_secs_f64();
                    self.shared.notice(format!(
                        "the upload resumed after {seconds:.1} s; {again} rows are sent again, none is lost"
                    ));
                    return Ok(Some(call));
                }
                Ok(Err(refused)) if refused.kind == ErrorKind::FailedPrecondition => {
                    match self.is_complete().await {
                        Ok(true) => return Ok(None),
                        Ok(false) => return Err(refused),
                        Err(again) => error = again,
                    }
                }
                Ok(Err(refused)) if !refused.is_temporary() => return Err(refused),
                Ok(Err(again)) => error = again,
                Err(_) => {}
            }
        }
        Err(error.context(format_args!(
            "the connection broke, and no other could be made within {} s",
            reconnect_timeout.as_secs_f64()
        )))
    }

    /// Reads the server's position from the first answer of a resumed call; returns the number of rows to
    /// resend.
    async fn reopen(&mut self) -> Result<(Call, u64)> {
        self.lease = self.pool.lease(Use::Data).await?;
        let (start, started) = oneshot::channel();
        self.command.acknowledged = Some(self.shared.progress.borrow().durable);
        let mut call = self.open(Some(started)).await?;
        let first = self.lease.answered(Some(self.pool.timeouts().answer), call.next()).await?;
        let ack = first.ok_or_else(|| {
            Error::new(
                ErrorKind::Internal,
                "the server ended the upload instead of saying what it has stored",
            )
        })?;
        let again = self.shared.outbox.rewind(ack.durable_rows)?;
        self.acknowledged(ack)?;
        // The stream is gone if the call broke; then its answers carry the error.
        _ = start.send(());
        Ok((call, again))
    }

    /// Whether the connection broke after the server had completed the topic.
    async fn is_complete(&self) -> Result<bool> {
        let locator = &self.command.resource_locator;
        let named = Named { name: locator.clone() };
        let facts = async {
            let flight = &mut self.lease.flight.clone();
            let system = calls::action::<TopicSystemInfo>(flight, name::TOPIC_SYSTEM_INFO, &named).await?;
            Ok((system, calls::info(flight, &InfoCommand::new(locator, TimeWindow::ALL)).await?))
        };
        let (system, info) = self.lease.answered(Some(self.pool.timeouts().answer), facts).await?;
        let rows = info.endpoints.first().and_then(|topic| topic.metadata.rows);
        let (pushed, closed) = {
            let open = self.shared.open.lock();
            (open.pushed, !open.accepting)
        };
        let complete = closed && rows == Some(pushed) && system.is_some_and(|topic| topic.is_locked);
        if complete {
            self.shared.progress.send_modify(|progress| progress.durable = pushed);
        }
        Ok(complete)
    }
}
