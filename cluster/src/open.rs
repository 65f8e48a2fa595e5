//! Opens a data directory: lock, identity, log, store. If these do not agree, the node goes on, joins, starts
//! alone, rebuilds from the other nodes, or refuses to start.

use std::io;
use std::sync::Arc;

use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;

use crate::config::Config;
use crate::damage::{Damage, is_damage, set_aside};
use crate::disk_budget::{self, Disk, Progress};
use crate::error::{StartError, StoreError};
use crate::identity::Layout;
use crate::log::Log;
use crate::membership::join::{self, Newcomer};
use crate::mend::{self, Patient, Unmended};
use crate::net::{Listener, Secure};
use crate::os::{self, fs};
use crate::snapshot;
use crate::store::Store;
use crate::types::Member;
use crate::wire::{IdentityV1, StoredVote};

/// A data directory that is open and consistent.
pub(crate) struct Opened {
    pub(crate) lock: fs::File,
    pub(crate) layout: Layout,
    pub(crate) identity: IdentityV1,
    /// How this node and its peers recognize each other.
    pub(crate) secure: Arc<Secure>,
    pub(crate) log: Log,
    pub(crate) store: Arc<Store>,
    /// Nothing was ever written, and there is no cluster to join: a new cluster begins here.
    pub(crate) begins: bool,
}

/// Opens the directory, and joins or rebuilds if necessary.
pub(crate) async fn open(
    config: &Config,
    member: &Member,
    listener: &Listener,
) -> Result<Opened, StartError> {
    let layout = Layout::new(&config.data_dir);
    let lock = layout.lock()?;
    os::make_private(&layout.root);
    layout.check_format()?;
    // Opening writes to the disk. If no other space is left, it uses the reserve.
    let disk = Disk::new(&layout.root, config.disk_reserve);
    disk.measure(Progress::default())?;
    disk.enough_to_start(0)?;
    snapshot::clear(&layout.snapshot())?;
    mend::finish(&layout)?;
    let own = [member.peer_addr.clone(), listener.addr()?.to_string()];
    let mut join: Vec<String> = config.join.iter().filter(|addr| !own.contains(addr)).cloned().collect();
    let identity = match read_identity(&layout) {
        Ok(identity) => identity,
        Err(damage) => {
            join.extend(layout.read_former()?.unwrap_or_default().addrs);
            rebuild(&layout, damage, &join)?
        }
    };
    if let Some(identity) = identity {
        let secure = secure(config, &layout)?;
        let patient =
            Patient { config, layout: &layout, identity: &identity, member, secure: &secure, listener };
        match repaired(&patient).await {
            Ok((log, store)) => {
                let begins = !identity.joined && identity.peers.is_empty() && log.is_pristine();
                return Ok(Opened { lock, layout, identity, secure, log, store, begins });
            }
            Err(Found::Failure(error)) => return Err(error),
            Err(Found::Damage(damage)) => {
                #[cfg(feature = "sim")]
                crate::sim::World::may_join_anew(identity.joined);
                // The members of the former cluster are written down: this start and later ones ask them
                // first.
                layout.write_former(&identity)?;
                let others = identity.peers.iter().map(|known| known.addr.clone());
                join.extend(others.filter(|addr| *addr != member.peer_addr));
                rebuild(&layout, damage, &join)?;
            }
        }
    }
    let secure = secure(config, &layout)?;
    let identity = admitted(config, &layout, member, (listener, &secure), join).await?;
    layout.write_identity(&identity)?;
    layout.remove_newcomer()?;
    match parts(config, &layout, &identity).await {
        Ok((log, store)) => {
            let begins = identity.peers.is_empty();
            Ok(Opened { lock, layout, identity, secure, log, store, begins })
        }
        Err(Found::Failure(error)) => Err(error),
        Err(Found::Damage(damage)) => Err(damage.into()),
    }
}

/// The identity of a node that has none: it gets one from a cluster, or founds one. The cluster that the
/// directory belonged to is asked first, and no other is founded in its place.
async fn admitted(
    config: &Config,
    layout: &Layout,
    member: &Member,
    (listener, secure): (&Listener, &Arc<Secure>),
    join: Vec<String>,
) -> Result<IdentityV1, StartError> {
    let former = layout.read_former()?;
    let belonged = former.is_some() || disk_budget::set_aside_folders(&layout.root) > 0;
    let known = former.map_or_else(Vec::new, |former| former.addrs);
    let mut asked: Vec<String> = known.into_iter().filter(|addr| *addr != member.peer_addr).collect();
    asked.extend(join);
    if !asked.is_empty() {
        // A learner cannot lead.
        let may_found = !belonged && !config.role_learner;
        let expect = if may_found { config.bootstrap_expect } else { 0 };
        let on_waiting = config.on_waiting.as_ref();
        let join = &asked;
        return Newcomer { secure, listener, layout, member, join, expect, belonged, on_waiting }
            .look()
            .await;
    }
    if belonged {
        return Err(StartError::Former(layout.root.clone()));
    }
    if config.join.is_empty() {
        return Ok(join::alone()?);
    }
    Err(StartError::JoinsItself(config.join.join(", ")))
}

