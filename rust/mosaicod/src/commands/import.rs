//! `mosaicod import`.

use mosaico_server::{Error, ImportOptions, Maintenance};

use super::output;
use crate::args::ImportArgs;

/// Takes over another store.
pub(super) async fn run(args: &ImportArgs) -> Result<u8, Error> {
    let (config, shown) = args.store.config()?;
    let options =
        ImportOptions { source: args.store.source(&args.source)?, assume_finalized: args.assume_finalized };
    let store = Maintenance::create(config).await?;
    let found = store.import(&options, &output::progress("import")).await?;
    let mut text = format!(
        "{shown}: {} sequences with {} topics and {} rows imported, {} are there already, {} problems",
        found.sequences.len(),
        found.topics,
        found.rows,
        found.present.len(),
        found.problems.len()
    );
    if !found.undecided.is_empty() {
        let names = found.undecided.join(", ");
        text += &format!(
            "; these are not imported, since nothing tells whether they are complete: {names}; wait until they are \
             recorded, or, if they are of Mosaico 0.2 to 0.4, look at them and add --assume-finalized"
        );
    }
    let code = output::report(args.output.json, &found, &text, &found.problems)?;
    Ok(code.max(u8::from(!found.undecided.is_empty())))
}
