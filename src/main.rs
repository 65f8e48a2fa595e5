//! The `waypost` program: it parses the command line, loads the configuration and runs.

use std::process::ExitCode;

/// Many threads allocate what another thread frees, which the allocators of glibc and musl do slowly
/// (docs/adr/0036-allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    waypost::cli::main()
}
