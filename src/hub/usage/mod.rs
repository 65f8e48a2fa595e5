//! The usage of maps: what this node counts of it, and what the cluster has stored.
//!
//! Events are counted when they are applied. What only one node knows (deliveries and attempts) it counts in
//! memory, and reports to the cluster once a minute, in one command, if there is something to report. What it
//! counted after its last report is lost if the process is killed.

mod meters;

pub use meters::Meter;

use super::archive::{Archive, ArchiveError};
use super::error::HubError;
use super::log::Log;
use crate::core::command::Command;
use crate::core::ids::{NodeId, TopicId};
use crate::core::state::{StateError, usage_of};
use crate::core::usage::{Delivered, MOST_STREAMS, Period, PeriodKind, UsageReport};
use meters::Meters;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use waypost_cluster::Cluster;

/// Pause between two reports.
const PAUSE: Duration = Duration::from_secs(60);

/// Counts the usage of maps on this node, and reads what is stored of it; cheap to clone.
#[derive(Clone)]
pub struct Usage(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    log: Log,
    archive: Archive,
    meters: Mutex<Meters>,
    reports: tokio::sync::Mutex<Reports>,
}

/// The reports of this run of the process.
struct Reports {
    /// The random number of this run.
    run: u64,
    /// The number of the last report.
    number: u64,
    /// Reports without an answer. They may have been counted, so each is sent again as it was, before any
    /// other.
    unanswered: VecDeque<UsageReport>,
}

impl Reports {
    /// Makes reports of what was counted.
    fn add(&mut self, node: NodeId, counted: &[(TopicId, Delivered)]) {
        for streams in counted.chunks(MOST_STREAMS) {
            self.number += 1;
            let (run, number, streams) = (self.run, self.number, streams.to_vec());
            self.unanswered.push_back(UsageReport { node, run, number, streams });
        }
    }
}

impl Usage {
    pub(super) fn new(cluster: &Cluster, log: &Log, archive: &Archive) -> Self {
        let run = getrandom::u64().unwrap_or_else(|_| crate::clock::now_ms());
        let reports = Reports { run, number: 0, unanswered: VecDeque::new() };
        Self(Arc::new(Inner {
            cluster: cluster.clone(),
            log: log.clone(),
            archive: archive.clone(),
            meters: Mutex::default(),
            reports: tokio::sync::Mutex::new(reports),
        }))
    }

    /// A meter for a map. The caller keeps it on one thread, which alone adds to it.
    pub fn meter(&self, stream: TopicId) -> Arc<Meter> {
        self.0.meters.lock().unwrap_or_else(PoisonError::into_inner).add(stream)
    }

    /// The periods of a map's usage as they are stored, oldest first, up to the present one.
    ///
    /// # Errors
    /// If the store can't be read.
    pub fn periods(&self, stream: TopicId, kind: PeriodKind) -> Result<Vec<Period>, ArchiveError> {
        let now_ms = self.0.cluster.time_ms();
        self.0.archive.look(|store| usage_of(store, stream, kind, now_ms).map_err(unreadable))
    }

    /// Reports what this node has counted, and waits for it at most so long. What is not reported by then is
    /// reported later, if the process goes on.
    pub async fn report_within(&self, limit: Duration) {
        if !matches!(timeout(limit, self.report()).await, Ok(Ok(()))) {
            tracing::warn!("the usage of maps that this node has counted is not reported to the cluster yet");
        }
    }

    /// Reports once a minute, as long as the node runs.
    pub(super) async fn run(self) {
        loop {
            sleep(PAUSE).await;
            if let Err(error) = self.report().await {
                tracing::debug!(%error, "the usage of maps can't be reported to the cluster yet");
            }
        }
    }

    async fn report(&self) -> Result<(), HubError> {
        let mut reports = self.0.reports.lock().await;
        self.propose(&mut reports).await?;
        let counted = self.0.meters.lock().unwrap_or_else(PoisonError::into_inner).take();
        reports.add(self.0.cluster.node_id(), &counted);
        self.propose(&mut reports).await
    }

    /// Proposes the reports that have no answer, in their order.
    async fn propose(&self, reports: &mut Reports) -> Result<(), HubError> {
        while let Some(report) = reports.unanswered.front() {
            match self.0.log.propose(&Command::Usage(report.clone())).await {
                Ok(_) => {}
                // It would be refused again.
                Err(HubError::Refused(refusal)) => {
                    tracing::error!(?refusal, "a report of the usage of maps was refused");
                }
                Err(error) => return Err(error),
            }
            reports.unanswered.pop_front();
        }
        Ok(())
    }
}

fn unreadable(error: StateError) -> ArchiveError {
    match error {
        StateError::Store(error) => ArchiveError::of_store(error),
        StateError::Record(error) => ArchiveError::Damaged(error.to_string()),
    }
}
