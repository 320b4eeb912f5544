//! Actions that process the whole store and report their progress.

use std::sync::Arc;

use arrow_flight::Result as ActionResult;
use futures::StreamExt;
use mosaico_engine::maintenance::online_rebuild;
use mosaico_engine::state::engine::Engine;
use mosaico_storage::error::Result;
use mosaico_wire::action::Nothing;
use mosaico_wire::maintenance::name::CATALOG_REBUILD;
use mosaico_wire::maintenance::{Progress, RebuildStep};
use tokio::select;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tracing::Instrument;

use super::actions::respond;
use super::call::{Items, parse};
use crate::access::identity::Caller;
use crate::request_layer::status_of;

/// Progress messages that are buffered for a slow client; further ones are dropped.
const WAITING: usize = 4;

/// Rebuilds the catalog until the client disconnects, or may not have it any more. A sequence whose rebuild has started is finished.
pub(crate) fn rebuild(core: Arc<Engine>, caller: Arc<Caller>, body: &[u8]) -> Result<Items<ActionResult>> {
    parse::<Nothing>(CATALOG_REBUILD, body)?;
    let (steps, received) = mpsc::channel::<Result<ActionResult, Status>>(WAITING);
    let tasks = core.tasks.clone();
    let work = async move {
        let enough = core.stopping.child_token();
        let left = {
            let (steps, enough) = (steps.clone(), enough.clone());
            tokio::spawn(async move {
                select! {
                    () = steps.closed() => {}
                    () = caller.revoked() => {}
                }
                enough.cancel();
            })
        };
        let progress = |done: Progress| {
            if let Ok(step) = encode(&RebuildStep::Progress(done)) {
                drop(steps.try_send(Ok(step)));
            }
        };
        let rebuilt = online_rebuild::run(&core, &progress, &enough).await;
        left.abort();
        let last = rebuilt.and_then(|rebuilt| encode(&RebuildStep::Rebuilt(rebuilt)));
        drop(steps.send(last.map_err(status_of)).await);
    };
    tasks.spawn(work.in_current_span());
    Ok(ReceiverStream::new(received).boxed())
}

fn encode(step: &RebuildStep) -> Result<ActionResult> {
    Ok(ActionResult { body: respond(CATALOG_REBUILD, step)?.into() })
}
