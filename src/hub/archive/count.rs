//! Counts stored events.

use super::{Archive, ArchiveError, Part, ResumeError};
use crate::core::expression::Condition;
use crate::core::filter::Filter;
use crate::core::history::{Position, Start};
use crate::core::topic::TopicKey;
use std::sync::Arc;

/// Most events that one count looks through.
const MAX_COUNTED: u64 = 10_000;

impl Archive {
    /// As [`Archive::resume`], and how many stored events the reader gets before live ones; `None` if the filter
    /// makes the count unknown.
    pub async fn resume_counted(
        &self,
        topic: &TopicKey,
        start: Start,
        filter: &Filter,
        condition: Option<&Arc<Condition>>,
    ) -> Result<(Position, Option<u64>), ResumeError> {
        self.catch_up(start).await?;
        let all = filter == &Filter::All && condition.is_none();
        let found = self.look_for(topic.into(), start, move |history| {
            let position = history.locate(start)?;
            let (from_seq, head_seq) = (position.next_seq, position.head_seq);
            let count = if all || from_seq > head_seq { history.count(from_seq, head_seq)? } else { None };
            Ok((position, count))
        });
        let (position, mut count) = found.await?;
        if count.is_none() {
            let range = (position.next_seq, position.head_seq);
            count = self.count_read(topic.into(), range, filter, condition).await?;
        }
        Ok((position, count))
    }

    /// Counts the events of `from_seq..=head_seq` immediately, as [`Archive::read_now`] does; `None` if they
    /// would have to be read.
    pub fn count_now(
        &self,
        part: impl Into<Part>,
        from_seq: u64,
        head_seq: u64,
    ) -> Result<Option<u64>, ArchiveError> {
        self.history(&part.into(), |history| history.count(from_seq, head_seq))
    }

    /// Counts the wanted events of `from_seq..=head_seq`; `None` if too many would have to be read.
    pub async fn count(
        &self,
        part: impl Into<Part>,
        from_seq: u64,
        head_seq: u64,
        filter: &Filter,
        condition: Option<&Arc<Condition>>,
    ) -> Result<Option<u64>, ArchiveError> {
        let part = part.into();
        if filter == &Filter::All && condition.is_none() {
            let of = part.clone();
            let counted = self.blocking(move |archive| archive.count_now(of, from_seq, head_seq));
            if let Some(count) = counted.await? {
                return Ok(Some(count));
            }
        }
        self.count_read(part, (from_seq, head_seq), filter, condition).await
    }

    /// Counts by reading; the last seq is included.
    async fn count_read(
        &self,
        part: Part,
        (mut from_seq, head_seq): (u64, u64),
        filter: &Filter,
        condition: Option<&Arc<Condition>>,
    ) -> Result<Option<u64>, ArchiveError> {
        if head_seq.saturating_sub(from_seq) >= MAX_COUNTED {
            return Ok(None);
        }
        let mut count = 0;
        while from_seq <= head_seq {
            let page = self.read(part.clone(), from_seq, 1024, 1 << 20, condition.cloned()).await?;
            let in_range = page.wanted(filter).take_while(|(event, _)| event.seq <= head_seq);
            count += in_range.filter(|(_, wanted)| *wanted).count() as u64;
            from_seq = page.next_seq;
        }
        Ok(Some(count))
    }
}
