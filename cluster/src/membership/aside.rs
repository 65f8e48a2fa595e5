//! A node whose disk is slow does not lead.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::lead::Lead;
use crate::contact::LeaderContact;
use crate::engine::Engine;
use crate::slow_disk::{DiskSpeed, SlowDisk};

/// How often to look at the disk.
const LOOK: Duration = Duration::from_millis(200);
/// Longest that one attempt to give the lead away may take.
const ATTEMPT: Duration = Duration::from_secs(1);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// After so long without a leader a node stands for election although its disk was slow.
const LEADERLESS: Duration = Duration::from_secs(5);

/// Gives the lead away while this node's disk is slow, and keeps the node from taking it back. A leader whose
/// disk is slow still commits entries, because a majority of the other nodes is enough. But what it has not
/// on disk piles up in its memory, and it needs its own disk as soon as one of the others is lost.
pub(crate) struct StandAside {
    engine: Arc<Engine>,
    disk: Arc<SlowDisk>,
    lead: Arc<Lead>,
    contact: Arc<LeaderContact>,
    /// When this node last led or heard from a leader, and when it last tried to give the lead away.
    led: Instant,
    tried: Option<Instant>,
}

impl StandAside {
    pub(crate) fn new(
        engine: Arc<Engine>,
        disk: Arc<SlowDisk>,
        lead: Arc<Lead>,
        contact: Arc<LeaderContact>,
    ) -> Self {
        Self { engine, disk, lead, contact, led: Instant::now(), tried: None }
    }

    /// Watches the disk as long as the node runs.
    pub(crate) async fn run(mut self) {
        loop {
            sleep(LOOK).await;
            let speed = self.disk.look(self.engine.committed());
            // A leader that has died is known until there is another.
            if self.engine.leads() || self.contact.present().is_some() {
                self.led = Instant::now();
            }
            self.engine.stand_aside(stands_aside(speed, self.led.elapsed()));
            let may_try = self.tried.is_none_or(|at| at.elapsed() >= PAUSE);
            if speed == DiskSpeed::Slow && may_try && self.engine.leads() && !self.engine.is_stopping() {
                self.give_lead_away().await;
                self.tried = Some(Instant::now());
            }
        }
    }

    async fn give_lead_away(&self) {
        let behind_ms = u64::try_from(self.disk.times().oldest.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(
            behind_ms,
            "this leader's disk is slow, and those of a majority are not: another node shall lead"
        );
        if !self.lead.hand_over(ATTEMPT).await {
            tracing::warn!("no other node has taken the lead");
        }
    }
}

/// Whether a node with such a disk leaves elections to the others. While a write is late, its own vote would
/// be late as well.
fn stands_aside(speed: DiskSpeed, leaderless: Duration) -> bool {
    match speed {
        DiskSpeed::Usual => false,
        DiskSpeed::Late | DiskSpeed::Slow => true,
        DiskSpeed::WasSlow => leaderless < LEADERLESS,
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    #[test]
    fn a_node_stands_aside_until_it_is_needed() {
        let stands = |speed, seconds| stands_aside(speed, Duration::from_secs(seconds));
        assert!(!stands(DiskSpeed::Usual, 0));
        assert!(stands(DiskSpeed::Slow, 60), "it could not vote for itself");
        assert!(stands(DiskSpeed::WasSlow, 1));
        assert!(!stands(DiskSpeed::WasSlow, 6), "better a slow leader than none");
    }
}
