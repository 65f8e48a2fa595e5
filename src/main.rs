//! The `waypost` program: parse, load the configuration, run; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    waypost::cli::main()
}
