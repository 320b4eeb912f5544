//! `mosaicod compact`.

use mosaico_admin::Maintenance;
use mosaico_server::Error;

use super::output;
use crate::args::CompactArgs;
use crate::values::bytes_or_all;

/// Merges small chunks.
pub(super) async fn run(args: &CompactArgs) -> Result<u8, Error> {
    let (mut config, shown) = args.store.config()?;
    config.chunk_bytes = bytes_or_all(args.chunk_bytes);
    let done = Maintenance::open(config).await?.compact(&output::progress("compact")).await?;
    let text = format!(
        "{shown}: {} topics with {} rows had {} chunks and have {}; the old files go with `mosaicod gc`, or with time",
        done.topics, done.rows, done.chunks_before, done.chunks_after
    );
    output::report(args.output.json, &done, &text, &done.problems)
}
