//! `waypost token sign`: a client token (JWT) for development.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::{
    cli::usage::Usage,
    clock::now_ms,
    core::jwt::{Algorithm, Signer},
};

/// The claims of the token, and the key that signs it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("key").required(true).args(["secret", "secret_file", "pem"]))]
pub(in crate::cli) struct Args {
    /// Map that the token opens: id or slug
    map: String,
    /// Secret of HS256; other users of this machine can read it
    #[arg(long)]
    secret: Option<String>,
    /// File with the secret of HS256; a line break at its end does not count
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// File with a private key in PEM form
    #[arg(long)]
    pem: Option<PathBuf>,
    /// Algorithm of the private key
    #[arg(long, default_value = "RS256", value_parser = ["RS256", "ES256", "EdDSA"])]
    algorithm: String,
    /// Id of the key, where the issuer has several
    #[arg(long)]
    kid: Option<String>,
    /// Whom the token is about
    #[arg(long, default_value = "developer")]
    sub: String,
    /// What the token may do: subscribe, publish, presence
    #[arg(long, value_delimiter = ',', default_value = "subscribe")]
    #[arg(value_parser = ["subscribe", "publish", "presence"])]
    scopes: Vec<String>,
    /// Patterns of the subjects that may be read and published to; without it, all
    #[arg(long, value_delimiter = ',')]
    subjects: Option<Vec<String>>,
    /// Condition (CEL) that every event must meet that the client gets
    #[arg(long)]
    filter: Option<String>,
    /// Most sessions of the sub on one node
    #[arg(long)]
    connections: Option<u32>,
    /// Seconds after which the token ends
    #[arg(long, default_value_t = 3600)]
    expires_in: u64,
    /// The token's own id
    #[arg(long)]
    jti: Option<String>,
    /// The claim iss
    #[arg(long)]
    issuer: Option<String>,
    /// The claim aud
    #[arg(long)]
    audience: Option<String>,
}

/// Signs the token.
pub(super) fn token(args: &Args) -> anyhow::Result<String> {
    Ok(signer(args)?.sign(&claims(args, now_ms() / 1000), args.kid.as_deref())?)
}

fn signer(args: &Args) -> anyhow::Result<Signer> {
    if let Some(pem) = &args.pem {
        let algorithm = Algorithm::named(&args.algorithm).context("unknown algorithm")?;
        return Ok(Signer::with_pem(algorithm, &read("--pem", pem)?)?);
    }
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => secret.clone(),
        (None, Some(file)) => read("--secret-file", file)?.trim_end_matches(['\r', '\n']).to_owned(),
        (None, None) => return Err(Usage("give --secret, --secret-file or --pem".to_owned()).into()),
    };
    Ok(Signer::with_secret(secret.as_bytes())?)
}

fn read(flag: &str, file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{flag} {}", file.display()))
}

/// The claims of a token that is issued at `now` (Unix seconds).
fn claims(args: &Args, now: u64) -> Map<String, Value> {
    let own = [
        ("map", Some(json!(args.map))),
        ("scopes", Some(json!(args.scopes))),
        ("subjects", args.subjects.as_ref().map(|subjects| json!(subjects))),
        ("filter", args.filter.as_ref().map(|filter| json!(filter))),
        ("connections", args.connections.map(|most| json!(most))),
    ];
    let all = [
        ("sub", Some(json!(args.sub))),
        ("iat", Some(json!(now))),
        ("exp", Some(json!(now.saturating_add(args.expires_in)))),
        ("jti", args.jti.as_ref().map(|jti| json!(jti))),
        ("iss", args.issuer.as_ref().map(|issuer| json!(issuer))),
        ("aud", args.audience.as_ref().map(|audience| json!(audience))),
        ("waypost", Some(Value::Object(given(own)))),
    ];
    given(all)
}

fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
