//! One file per command. Reports go to standard output, progress and problems to standard error.

mod api_key;
mod author;
mod check;
mod compact;
mod gc;
mod import;
mod link;
mod output;
mod rebuild;
mod run;
mod stats;
mod tls_init;

use mosaico_server::Error;

use crate::args::Command;
use crate::settings::Settings;

/// Runs a command; returns the exit code.
pub(crate) async fn run(settings: &Settings) -> Result<u8, Error> {
    match &settings.cli.command {
        Command::Run(args) => run::run(args).await.map(|()| 0),
        Command::Config(_) => {
            output::announce(settings.to_string().trim_end());
            Ok(0)
        }
        Command::Rebuild(args) => rebuild::run(args).await,
        Command::Check(args) => check::run(args).await,
        Command::Gc(args) => gc::run(args).await,
        Command::Compact(args) => compact::run(args).await,
        Command::Stats(args) => stats::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::TlsInit(args) => tls_init::run(args),
        Command::ApiKey(command) => api_key::run(command).await,
        Command::Link(command) => link::run(command).await,
    }
}
