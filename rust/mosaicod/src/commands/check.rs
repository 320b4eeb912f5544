//! `mosaicod check`.

use mosaico_admin::{CheckOptions, Maintenance};
use mosaico_server::Error;

use super::output;
use crate::args::CheckArgs;

/// Cross-checks records, chunks, WAL and catalog.
pub(super) async fn run(args: &CheckArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let options = CheckOptions { deep: args.deep, repair: args.repair };
    let store =
        if args.repair { Maintenance::open(config).await? } else { Maintenance::look(config).await? };
    let found = store.check(options, &output::progress("check")).await?;
    let repaired = found.problems.iter().filter(|problem| problem.repaired).count();
    let read = if args.deep { "read" } else { "not read; --deep does" };
    let mut text = format!(
        "{shown}: {} sequences, {} topics, {} chunks ({read}) with {} rows, {} rows in the WAL, {} in the \
         replicated WAL, {} unreferenced files; {} problems, {repaired} repaired; {} rows lost",
        found.sequences,
        found.topics,
        found.chunks,
        found.rows,
        found.log_rows,
        found.stored_log_rows,
        found.orphans,
        found.problems.len(),
        found.lost_rows
    );
    if found.in_progress > 0 {
        text += &format!("; {} sequences are being recorded and were not looked at", found.in_progress);
    }
    if !found.newer.is_empty() {
        text += &format!("; {} records or chunks of a newer version were not read", found.newer.len());
    }
    let problems: Vec<_> = found.newer.iter().chain(&found.problems).cloned().collect();
    output::report(args.output.json, &found, &text, &problems)
}
