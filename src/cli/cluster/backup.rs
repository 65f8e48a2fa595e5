//! `waypost cluster backup` and `waypost restore`.
//!
//! A backup is first written under another name, made durable, read back and checked. Only then does it get
//! its name.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use http::Method;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{
    config::Webhooks,
    hub::{Encryption, KEY_FILE},
};
use waypost_cluster::{BackupOrigin, Expected};

use super::super::{
    Usage,
    client::{ANSWER, Client, Connection},
    confirm::Confirm,
    output::{self, cell, counted_cell},
};

/// Longest pause between two pieces of a backup.
const PIECE: Duration = Duration::from_secs(60);

/// The backup to write or to check.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Backup {
    /// File to write; it must not exist
    #[arg(required_unless_present = "verify", conflicts_with = "verify")]
    file: Option<PathBuf>,
    /// Check a backup instead of making one
    #[arg(long, value_name = "FILE")]
    verify: Option<PathBuf>,
    /// verify: the key of the cluster that the backup shall be from: webhooks.key of a node's data directory,
    /// or a file with webhooks.secret_key
    #[arg(long, value_name = "FILE", requires = "verify")]
    key: Option<PathBuf>,
    /// Include the key that encrypts webhooks; anybody who has the file can then read their addresses and
    /// secrets
    #[arg(long, conflicts_with = "verify")]
    with_key: bool,
    /// Write it even without a majority; it may then lack events that were acknowledged
    #[arg(long, conflicts_with = "verify")]
    without_majority: bool,
    #[command(flatten)]
    connection: Connection,
    /// The old name of -o json
    #[arg(long, hide = true)]
    json: bool,
}

/// The backup to restore, and the directory for it.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Restore {
    /// File of the backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Data directory of the new cluster's first node; it must be empty or absent
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The old cluster's webhooks.key, if the backup was made without --with-key
    #[arg(long, value_name = "FILE")]
    with_key: Option<PathBuf>,
    #[command(flatten)]
    confirm: Confirm,
    /// The old name of -o json
    #[arg(long, hide = true)]
    json: bool,
}

/// What a backup may have beside the state.
const FILES: &[&str] = &[KEY_FILE];

pub(super) async fn backup(args: Backup) -> anyhow::Result<()> {
    let Some(file) = args.file else {
        let path = args.verify.ok_or_else(|| Usage("a file is required".to_owned()))?;
        return verify(&path, args.key.as_deref(), args.json);
    };
    if file.exists() {
        return Err(Usage(format!("{} exists: a backup overwrites nothing", file.display())).into());
    }
    let draft = Draft(partial(&file)?);
    let client = Client::of_admin(args.connection);
    let current = fetch(&client, args.with_key, args.without_majority, &draft.0).await?;
    let info = waypost_cluster::verify(&draft.0, &expected(None))
        .context("the node sent an invalid backup, which was not kept")?;
    fs::rename(&draft.0, &file).with_context(|| file.display().to_string())?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| folder.display().to_string())?;
    if !args.with_key {
        output::note(
            "the key that encrypts webhooks is not in it: keep webhooks.key of a data directory (or webhooks.secret_key) beside it",
        );
    }
    let mut shown = json!(info);
    shown["current"] = current.into();
    // The cluster that was asked made it.
    let cluster = cell(&shown, "cluster_id");
    show(&file, &shown, ("is written and checked", cluster.as_str()), args.json)
}

fn expected(key: Option<[u8; 32]>) -> Expected<'static> {
    Expected { key: key.map(|key| Encryption::new(key).backup_key()), files: FILES }
}

/// The key in a file: its bytes, or the text of `webhooks.secret_key`.
fn read_key(path: &Path) -> anyhow::Result<[u8; 32]> {
    let bytes = fs::read(path).with_context(|| format!("the key file {}", path.display()))?;
    let of_text = || std::str::from_utf8(&bytes).ok().and_then(Webhooks::key_of);
    let key = <[u8; 32]>::try_from(&*bytes).ok().or_else(of_text);
    key.ok_or_else(|| {
        let text =
            format!("{}: a key has 32 bytes, or 64 hexadecimal digits, or is their base64", path.display());
        Usage(text).into()
    })
}

