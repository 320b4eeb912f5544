//! The form of reports.

use clap::Args;

/// Output of a command that ends with a report.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Print the report as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}
