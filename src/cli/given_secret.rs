//! A secret that the caller chooses. It never stands on the command line, which every user of a machine can read: it
//! comes from an environment variable or from a file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;

/// Where the secret is.
#[derive(Debug, clap::Args)]
pub(super) struct GivenSecret {
    /// Environment variable with the secret [default: one is made]
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,
    /// File with the secret; - is standard input [default: one is made]
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    secret_file: Option<PathBuf>,
}

impl GivenSecret {
    /// Whether there is one.
    pub(super) fn is_given(&self) -> bool {
        self.secret_env.is_some() || self.secret_file.is_some()
    }

    /// Reads the secret; `None` if none is given.
    pub(super) fn read(&self) -> anyhow::Result<Option<String>> {
        match (&self.secret_env, &self.secret_file) {
            (Some(variable), _) => of_variable(variable).map(Some),
            (None, Some(file)) => of_file(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

/// The secret in an environment variable, without the end of its line.
pub(super) fn of_variable(variable: &str) -> anyhow::Result<String> {
    let text = std::env::var(variable)
        .with_context(|| format!("--secret-env {variable}: there is no such variable"))?;
    Ok(line(&text))
}

/// The secret in a file, without the end of its line; `-` is standard input.
pub(super) fn of_file(file: &Path) -> anyhow::Result<String> {
    let text =
        if file == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    let text = text.with_context(|| format!("--secret-file: cannot read {}", file.display()))?;
    Ok(line(&text))
}

fn line(text: &str) -> String {
    text.trim_end_matches(['\r', '\n']).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_without_the_end_of_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, " my secret \r\n").unwrap();
        let given = |env: Option<&str>, file: Option<&Path>| GivenSecret {
            secret_env: env.map(str::to_owned),
            secret_file: file.map(Path::to_owned),
        };
        let of = given(None, Some(&file));
        assert!(of.is_given());
        assert_eq!(of.read().unwrap().as_deref(), Some(" my secret "));
        let none = given(None, None);
        assert!(!none.is_given() && none.read().unwrap().is_none());
        let missing = given(Some("NO_SUCH_VARIABLE_OF_A_TEST"), None).read().unwrap_err();
        assert!(missing.to_string().contains("there is no such variable"), "{missing}");
        assert!(given(None, Some(&folder.path().join("missing"))).read().is_err());
    }
}
