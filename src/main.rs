//! The `waypost` program: parse, load the configuration, run; nothing else.

use std::process::ExitCode;

/// musl's own allocator has one lock for all threads (docs/adr/0016-static-musl.md).
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    waypost::cli::main()
}
