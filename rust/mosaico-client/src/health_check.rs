//! The check that the daemon of a connection is alive.

use std::time::Duration;

use mosaico_types::ErrorKind;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::connection::Connection;
use crate::error::{Error, Result};

impl Connection {
    /// Checks that the daemon answers within `limit`: any answer will do, since Mosaico's daemons know no health
    /// checks, but not that of a proxy without a daemon.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`]; then the connection counts as broken, and its address is avoided for a while.
    pub(crate) async fn check(&self, limit: Duration) -> Result<()> {
        let mut client = HealthClient::new(self.channel.clone());
        let answer = client.check(HealthCheckRequest { service: String::new() });
        let failure = match tokio::time::timeout(limit, answer).await {
            Err(_) => {
                format!("the connection is open, but no daemon answered within {} s", limit.as_secs_f64())
            }
            Ok(Ok(answer)) if is_serving(answer.get_ref()) => return Ok(()),
            Ok(Ok(_)) => "the daemon does not serve now".to_owned(),
            Ok(Err(status)) if status.code() == Code::Unavailable || is_local(&status) => {
                Error::from(status).message
            }
            Ok(Err(_)) => return Ok(()),
        };
        self.health.broke();
        self.health.failed();
        Err(Error::new(ErrorKind::Unavailable, failure))
    }
}

fn is_serving(answer: &HealthCheckResponse) -> bool {
    answer.status() != ServingStatus::NotServing
}

/// Whether a status was created on this side.
fn is_local(status: &tonic::Status) -> bool {
    std::error::Error::source(status).is_some()
}