/// Opens the log and the store. What is damaged of those of a node that has an id in a cluster is repaired first.
/// Such a node may count as a voter before it hears that it is a member.
async fn repaired(patient: &Patient<'_>) -> Result<(Log, Arc<Store>), Found> {
    let Patient { config, layout, identity, .. } = *patient;
    let damage = match parts(config, layout, identity).await {
        Err(Found::Damage(damage)) if identity.joined || !identity.peers.is_empty() => damage,
        Ok(whole) => {
            mend::forget_go_on(layout).map_err(|error| Found::Failure(error.into()))?;
            return Ok(whole);
        }
        Err(found) => return Err(found),
    };
    match patient.mend(&damage).await {
        Ok(()) => {}
        Err(Unmended::GiveUp) => return Err(Found::Damage(damage)),
        Err(Unmended::Failed(error)) => return Err(Found::Failure(error)),
    }
    // What was repaired and is damaged again must not be set aside: it may be the last whole copy.
    parts(config, layout, identity).await.map_err(|found| match found {
        Found::Damage(damage) => Found::Failure(damage.into()),
        failure => failure,
    })
}

/// Sets damaged files aside if there are nodes to rebuild from; otherwise refuses to start.
fn rebuild(layout: &Layout, damage: Damage, join: &[String]) -> Result<Option<IdentityV1>, StartError> {
    tracing::error!(files = ?damage.files, reason = damage.reason, "damaged");
    #[cfg(feature = "sim")]
    crate::sim::World::found_damage(&damage.reason);
    if join.is_empty() {
        return Err(damage.into());
    }
    let moved = set_aside(layout)?;
    tracing::warn!(?moved, "moved the damaged files aside; this node joins again under a new id");
    Ok(None)
}

/// How peers recognize the node of this directory. Its key is made when it is first needed.
fn secure(config: &Config, layout: &Layout) -> Result<Arc<Secure>, StartError> {
    let key = match layout.read_identity_key()? {
        Some(key) => key,
        None => layout.make_identity_key()?,
    };
    Ok(Arc::new(Secure::new(&config.security, key)?.telling(config.told_without_tls.clone())))
}

/// Reads the identity. Files without an identity are damage too, because they belonged to a node; and so is a
/// member without its key, whom nobody would recognize. A node that is alone may take a new key.
fn read_identity(layout: &Layout) -> Result<Option<IdentityV1>, Damage> {
    let damaged = |reason: String| Damage { files: vec![layout.identity()], reason };
    let keyless = |reason: &str| Damage { files: vec![layout.identity_key()], reason: reason.to_owned() };
    let has_key = match layout.read_identity_key() {
        Ok(key) => key.is_some(),
        Err(error) => return Err(keyless(&error.to_string())),
    };
    match layout.read_identity() {
        Ok(Some(identity)) if !has_key && !identity.peers.is_empty() => {
            Err(keyless("the identity key of a member is missing"))
        }
        Ok(None) if [layout.log(), layout.store()].iter().any(|path| fs::exists(path).unwrap_or(true)) => {
            Err(damaged("the identity file is missing, but there is data".to_owned()))
        }
        Ok(identity) => Ok(identity),
        Err(error) => Err(damaged(error.to_string())),
    }
}

/// Why the log and the store cannot be used: damage, or an error that says nothing about the data.
enum Found {
    Damage(Damage),
    Failure(StartError),
}

async fn parts(config: &Config, layout: &Layout, identity: &IdentityV1) -> Result<(Log, Arc<Store>), Found> {
    let damage = |file, reason: String| Found::Damage(Damage { files: vec![file], reason });
    let mut log = Log::open(&layout.log(), config).map_err(|error| {
        if is_damage(&error) { damage(layout.log(), error.to_string()) } else { Found::Failure(error.into()) }
    })?;
    if identity.joined && log.is_pristine() {
        let why = match disk_budget::older_folders(&layout.root) {
            0 => "",
            _ => ": an earlier one was set aside, because it was older than what this node acknowledged",
        };
        return Err(damage(layout.log(), format!("the log of a member is empty{why}")));
    }
    let store =
        Store::open(&layout.store(), config.store_cache_bytes, config.verify_store).map_err(|e| match e {
            StoreError::Corrupt(reason) => damage(layout.store(), reason),
            other => Found::Failure(other.into()),
        })?;
    let applied = store.state().applied;
    let purged = log.purged();
    if applied < purged {
        let reason = format!("the store has applied {applied:?}, but the log begins after {purged:?}");
        return Err(damage(layout.store(), reason));
    }
    if let Some(at) = applied.filter(|_| applied > log.last().max(purged)) {
        // The log on disk always has an entry before the store has it, so this log has lost entries. There is
        // one exception: a snapshot is put in place before the log records it, and a node may die between the
        // two.
        if !store.is_as_installed() {
            let reason = format!("the store has applied {applied:?}, but the log ends at {:?}", log.last());
            return Err(damage(layout.log(), reason));
        }
        log.go_on_after(at).await.map_err(|error| Found::Failure(error.into()))?;
    }
    if store.is_as_installed() {
        store.settle().map_err(|error| Found::Failure(error.into()))?;
    }
    agree_on_vote(&mut log).await.map_err(|error| Found::Failure(error.into()))?;
    Ok((log, Arc::new(store)))
}

/// Makes all copies of the vote the highest one of them. A lower one is from before a crash between two
/// writes, or has damage.
async fn agree_on_vote(log: &mut Log) -> io::Result<()> {
    // Twice, because each write takes one of the two files.
    for _ in 0..2 {
        let logged = log.read_vote().await?.as_ref().map(StoredVote::from);
        let kept = log.kept_vote()?;
        let Some(vote) = logged.max(kept.highest) else { return Ok(()) };
        if logged == Some(vote) && kept.highest == Some(vote) && kept.is_sure {
            return Ok(());
        }
        if kept.highest.is_some() && !kept.is_sure {
            tracing::warn!("a copy of this node's vote is damaged, and is written again");
        }
        log.save_vote(&vote.into()).await?;
        log.sync().await?;
    }
    Ok(())
}
