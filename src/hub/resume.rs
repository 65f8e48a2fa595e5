//! Where a reader starts, on whatever node it asks: a node that is behind catches up before it answers.

use super::archive::Part;
use super::{ArchiveError, Hub, HubError};
use crate::core::expression::Condition;
use crate::core::filter::Filter;
use crate::core::history::{Position, Start};
use crate::core::ids::LogPosition;
use crate::core::topic::TopicKey;
use std::sync::Arc;

/// Why a reader can't start.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// The reader has seen more than this node, and no leader can be asked.
    #[error("this node is behind what you have seen: {0}")]
    Behind(#[from] HubError),
    /// The store can't be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Hub {
    /// Finds where a reader starts.
    ///
    /// An id names its place in the log of its group. One that lies beyond what is applied here was seen on another node,
    /// so this node catches up first; if it isn't there even then, it belongs to another topic or history.
    pub async fn locate(&self, part: impl Into<Part>, start: Start) -> Result<Position, ResumeError> {
        let part = part.into();
        let Start::After(id) = start else { return Ok(self.archive().locate(part, start).await?) };
        if self.is_ahead(id.log_position()) {
            self.barrier().await?;
        }
        Ok(self.archive().locate(part, start).await?)
    }

    /// Whether a position lies beyond what is applied here. Compared with what its own group has applied; a position of
    /// a group that is not here is none that could be waited for.
    fn is_ahead(&self, position: LogPosition) -> bool {
        self.0.cluster.applied_in(position.group).is_some_and(|applied| position.index > applied)
    }
}

impl Hub {
    /// How many stored events a reader gets before live ones; `None` where a filter leaves it open.
    pub async fn count_coming(
        &self,
        topic: &TopicKey,
        position: &Position,
        filter: &Filter,
        condition: Option<&Arc<Condition>>,
    ) -> Result<Option<u64>, ArchiveError> {
        if position.next_seq > position.head_seq {
            return Ok(Some(0));
        }
        self.archive().count(topic, position.next_seq, position.head_seq, filter, condition).await
    }
}
