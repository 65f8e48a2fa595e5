//! One subscription of a client: where it stands in its topic, and what it can send now.

use super::SubscriptionId;
use crate::core::channel_rules::Coverage;
use crate::core::ids::{EventId, MapId, SocketId};
use crate::core::ring::{Chunk, Cursor, Read, Ring, Wanted};
use crate::delivery::audience::{Audience, Quiet};
use crate::delivery::close::End;
use crate::delivery::dispatcher::Dispatcher;
use crate::delivery::position::Unseen;
use crate::delivery::topic_view::TopicView;
use crate::hub::{ArchiveError, Page};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Events of one page from the archive.
const PAGE_EVENTS: usize = 64;
/// About how many bytes of stored events one page has. A single event may be larger.
const PAGE_BYTES: usize = 16 * 1024;

/// A subscription. If its subjects have both stored and ephemeral events, there is one for each kind, and
/// both have the same id.
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) map: MapId,
    pub(super) coverage: Coverage,
    pub(super) topic_view: Rc<TopicView>,
    /// The readers of the topic view that want the same types of events.
    pub(super) audience: Rc<Audience>,
    /// Its slot in the audience.
    pub(super) slot: usize,
    /// The seq at which it began.
    pub(super) first_seq: u64,
    /// The client knows that events up to this seq are gone, or they lie before the position that it asked
    /// for.
    pub(super) gone_seq: u64,
    /// Where it reads next. It may lag behind by events that are not for its audience.
    pub(super) cursor: Cursor,
    pub(super) behind: Behind,
    pub(super) unseen: Unseen,
    /// It sends nothing until it is let go on.
    pub(super) is_held: bool,
    /// Counts against the map's limits as long as the subscription lives.
    pub(super) _held: Option<Rc<dyn Any>>,
}

/// Whether a subscription is behind the ring, and where its events come from then.
pub(super) enum Behind {
    /// It is not behind.
    No,
    /// A page is being read.
    Reading(LocalBoxFuture<'static, Result<Page, ArchiveError>>),
    /// A page is being sent.
    Sending(Box<Ring>),
}

/// What a subscription can send now.
pub(super) enum Take {
    Frames(Bytes),
    Nothing,
    Reading,
    /// It is behind the ring. The session's task has to read a page.
    Behind,
    End(End),
}

impl Subscription {
    /// Takes about `max_bytes` that can be sent now. Events that `socket` sent are left out. Pages are read
    /// by the session's task alone, whose context is `cx`.
    pub(super) fn take(
        &mut self,
        dispatcher: &Dispatcher,
        (socket, max_bytes): (Option<SocketId>, usize),
        mut cx: Option<&mut Context<'_>>,
    ) -> Take {
        if self.is_held {
            return Take::Nothing;
        }
        loop {
            let wanted = Wanted { filter: self.audience.filter(), not_from: socket };
            match &mut self.behind {
                Behind::No => {
                    self.audience.quiet().pass(&mut self.cursor);
                    let read = self.topic_view.with_ring(|ring| {
                        let read = ring.read(&mut self.cursor, wanted, max_bytes);
                        (read, ring.id_before(self.cursor.next_seq))
                    });
                    match read {
                        Some((Read::Frames(bytes), _)) => return Take::Frames(bytes),
                        // Ephemeral events have no history from which they could be read.
                        Some((Read::FellOut, _)) if self.topic_view.topic().is_ephemeral() => {
                            return Take::End(End::FellOut);
                        }
                        Some((Read::FellOut, _)) if cx.is_none() => return Take::Behind,
                        Some((Read::FellOut, _)) => self.behind = Behind::Reading(self.next_page(dispatcher)),
                        Some((Read::UpToDate, id)) => {
                            return self.position(id, dispatcher).unwrap_or(Take::Nothing);
                        }
                        None => return Take::Nothing,
                    }
                }
                Behind::Reading(page) => {
                    let Some(cx) = cx.as_deref_mut() else { return Take::Reading };
                    let Poll::Ready(page) = page.as_mut().poll(cx) else { return Take::Reading };
                    let readable = page.map_err(|error| self.unreadable(&error));
                    match readable.and_then(|page| self.turn_over(&page, dispatcher)) {
                        Ok(behind) => self.behind = behind,
                        Err(end) => return Take::End(end),
                    }
                }
                Behind::Sending(page) => match page.read(&mut self.cursor, wanted, max_bytes) {
                    Read::Frames(bytes) => return Take::Frames(bytes),
                    Read::UpToDate | Read::FellOut => {
                        let id = page.id_before(self.cursor.next_seq);
                        self.behind = Behind::No;
                        if let Some(position) = self.position(id, dispatcher) {
                            return position;
                        }
                    }
                },
            }
        }
    }

