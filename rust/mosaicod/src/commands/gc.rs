//! `mosaicod gc`.

use mosaico_admin::Maintenance;
use mosaico_server::Error;

use super::output;
use crate::args::GcArgs;

/// Deletes unreferenced files.
pub(super) async fn run(args: &GcArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let store = Maintenance::open(config).await?;
    let found = store.gc(args.orphan_grace.0, args.dry_run, &output::progress("gc")).await?;
    let done = if args.dry_run { "would be removed" } else { "removed" };
    let text = format!("{shown}: {} files with {} bytes {done}", found.files, found.bytes);
    output::report(args.output.json, &found, &text, &found.problems)
}