/// Checks a backup, and tells which cluster it is from.
fn verify(path: &Path, key: Option<&Path>, json: bool) -> anyhow::Result<()> {
    let info = waypost_cluster::verify(path, &expected(key.map(read_key).transpose()?))?;
    if key.is_some() && info.origin == BackupOrigin::Unproved {
        anyhow::bail!(
            "the backup is whole, but does not prove which cluster it is from: an older release made it, or a node \
             without the key"
        );
    }
    if info.origin == BackupOrigin::Unchecked {
        output::note("its cluster is as the file says; --key with webhooks.key of a node proves it");
    }
    let info = json!(info);
    let cluster = format!("{} ({})", cell(&info, "cluster_id"), cell(&info, "origin"));
    show(path, &info, ("is whole", cluster.as_str()), json)
}

/// A file that is removed at the end, unless it was renamed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // If it was renamed, there is nothing to remove.
        let _ = fs::remove_file(&self.0);
    }
}

fn partial(file: &Path) -> anyhow::Result<PathBuf> {
    let name = file.file_name().ok_or_else(|| Usage(format!("{} names no file", file.display())))?;
    Ok(file.with_file_name(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id())))
}

/// Writes the backup that a node sends to a file. The file is durable when this returns. Returns whether the
/// backup has everything that was acknowledged before.
async fn fetch(client: &Client, with_key: bool, without_majority: bool, path: &Path) -> anyhow::Result<bool> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let out = out.as_mut().map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    let query = format!("/api/cluster/backup?with_key={with_key}");
    let mut answer = client.send(Method::GET, &query, None, ANSWER).await?;
    let current = answer.headers().get("waypost-backup-current").is_none_or(|current| current != "false");
    if !current {
        let what = "there is no majority: a backup has what this node knows, which may not be all that was acknowledged";
        anyhow::ensure!(without_majority, "{what}; none was written; --without-majority writes one");
        output::note(what);
    }
    loop {
        let piece = timeout(PIECE, answer.next()).await.context("nothing more came for a minute")?;
        let Some(piece) = piece else { break };
        out.write_all(&piece.context("the connection broke")?).with_context(|| path.display().to_string())?;
    }
    out.sync_all().with_context(|| path.display().to_string())?;
    Ok(current)
}

/// Says what is with the backup, and of which cluster it is.
fn show(path: &Path, info: &Value, (what, cluster): (&str, &str), json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(info)?);
    }
    Ok(output::line(format_args!(
        "{} {what}: {}, {}, cluster {cluster}, log index {}",
        path.display(),
        counted_cell(info, "records", "record", "records"),
        counted_cell(info, "bytes", "byte", "bytes"),
        cell(info, "applied_index"),
    ))?)
}

/// Makes the data directory of a new cluster.
pub(in crate::cli) fn restore(args: &Restore) -> anyhow::Result<()> {
    let key = args.with_key.as_deref().map(read_key).transpose()?;
    args.confirm.ask(&format!(
        "this makes {} the first node of a new cluster with the maps, tokens and webhooks of the backup, which must not \
         run beside the old cluster",
        args.data_dir.display()
    ))?;
    let files = key.map(|key| (KEY_FILE.to_owned(), key.to_vec())).into_iter().collect();
    let restored = waypost_cluster::restore(&args.from, &args.data_dir, files, &expected(key))?;
    if !args.data_dir.join(KEY_FILE).exists() {
        output::note(
            "without the key that encrypts webhooks: put the old cluster's webhooks.key into the directory, or set webhooks.secret_key as it was, before the node starts, if there are webhooks",
        );
    }
    if !output::for_people(args.json) {
        return Ok(output::json(&json!(restored))?);
    }
    Ok(output::line(format_args!(
        "{} is node {} of the new cluster {}; start it: waypost serve --data-dir {}; others join it with empty directories",
        args.data_dir.display(),
        restored.node_id,
        restored.cluster_id,
        args.data_dir.display(),
    ))?)
}
