//! Detects that the data directory is an older copy of itself.

use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use tokio::time::sleep;

use crate::NodeId;
use crate::engine::Engine;
use crate::fatal::Fatal;
use crate::identity::Layout;
use crate::log::Log;
use crate::net::Lane;
use crate::os::fs;
use crate::votes;
use crate::wire::{Answer, Request};

/// Longest that one request to the leader may take.
const ASK: Duration = Duration::from_secs(5);
/// Pause between attempts to find a leader, and before the second request.
const PAUSE: Duration = Duration::from_secs(1);
/// Number of attempts to find a leader.
const LOOKS: u32 = 30;

/// How the names of folders begin that hold the log of an older copy.
pub(crate) const ASIDE: &str = "damaged-log-";

/// The leader counts more entries as durable here than this node's log has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    term: u64,
    held: u64,
    acknowledged: u64,
}

/// The term that this node leads in, and the highest index that it counts as durable on member `id`; zeros if
/// this node does not lead or does not know.
pub(crate) fn counted_for(engine: &Engine, id: NodeId) -> (u64, u64) {
    let metrics = engine.metrics();
    let counted = metrics.replication.as_ref().and_then(|all| all.get(&id)).and_then(Option::as_ref);
    match counted {
        Some(log_id) if metrics.state == ServerState::Leader => (metrics.current_term, log_id.index),
        _ => (0, 0),
    }
}

/// Compares this node's log, once after each start, with what the leader counts as durable here. If some of
/// it is missing, the node has lost entries that it acknowledged: under its old id it could help to elect a
/// leader that lacks them too. Such a node ends, and joins again under a new id as after damage. If the
/// leader has changed meanwhile, no node remembers what was acknowledged.
pub(crate) struct OlderData {
    engine: Arc<Engine>,
    log: Log,
    layout: Layout,
    fatal: Arc<Fatal>,
}

impl OlderData {
    pub(crate) fn new(engine: Arc<Engine>, log: Log, layout: Layout, fatal: Arc<Fatal>) -> Self {
        Self { engine, log, layout, fatal }
    }

    /// Ends this node if its log lacks entries that it has acknowledged.
    pub(crate) async fn refuse(&self) {
        for _ in 0..LOOKS {
            if self.engine.leader().is_some() {
                break;
            }
            self.engine.leader_change(PAUSE).await;
        }
        let Some(first) = self.lack().await else { return };
        // A new leader may cut the log just before this node shows the new term, so ask twice.
        sleep(PAUSE).await;
        let Some(lack) = self.lack().await.filter(|again| again.term == first.term) else { return };
        if let Err(error) = self.set_log_aside() {
            tracing::error!(%error, "cannot set the log aside: empty this data directory by hand, and join again");
        }
        self.fatal.raise(&format!(
            "this data directory is older than what this node acknowledged: the log ends at {}, {} was acknowledged; \
             at its next start the node sets it aside and joins again under a new id",
            lack.held, lack.acknowledged
        ));
    }

    /// The entries that the leader counts as durable here and that are missing.
    pub(crate) async fn lack(&self) -> Option<Lack> {
        let leader = self.engine.leader().filter(|leader| *leader != self.engine.id())?;
        // On a connection of its own, because an older release would close it.
        let answer = self.engine.ask(leader, Lane::Bulk, &Request::CountedV1, ASK).await;
        let Ok(Answer::CountedV1 { term, index: acknowledged }) = answer else { return None };
        let held = self.log.last().max(self.log.purged()).map_or(0, |id| id.index);
        let metrics = self.engine.metrics();
        let same = metrics.current_term == term && metrics.current_leader == Some(leader);
        (same && held < acknowledged).then_some(Lack { term, held, acknowledged })
    }

    /// Moves the log aside. The next start finds a member without a log, which counts as damage.
    pub(crate) fn set_log_aside(&self) -> std::io::Result<()> {
        let aside = (1..1000)
            .map(|n| self.layout.root.join(format!("{ASIDE}{n}")))
            .find(|dir| !fs::exists(dir).unwrap_or(true))
            .ok_or_else(|| std::io::Error::other("no free name to move the log to"))?;
        // The second copy of the vote is as old. Without both, the next start gives up the id.
        votes::forget(&self.layout)?;
        fs::rename(self.layout.log(), aside)?;
        crate::dir::sync_dir(Some(&self.layout.root))
    }
}
