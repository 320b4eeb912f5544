//! The plain binary; see the library of this crate.

use std::process::ExitCode;

/// Gives memory back to the system sooner than glibc's, which keeps what many threads freed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(mosaicod::run(std::env::args_os()))
}
