//! Changes of keys and links by commands. They are in the record of the keys, in which the command writes them together
//! with the change itself: no change is without them, also while no daemon runs. A daemon adds them to its audit log,
//! at least once; in a cluster the leader does.

use std::sync::Arc;
use std::time::Duration;

use mosaico_engine::access::keys::Keys;
use mosaico_engine::state::engine::Engine;
use mosaico_engine::state::metrics::code_name;
use mosaico_storage::error::Result;
use mosaico_storage::format::api_keys::AccessChange;
use tonic::Code;

use super::line::Line;
use super::log::Audit;
use super::writer::event;

/// How often a daemon looks for changes.
const LOOK: Duration = Duration::from_secs(5);

/// Adds the changes of commands to the audit log, as long as it runs.
pub(crate) async fn watch(core: Arc<Engine>, keys: Arc<Keys>, audit: Arc<Audit>) {
    loop {
        if let Err(error) = look(&core, &keys, &audit).await {
            tracing::warn!(cause = %error.detail(), "changes of API keys cannot be added to the audit log now");
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn look(core: &Engine, keys: &Keys, audit: &Audit) -> Result<()> {
    if !core.coordinator.is_leader().await? {
        return Ok(());
    }
    let changes = keys.unaudited().await?;
    let Some(last) = changes.last().map(|last| last.id.clone()) else { return Ok(()) };
    let lines: Vec<Line> = changes.into_iter().map(line).collect();
    let mut events: Vec<_> = lines.iter().cloned().map(event).collect();
    core.catalog.add_events(&mut events).await?;
    lines.into_iter().for_each(|line| audit.write(line));
    keys.note_audited(last).await
}

fn line(change: AccessChange) -> Line {
    let AccessChange { id, at_ns, who, from, call, subject } = change;
    let result = code_name(Code::Ok);
    // It is an event already.
    Line { at_ns, who, call, subject, from, result, request: id, times: None, is_event: false }
}
