//! The settings of a source on the command line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde_json::{Value, json};

use super::super::given_secret;

/// The secret of a source, which never stands on the command line.
#[derive(Debug, clap::Args)]
pub(super) struct SecretArgs {
    /// Environment variable with the secret or key [default: the server makes one, if the sender takes it]
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,
    /// File with the secret or key; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    secret_file: Option<PathBuf>,
    /// File with the public key of JWTs (PEM)
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// File with the keys of JWTs (a JWKS document)
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
}

/// The settings of a source.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsArgs {
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    /// How senders prove who they are: api_key, hmac, jwt, none, github, gitlab, stripe, shopify, slack, twilio, standard
    /// or waypost [default of a new source: hmac]
    #[arg(long, value_name = "WAY")]
    authentication: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
    /// The algorithm of JWTs: HS256, RS256, ES256 or EdDSA
    #[arg(long, value_name = "NAME")]
    jwt_algorithm: Option<String>,
    /// The issuer of JWTs
    #[arg(long, value_name = "TEXT")]
    jwt_issuer: Option<String>,
    /// The audience of JWTs
    #[arg(long, value_name = "TEXT")]
    jwt_audience: Option<String>,
    /// File with the mapping of bodies to events (JSON)
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// File with the JSON Schema of the payloads
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// What happens to a payload that the schema does not allow: refuse or mark
    #[arg(long, value_name = "WHAT")]
    on_invalid: Option<String>,
    /// Most requests a minute, on each node
    #[arg(long, value_name = "N")]
    requests_per_minute: Option<u32>,
    /// Most requests a minute from one address, on each node
    #[arg(long, value_name = "N")]
    requests_per_minute_per_address: Option<u32>,
    /// Header in which a sender without signatures names its delivery
    #[arg(long, value_name = "NAME")]
    dedupe_header: Option<String>,
}

impl SecretArgs {
    /// Adds the secret to a request.
    pub(super) fn add_to(&self, body: &mut Value) -> anyhow::Result<()> {
        if let Some(secret) = secret(self.secret_env.as_deref(), self.secret_file.as_deref())? {
            body["secretKey"] = secret.into();
        }
        if let Some(file) = &self.public_key {
            body["publicKey"] = read(file)?.into();
        }
        if let Some(file) = &self.jwks {
            body["jwks"] = document(file)?;
        }
        Ok(())
    }
}

impl SettingsArgs {
    /// The request with the settings that are named.
    pub(super) fn body(&self) -> anyhow::Result<Value> {
        let mut body = json!({});
        let texts = [
            ("name", &self.name),
            ("authentication", &self.authentication),
            ("onInvalid", &self.on_invalid),
            ("dedupeHeader", &self.dedupe_header),
        ];
        for (field, text) in texts {
            if let Some(text) = text {
                body[field] = text.as_str().into();
            }
        }
        self.secret.add_to(&mut body)?;
        let of_jwt = [
            ("algorithm", &self.jwt_algorithm),
            ("issuer", &self.jwt_issuer),
            ("audience", &self.jwt_audience),
        ];
        for (field, text) in of_jwt {
            if let Some(text) = text {
                body["jwt"][field] = text.as_str().into();
            }
        }
        for (field, file) in [("mapping", &self.mapping), ("schema", &self.schema)] {
            if let Some(file) = file {
                body[field] = document(file)?;
            }
        }
        let limits = [
            ("requestsPerMinute", self.requests_per_minute),
            ("requestsPerMinutePerAddress", self.requests_per_minute_per_address),
        ];
        for (field, limit) in limits {
            if let Some(limit) = limit {
                body["limits"][field] = limit.into();
            }
        }
        Ok(body)
    }
}

/// The secret in an environment variable or in a file; `None` if neither is given.
pub(super) fn secret(variable: Option<&str>, file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let text = match (variable, file) {
        (Some(variable), _) => given_secret::of_variable(variable)?,
        (None, Some(file)) => given_secret::of_file(file)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(text.trim().to_owned()))
}

fn read(file: &Path) -> anyhow::Result<String> {
    fs::read_to_string(file).with_context(|| format!("{} can't be read", file.display()))
}

fn document(file: &Path) -> anyhow::Result<Value> {
    serde_json::from_str(&read(file)?).with_context(|| format!("{} is not JSON", file.display()))
}
