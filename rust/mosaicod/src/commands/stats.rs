//! `mosaicod stats`.

use mosaico_admin::Maintenance;
use mosaico_server::Error;

use super::output;
use crate::args::StatsArgs;

/// Counts the contents of a store.
pub(super) async fn run(args: &StatsArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let found = Maintenance::look(config).await?.stats(&output::progress("stats")).await?;
    let mut text = format!(
        "{shown}: {} sequences ({} finalized, {} ended, {} being removed), {} topics, {} chunks, {} rows, {} bytes \
         stored for {} bytes of rows, {} notifications",
        found.sequences,
        found.finalized,
        found.ended,
        found.removals,
        found.topics,
        found.chunks,
        found.rows,
        found.stored_bytes,
        found.data_bytes,
        found.notifications
    );
    for (tag, of) in &found.tags {
        text += &format!("\n{tag}: {} topics, {} rows, {} bytes stored", of.topics, of.rows, of.stored_bytes);
    }
    output::report(args.output.json, &found, &text, &found.problems)
}
