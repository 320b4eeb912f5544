//! The plain binary; see the library of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(mosaicod::run(std::env::args_os()))
}
