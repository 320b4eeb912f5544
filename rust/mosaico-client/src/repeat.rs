//! Repeats calls: over another address if one does not serve, and later if the daemon has too many calls.

use std::time::Duration;

use mosaico_types::ErrorCode;

use crate::error::{Error, Result};
use crate::pool::{Lease, Pool, Use};
use crate::reconnect::Reconnect;

/// How long a call that the daemon refuses, because there are too many, is repeated.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// Whether a call may be made twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The call changes nothing: it may be repeated whenever it failed.
    None,
    /// Only a call that was not carried out may be repeated.
    Once,
}

/// Makes a call; repeats it where that is safe and may help.
///
/// # Errors
/// That of the last attempt.
pub(crate) async fn call<T, F>(
    pool: &Pool,
    purpose: Use,
    effect: Effect,
    mut attempt: impl FnMut(Lease) -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let addresses = pool.target().addresses();
    let mut failures = 0;
    let mut refused = Reconnect::new(REFUSED_FOR);
    loop {
        // It tries all addresses itself.
        let lease = pool.lease(purpose).await?;
        let error = match attempt(lease).await {
            Err(error) => error,
            answer => return answer,
        };
        if error.retry_after.is_some() {
            if refused.pause(error.retry_after).await.is_none() {
                let seconds = refused.elapsed().as_secs_f64();
                return Err(
                    error.context(format_args!("the call was refused again and again for {seconds:.0} s"))
                );
            }
            continue;
        }
        failures += 1;
        let moves_on = effect == Effect::None && is_of_the_address(&error) && failures < addresses;
        // A connection may have been closed while it was idle.
        let again = error.unsent && failures <= addresses;
        if !moves_on && !again {
            return Err(error);
        }
    }
}

/// Whether another daemon may answer the call.
fn is_of_the_address(error: &Error) -> bool {
    error.kind.is_retryable() && error.code != ErrorCode::RemoteRows
}
