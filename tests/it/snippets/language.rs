//! The languages whose blocks are run, and how each is run.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    Shell,
    JavaScript,
    TypeScript,
    Python,
    Php,
    Go,
    Elixir,
    Rust,
}

/// For bash: runs the program that its arguments name, with the variables that shell blocks have exported.
const WITH_VARIABLES: &str = r#". "$SNIPPET_VARIABLES"; exec "$@""#;
/// Before a shell block: it ends at the first failure, and what it exports is there for the blocks after it.
const SHELL: &str =
    "set -euo pipefail\n. \"$SNIPPET_VARIABLES\"\ntrap 'export -p > \"$SNIPPET_VARIABLES\"' EXIT\n";
/// How a block in Rust names a crate that it needs, as in `// dependency: ureq = "3"`.
const DEPENDENCY: &str = "// dependency: ";

impl Language {
    /// The language of that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sh" => Self::Shell,
            "js" => Self::JavaScript,
            "ts" => Self::TypeScript,
            "py" => Self::Python,
            "php" => Self::Php,
            "go" => Self::Go,
            "elixir" => Self::Elixir,
            "rust" => Self::Rust,
            _ => return None,
        })
    }

    /// Whether this machine has what runs it.
    pub(super) fn is_here(self) -> bool {
        let arguments: &[&str] = match self {
            // The tests need these anyway.
            Self::Shell | Self::JavaScript | Self::TypeScript | Self::Python | Self::Rust => return true,
            Self::Php => &["php", "--version"],
            Self::Go => &["go", "version"],
            Self::Elixir => &["elixir", "--version"],
        };
        let mut command = Command::new(arguments[0]);
        let status = command.args(&arguments[1..]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Writes the block with that number into the page's folder. Returns the command that runs it there.
    pub(super) fn prepare(self, folder: &Path, number: usize, text: &str) -> Result<Command> {
        let write = |ending: &str, text: &str| -> Result<PathBuf> {
            let path = folder.join(format!("block-{number}.{ending}"));
            fs::write(&path, text)?;
            Ok(path)
        };
        let mut command = Command::new("/bin/bash");
        if self == Self::Shell {
            command.arg(write("sh", &format!("{SHELL}{text}"))?);
            return Ok(command);
        }
        command.args(["-c", WITH_VARIABLES, "bash"]);
        match self {
            Self::Shell => {}
            Self::JavaScript => {
                let ending = if text.contains("require(") { "cjs" } else { "mjs" };
                command.arg("node").arg(write(ending, text)?);
            }
            Self::TypeScript => {
                let path = write("mts", text)?;
                command.args(["/bin/bash", "-c", r#""$1" "${@:4}" "$2" && node "$3""#, "bash"]);
                command.args([compiler()?, path, folder.join(format!("block-{number}.mjs"))]);
                command.args(COMPILER_OPTIONS);
            }
            Self::Python => {
                command.arg(python()?).arg("-B").arg(write("py", text)?);
            }
            Self::Php => {
                let start = if text.trim_start().starts_with("<?php") { "" } else { "<?php\n" };
                command.arg("php").arg(write("php", &format!("{start}{text}"))?);
            }
            Self::Elixir => {
                command.arg("elixir").arg(write("exs", text)?);
            }
            Self::Go => {
                // Each block is a program, so each has a folder.
                let own = own_folder(folder, number)?;
                fs::write(own.join("main.go"), text)?;
                command.args(["go", "run"]).arg(own.join("main.go"));
            }
            Self::Rust => {
                command.args(["cargo", "run", "--quiet", "--offline", "--manifest-path"]);
                command
                    .arg(crate_of(folder, number, text)?)
                    .arg("--target-dir")
                    .arg(target()?.join("snippets"));
            }
        }
        Ok(command)
    }
}

/// Types are checked as strictly as the compiler can, and the code is left as modern as it is.
const COMPILER_OPTIONS: [&str; 10] = [
    "--strict",
    "--skipLibCheck",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--lib",
    "es2022,dom",
    "--types",
    "node",
];

/// The folder of what cargo builds.
pub(super) fn target() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
    Ok(target.to_owned())
}

fn python() -> Result<PathBuf> {
    let python = target()?.join("python/bin/python");
    ensure!(python.exists(), "the Python packages aren't installed: run `make clients`");
    Ok(python)
}

/// The TypeScript compiler that builds the package of `clients/typescript`.
fn compiler() -> Result<PathBuf> {
    let compiler = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/typescript/node_modules/.bin/tsc");
    ensure!(compiler.exists(), "the TypeScript compiler isn't installed: run `make clients`");
    Ok(compiler)
}

fn own_folder(folder: &Path, number: usize) -> Result<PathBuf> {
    let own = folder.join(format!("block-{number}"));
    fs::create_dir_all(&own)?;
    Ok(own)
}

/// Makes a crate of a block in Rust. Returns the path of its manifest. It may use the crates that the
/// repository uses, in the same versions, so that nothing has to be fetched.
fn crate_of(folder: &Path, number: usize, text: &str) -> Result<PathBuf> {
    let own = own_folder(folder, number)?;
    let dependencies = text.lines().filter_map(|line| line.strip_prefix(DEPENDENCY));
    let manifest = format!(
        "[package]\nname = \"block-{number}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [[bin]]\nname = \"block-{number}\"\npath = \"main.rs\"\n\n[dependencies]\n{}\n",
        dependencies.collect::<Vec<_>>().join("\n")
    );
    fs::write(own.join("main.rs"), text)?;
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock"), own.join("Cargo.lock"))?;
    let path = own.join("Cargo.toml");
    fs::write(&path, manifest)?;
    Ok(path)
}
