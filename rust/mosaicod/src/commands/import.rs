//! `mosaicod import`.

use mosaico_admin::mapping::Mapping;
use mosaico_admin::{ImportOptions, Imported, Maintenance, plan_import};
use mosaico_server::{Error, StoreLocation};

use super::output;
use crate::args::ImportArgs;
use crate::mapping;

/// Imports another store, or plain Parquet files.
pub(super) async fn run(args: &ImportArgs) -> Result<u8, Error> {
    let mapping = args.mapping.as_deref().map(mapping::read).transpose()?;
    let source = args.store.source(&args.source)?;
    if let Some(mapping) = mapping.as_ref().filter(|_| args.dry_run) {
        return plan(args, &source, mapping);
    }
    let (config, shown) = args.store.config()?;
    let options = ImportOptions { source, assume_finalized: args.assume_finalized, mapping };
    let store = Maintenance::create(config).await?;
    let found = store.import(&options, &output::progress("import")).await?;
    let code = output::report(args.output.json, &found, &summary(&shown, &found), &found.problems)?;
    Ok(code.max(u8::from(!found.undecided.is_empty())))
}

fn summary(store: &str, found: &Imported) -> String {
    let mut text = format!(
        "{store}: {} sequences with {} topics and {} rows imported, {} are there already, {} problems",
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
    text + &left_out(&found.left_out)
}

fn left_out(files: &[String]) -> String {
    if files.is_empty() { String::new() } else { format!("; the mapping leaves out {}", files.join(", ")) }
}

fn plan(args: &ImportArgs, source: &StoreLocation, mapping: &Mapping) -> Result<u8, Error> {
    let plan = plan_import(source, mapping)?;
    let mut text = String::new();
    for sequence in &plan.sequences {
        text += &format!("{}\n", sequence.name);
        for topic in &sequence.topics {
            let (name, tag, rows, files) = (&topic.name, &topic.ontology_tag, topic.rows, topic.files.len());
            text += &format!("  {name} ({tag}): {rows} rows of {files} files\n");
            for (column, source) in &topic.columns {
                text += &format!("    {column} = {source}\n");
            }
        }
    }
    text += &format!(
        "{} sequences would be imported, {} problems{}",
        plan.sequences.len(),
        plan.problems.len(),
        left_out(&plan.left_out)
    );
    output::report(args.output.json, &plan, &text, &plan.problems)
}
