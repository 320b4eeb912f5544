//! `mosaicod rebuild`.

use std::time::Instant;

use mosaico_server::Error;

use super::output;
use crate::args::RebuildArgs;

/// Rebuilds the catalog.
pub(super) async fn run(args: &RebuildArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let started = Instant::now();
    let rebuilt =
        mosaico_admin::rebuild(config, &args.certificate.client_files(), &output::progress("rebuild"))
            .await?;
    let seconds = started.elapsed().as_secs_f64();
    let text = format!(
        "the catalog of {shown} has {} sequences now: {} topics read in {seconds:.1} s, {} sequences from an \
         earlier run, {} removals to be finished by the next start, {} sequences taken out that \
         the store does not have, {} problems",
        rebuilt.sequences,
        rebuilt.topics,
        rebuilt.resumed,
        rebuilt.removals,
        rebuilt.taken_out,
        rebuilt.problems.len()
    );
    output::report(args.output.json, &rebuilt, &text, &rebuilt.problems)
}
