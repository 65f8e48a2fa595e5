//! The `waypost` program: it parses the command line, loads the configuration and runs.

use std::process::ExitCode;

/// The allocator of musl has one lock for all threads (docs/adr/0016-static-musl.md).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    waypost::cli::main()
}
