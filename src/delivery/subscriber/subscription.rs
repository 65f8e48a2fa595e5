//! One subscription of a client: where it stands in its topic, and what it can send now.

use super::SubscriptionId;
use crate::core::channel_rules::Coverage;
use crate::core::ids::{EventId, MapId, SocketId};
use crate::core::ring::{Chunk, Cursor, Lag, Read, Ring, Wanted};
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
    /// The record in which it was counted last that its client was handed frames.
    pub(super) handout: u64,
    pub(super) behind: Behind,
    pub(super) unseen: Unseen,
    /// It sends nothing until it is let go on.
    pub(super) is_held: bool,
    /// It waits for its turn among the subscriptions of its client.
    pub(super) is_waiting: bool,
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
    /// Takes about `max_bytes` that can be sent now. Events that one of the `sockets` sent are left out. Pages
    /// are read by the session's task alone, whose context is `cx`.
    pub(super) fn take(
        &mut self,
        dispatcher: &Dispatcher,
        (sockets, max_bytes): (&[SocketId], usize),
        mut cx: Option<&mut Context<'_>>,
    ) -> Take {
        if self.is_held {
            return Take::Nothing;
        }
        loop {
            let wanted = Wanted { filter: self.audience.filter(), not_from: sockets };
            match &mut self.behind {
                Behind::No => {
                    if self.audience.quiet().pass(&mut self.cursor) {
                        self.handout = self.topic_view.subscribed().newest();
                    }
                    let from_seq = self.cursor.next_seq;
                    let read = self.topic_view.with_ring(|ring| {
                        let (read, events) = ring.read_counted(&mut self.cursor, wanted, max_bytes);
                        (read, events, ring.id_before(self.cursor.next_seq))
                    });
                    match read {
                        Some((Read::Frames(bytes), events, _)) => {
                            self.note_handout(from_seq, dispatcher);
                            return self.hand(bytes, events);
                        }
                        // Ephemeral events have no history from which they could be read.
                        Some((Read::FellOut, ..)) if self.topic_view.topic().is_ephemeral() => {
                            return Take::End(End::FellOut);
                        }
                        Some((Read::FellOut, ..)) if cx.is_none() => return Take::Behind,
                        Some((Read::FellOut, ..)) => {
                            self.behind = Behind::Reading(self.next_page(dispatcher));
                        }
                        Some((Read::UpToDate, _, id)) => return self.up_to_date(id, dispatcher),
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
                Behind::Sending(page) => match page.read_counted(&mut self.cursor, wanted, max_bytes) {
                    (Read::Frames(bytes), events) => return self.hand(bytes, events),
                    (Read::UpToDate | Read::FellOut, _) => {
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

    /// Hands over the frames of so many events.
    fn hand(&self, frames: Bytes, events: u64) -> Take {
        self.topic_view.meter().delivered(events, frames.len());
        Take::Frames(frames)
    }

    /// Notes that its client was handed the events from `from_seq` on, out of the ring.
    fn note_handout(&mut self, from_seq: u64, dispatcher: &Dispatcher) {
        let seqs = from_seq..self.cursor.next_seq;
        let of = self.topic_view.subscribed();
        self.handout = dispatcher.handouts().handed(of, self.handout, &seqs);
    }

    /// It has passed all that the ring has, and nothing of that was for it.
    fn up_to_date(&mut self, id: Option<EventId>, dispatcher: &Dispatcher) -> Take {
        self.handout = self.topic_view.subscribed().newest();
        self.position(id, dispatcher).unwrap_or(Take::Nothing)
    }

    /// Nothing in `quiet` is for it.
    pub(super) fn pass(&mut self, quiet: Quiet) {
        // A page that is being read or sent begins at the cursor.
        if matches!(self.behind, Behind::No) && quiet.pass(&mut self.cursor) {
            // Of the records up to the stretch's end, none is for it.
            self.handout = self.topic_view.subscribed().newest();
        }
    }

    /// What its client was not sent yet.
    pub(super) fn lag(&self, frames: &mut usize) -> Lag {
        let cursor = self.next_wanted();
        let filter = self.audience.filter();
        self.topic_view.with_ring(|ring| ring.lag(cursor, filter, frames)).unwrap_or_default()
    }

    /// Whether its client was not handed the event at `seq` yet, and may be to get it.
    pub(super) fn waits_for(&self, seq: u64) -> bool {
        self.next_wanted().next_seq <= seq
    }

    /// Its cursor, after what it has passed because its audience does not want it.
    fn next_wanted(&self) -> Cursor {
        let mut cursor = self.cursor;
        if matches!(self.behind, Behind::No) {
            self.audience.quiet().pass(&mut cursor);
        }
        cursor
    }

    /// The second at which its client is due to be told the position, if it is to be told. What it has passed
    /// since the last call, it has passed in the second `since`.
    pub(super) fn position_due(&mut self, since: u64) -> Option<u64> {
        if matches!(self.behind, Behind::No) {
            self.pass(self.audience.quiet());
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
