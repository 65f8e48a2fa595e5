//! Says what the executable was built from: `BUILD_COMMIT`, or "unknown" outside a git checkout, and
//! `BUILD_RUSTC`, the compiler's version, or "unknown". The names do not begin with `WAYPOST_`, which would
//! look like a setting.
//! Makes the pages of the documentation from the Markdown files in `docs/`, and takes the built files of the
//! console from `console/dist`: the executable serves both.

#[path = "build/console.rs"]
mod console;
#[path = "build/markdown.rs"]
mod markdown;
#[path = "build/navigation.rs"]
mod navigation;
#[path = "build/paths.rs"]
mod paths;
#[path = "build/search.rs"]
mod search;
#[path = "build/site.rs"]
mod site;
#[path = "build/summary.rs"]
mod summary;

use std::error::Error;
use std::{path::Path, process::Command};

fn main() -> Result<(), Box<dyn Error>> {
    // Sources that were unpacked within another repository are not of its commit.
    let is_checkout = git(&["ls-files", "--error-unmatch", "build.rs"]).is_some();
    let of_checkout = |args: &[&str]| if is_checkout { git(args) } else { None };
    let commit = of_checkout(&["rev-parse", "--short=10", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=BUILD_COMMIT={commit}");
    println!("cargo::rustc-env=BUILD_RUSTC={}", rustc().unwrap_or_else(|| "unknown".to_owned()));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=docs");
    println!("cargo::rerun-if-changed=console/dist");
    // HEAD changes with a checkout, its log with every commit too. A path that does not exist would rerun
    // this at every build.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = of_checkout(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    console::build()?;
    site::build()
}

fn git(args: &[&str]) -> Option<String> {
    output_of(Command::new("git").args(args))
}

/// The version of the compiler that Cargo uses, as in `1.95.0`.
fn rustc() -> Option<String> {
    let told = output_of(Command::new(std::env::var_os("RUSTC")?).arg("--version"))?;
    told.split_whitespace().nth(1).map(ToOwned::to_owned)
}

fn output_of(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