    /// Nothing in `quiet` is for it.
    pub(super) fn pass(&mut self, quiet: Quiet) {
        // A page that is being read or sent begins at the cursor.
        if matches!(self.behind, Behind::No) {
            quiet.pass(&mut self.cursor);
        }
    }

    /// The second at which its client is due to be told the position, if it is to be told. What it has passed
    /// since the last call, it has passed in the second `since`.
    pub(super) fn position_due(&mut self, since: u64) -> Option<u64> {
        if matches!(self.behind, Behind::No) {
            self.audience.quiet().pass(&mut self.cursor);
            self.unseen.begin(&self.cursor, since);
        }
        self.unseen.due()
    }

    /// All events at hand were read, the last one being `id` if it is known. Returns a frame with the
    /// position if one is due.
    fn position(&mut self, id: Option<EventId>, dispatcher: &Dispatcher) -> Option<Take> {
        let (id, seq) = self.unseen.pass(&mut self.cursor, id, dispatcher.now())?;
        let mut frame = Vec::new();
        self.topic_view.view().form().encode_position(id, seq, &mut frame);
        Some(Take::Frames(frame.into()))
    }

    fn next_page(&self, dispatcher: &Dispatcher) -> LocalBoxFuture<'static, Result<Page, ArchiveError>> {
        let archive = dispatcher.hub().archive().clone();
        let topic = self.topic_view.topic().clone();
        let from = self.cursor.next_seq;
        let condition = self.topic_view.view().condition().cloned();
        Box::pin(async move { archive.read(topic, from, PAGE_EVENTS, PAGE_BYTES, condition).await })
    }

    fn unreadable(&self, error: &ArchiveError) -> End {
        let topic = self.topic_view.topic();
        tracing::error!(%topic, %error, "a page for a client can't be read");
        End::Failed
    }

    /// Continues with a page that was read: sends its events, or reads the next page if none of them matches.
    fn turn_over(&mut self, page: &Page, dispatcher: &Dispatcher) -> Result<Behind, End> {
        if page.gone_seq.is_some_and(|gone_seq| gone_seq > self.gone_seq) {
            return Err(End::Gap);
        }
        let first_seq = self.cursor.next_seq;
        if page.next_seq <= first_seq {
            // The ring starts behind the events that the store has shown. Only a store that went back could
            // cause that.
            return Err(End::Failed);
        }
        let Some(span) = page.span(first_seq) else {
            self.cursor.next_seq = page.next_seq;
            let in_ring = self.topic_view.with_ring(|ring| self.cursor.next_seq >= ring.first_seq());
            return Ok(if in_ring == Some(true) {
                Behind::No
            } else {
                Behind::Reading(self.next_page(dispatcher))
            });
        };
        let chunk =
            Chunk::encode(span, &page.events, self.topic_view.view().form(), page.verdicts.as_deref());
        let mut ring = Ring::new(first_seq, usize::MAX, usize::MAX);
        ring.push(Arc::new(chunk));
        Ok(Behind::Sending(Box::new(ring)))
    }
}
