//! `mosaicod rebuild`.

use std::time::Instant;

use mosaico_server::{Error, Maintenance};

use super::output;
use crate::args::RebuildArgs;

/// Makes the catalogue anew.
pub(super) async fn run(args: &RebuildArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let store = Maintenance::open(config).await?;
    let started = Instant::now();
    let rebuilt = store.rebuild(&output::progress("rebuild")).await?;
    let seconds = started.elapsed().as_secs_f64();
    let text = format!(
        "the catalogue of {shown} has {} sequences now: {} topics read in {seconds:.1} s, {} sequences from an \
         earlier run, {} removals to be finished by the next start, {} problems",
        rebuilt.sequences,
        rebuilt.topics,
        rebuilt.resumed,
        rebuilt.removals,
        rebuilt.problems.len()
    );
    output::report(args.output.json, &rebuilt, &text, &rebuilt.problems)
}
