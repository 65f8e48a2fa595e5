//! How the store keeps an event. A plain event has one form. An event with a text, with a sender, from an
//! ingest source or of a trace has another, so that a plain event has no byte for them.

use super::{Event, Extras, Ingested, MAX_KIND_BYTES, NewEvent, Sender, Times};
use crate::core::ids::{EventId, SocketId, SourceId};
use crate::core::subject::Subject;
use crate::core::trace::TraceContext;
use bytes::Bytes;
use bytestring::ByteString;

/// The format of a plain event.
const PLAIN: u8 = 3;
/// The format of an event with a text, with a sender, from a source or of a trace, which stand before the
/// payload.
const WITH_EXTRAS: u8 = 4;

const STORED_TIMES: usize = 1 + 16;
/// Format, id, times, length of the subject, length of the type.
const STORED_HEAD: usize = STORED_TIMES + 3 * 8 + 1 + 2;

/// There is a text.
const HAS_TEXT: u8 = 1;
/// There is a sender.
const HAS_SENDER: u8 = 2;
/// The sender has a user.
const HAS_USER: u8 = 4;
/// The event came in through an ingest source.
const HAS_SOURCE: u8 = 8;
/// The source's schema was met.
const IS_VALIDATED: u8 = 16;
/// The sender stated the event's time.
const HAS_TIME: u8 = 32;
/// The event belongs to a trace.
const HAS_TRACE: u8 = 64;

impl Event {
    /// Encodes an event like [`Event::to_stored_at`], with all clocks at the id's milliseconds.
    pub fn to_stored(id: EventId, event: &NewEvent) -> Vec<u8> {
        Self::to_stored_at(id, Times::at(id.id_ms()), event)
    }

    /// Encodes an event as it is stored: format, id, times, lengths of subject and type, subject, type, what
    /// it has of text, sender, source and trace, payload. The store's key has the stream and the seq.
    pub fn to_stored_at(id: EventId, times: Times, event: &NewEvent) -> Vec<u8> {
        let form = Self::stored_form(id, times, event);
        let mut bytes = Vec::with_capacity(form.len_bytes());
        form.write(&mut bytes);
        bytes
    }

    /// The form that [`Event::to_stored_at`] encodes, to be written where it stays.
    pub(crate) fn stored_form(id: EventId, times: Times, event: &NewEvent) -> StoredForm<'_> {
        let kind = &event.kind.as_bytes()[..event.kind.floor_char_boundary(MAX_KIND_BYTES)];
        StoredForm { id, times, event, kind, extras: extras_of(event) }
    }

    /// Decodes what [`Event::to_stored_at`] wrote; `None` if it did not write these bytes.
    pub fn from_stored(seq: u64, bytes: Bytes) -> Option<Self> {
        let id = Self::stored_id(&bytes)?;
        let times = Self::stored_times(&bytes)?;
        let (kind_from, kind_to) = stored_parts(&bytes)?;
        let subject = ByteString::try_from(bytes.slice(STORED_HEAD..kind_from)).ok()?;
        let subject = Subject::from_stored(subject)?;
        let kind = ByteString::try_from(bytes.slice(kind_from..kind_to)).ok()?;
        let mut payload = bytes.slice(kind_to..);
        let Extras { text, sender, ingested, trace } =
            if bytes[0] == PLAIN { Extras::default() } else { take_extras(&mut payload)? };
        Some(Self { id, seq, subject, time_ms: times.time_ms, kind, payload, text, sender, ingested, trace })
    }

    /// Reads only the subject of a stored event.
    pub fn stored_subject(bytes: &[u8]) -> Option<&str> {
        Self::stored_id(bytes)?;
        std::str::from_utf8(&bytes[STORED_HEAD..stored_parts(bytes)?.0]).ok()
    }

    /// Reads only the id of a stored event.
    pub fn stored_id(bytes: &[u8]) -> Option<EventId> {
        if !matches!(bytes.first(), Some(&(PLAIN | WITH_EXTRAS))) {
            return None;
        }
        Some(EventId::from_bytes(bytes.get(1..STORED_TIMES)?.try_into().ok()?))
    }

    /// Reads only the times of a stored event.
    pub fn stored_times(bytes: &[u8]) -> Option<Times> {
        let ms = |n: usize| {
            let from = STORED_TIMES + n * 8;
            Some(u64::from_be_bytes(bytes.get(from..from + 8)?.try_into().ok()?))
        };
        Some(Times { time_ms: ms(0)?, peak_ms: ms(1)?, expiry_ms: ms(2)? })
    }
}

/// The form in which an event is stored.
pub(crate) struct StoredForm<'e> {
    id: EventId,
    times: Times,
    event: &'e NewEvent,
    kind: &'e [u8],
    extras: Vec<u8>,
}

impl StoredForm<'_> {
    /// Its bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        let subject = self.event.subject.as_str();
        STORED_HEAD + subject.len() + self.kind.len() + self.extras.len() + self.event.payload.len()
    }

    /// Appends it.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        let Self { id, times, event, kind, extras } = self;
        let subject = event.subject.as_str().as_bytes();
        bytes.push(if extras.is_empty() { PLAIN } else { WITH_EXTRAS });
        bytes.extend_from_slice(&id.to_bytes());
        for ms in [times.time_ms, times.peak_ms, times.expiry_ms] {
            bytes.extend_from_slice(&ms.to_be_bytes());
        }
        // A subject has at most 200 bytes, a type at most 800.
        bytes.push(subject.len() as u8);
        bytes.extend_from_slice(&(kind.len() as u16).to_be_bytes());
        bytes.extend_from_slice(subject);
        bytes.extend_from_slice(kind);
        bytes.extend_from_slice(extras);
        bytes.extend_from_slice(&event.payload);
    }
}

/// Returns where the type of a stored event begins and ends.
fn stored_parts(bytes: &[u8]) -> Option<(usize, usize)> {
    let lengths = bytes.get(STORED_HEAD - 3..STORED_HEAD)?;
    let kind_from = STORED_HEAD + usize::from(lengths[0]);
    let kind_to = kind_from + usize::from(u16::from_be_bytes([lengths[1], lengths[2]]));
    (bytes.len() >= kind_to).then_some((kind_from, kind_to))
}

/// Encodes an event's text, its sender, how it came in and its trace: which of them there are, then each of
/// them. Empty if there are none.
fn extras_of(event: &NewEvent) -> Vec<u8> {
    let mut bytes = Vec::new();
    let user = event.sender.as_ref().and_then(|sender| sender.user.as_ref());
    let has = (u8::from(event.text.is_some()) * HAS_TEXT)
        | (u8::from(event.sender.is_some()) * HAS_SENDER)
        | (u8::from(user.is_some()) * HAS_USER)
        | event.ingested.map_or(0, has_of)
        | (u8::from(event.trace.is_some()) * HAS_TRACE);
    if has == 0 {
        return bytes;
    }
    bytes.push(has);
    if let Some(text) = &event.text {
        push_text(text, &mut bytes);
    }
    if let Some(Sender { socket, .. }) = &event.sender {
        bytes.extend_from_slice(&socket.a.to_be_bytes());
        bytes.extend_from_slice(&socket.b.to_be_bytes());
    }
    if let Some(user) = user {
        push_text(user, &mut bytes);
    }
    if let Some(Ingested { source, time_ms, .. }) = &event.ingested {
        bytes.extend_from_slice(source.as_bytes());
        if let Some(time_ms) = time_ms {
            bytes.extend_from_slice(&time_ms.to_be_bytes());
        }
    }
    if let Some(trace) = event.trace {
        bytes.extend_from_slice(&trace.to_bytes());
    }
    bytes
}

/// What there is of an event from a source.
fn has_of(ingested: Ingested) -> u8 {
    HAS_SOURCE
        | (u8::from(ingested.validated) * IS_VALIDATED)
        | (u8::from(ingested.time_ms.is_some()) * HAS_TIME)
}

fn push_text(text: &str, bytes: &mut Vec<u8>) {
    // A text is a part of a publish, which has far fewer bytes than 32 bits can count.
    bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// Decodes what [`extras_of`] wrote, and leaves what stands behind it.
fn take_extras(bytes: &mut Bytes) -> Option<Extras> {
    let has = take(bytes, 1)?[0];
    let needs = |what: u8, other: u8| has & what != 0 && has & other == 0;
    if has == 0
        || has >= 2 * HAS_TRACE
        || needs(HAS_USER, HAS_SENDER)
        || needs(IS_VALIDATED, HAS_SOURCE)
        || needs(HAS_TIME, HAS_SOURCE)
    {
        return None;
    }
    let text = if has & HAS_TEXT != 0 { Some(take_text(bytes)?) } else { None };
    let sender = if has & HAS_SENDER != 0 {
        let socket = SocketId { a: take_number(bytes)?, b: take_number(bytes)? };
        let user = if has & HAS_USER != 0 { Some(take_text(bytes)?) } else { None };
        Some(Sender { socket, user })
    } else {
        None
    };
    let ingested = if has & HAS_SOURCE != 0 {
        let source = SourceId::from_bytes(take(bytes, 16)?.as_ref().try_into().ok()?);
        let time_ms = if has & HAS_TIME != 0 { Some(take_number(bytes)?) } else { None };
        Some(Ingested { source, validated: has & IS_VALIDATED != 0, time_ms })
    } else {
        None
    };
    let trace = if has & HAS_TRACE != 0 {
        Some(TraceContext::from_bytes(take(bytes, TraceContext::LEN)?.as_ref().try_into().ok()?)?)
    } else {
        None
    };
    Some(Extras { text, sender, ingested, trace })
}

fn take(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (bytes.len() >= length).then(|| bytes.split_to(length))
}

fn take_number(bytes: &mut Bytes) -> Option<u64> {
    Some(u64::from_be_bytes(take(bytes, 8)?.as_ref().try_into().ok()?))
}

fn take_text(bytes: &mut Bytes) -> Option<ByteString> {
    let length = u32::from_be_bytes(take(bytes, 4)?.as_ref().try_into().ok()?);
    ByteString::try_from(take(bytes, length as usize)?).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::tests::new_event;
    use proptest::prelude::*;

    fn plain() -> NewEvent {
        NewEvent::new(Subject::own(), "add_system", *br#"{"name":"J123456"}"#)
    }

    #[test]
    fn a_stored_event_decodes_and_truncated_bytes_do_not() {
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let bytes = Bytes::from(Event::to_stored(id, &plain()));
        let back = Event::from_stored(9, bytes.clone()).unwrap();
        assert_eq!(
            (back.id, back.seq, &*back.kind, &back.payload[..]),
            (id, 9, "add_system", &plain().payload[..])
        );
        let times = Times { time_ms: 5, peak_ms: 6, expiry_ms: 7 };
        let late = Event::to_stored_at(id, times, &plain());
        assert_eq!((Event::stored_times(&late), Event::stored_id(&late)), (Some(times), Some(id)));
        assert_eq!(Event::from_stored(9, late.into()).unwrap().time_ms, 5);
        for cut in 0..STORED_HEAD + "add_system".len() {
            assert_eq!(Event::from_stored(9, bytes.slice(..cut)), None, "{cut}");
        }
    }

    #[test]
    fn a_plain_event_has_no_byte_for_a_text_or_a_sender() {
        let stored = Event::to_stored(EventId::new(1, 7, 3), &plain());
        assert_eq!(stored.len(), STORED_HEAD + "add_system".len() + plain().payload.len());
        assert_eq!(stored[0], PLAIN);
    }

    #[test]
    fn an_event_with_a_text_and_a_sender_keeps_both() {
        let sender = Sender { socket: SocketId { a: 1, b: 2 }, user: Some("u".into()) };
        let new = NewEvent { text: Some(" {}".into()), sender: Some(sender), ..plain() };
        let bytes = Bytes::from(Event::to_stored(EventId::new(1, 7, 3), &new));
        let extras =
            [&[7, 0, 0, 0, 3][..], b" {}", &1u64.to_be_bytes(), &2u64.to_be_bytes(), &[0, 0, 0, 1], b"u"];
        let extras = extras.concat();
        let from = STORED_HEAD + "add_system".len();
        assert_eq!(bytes[0], WITH_EXTRAS);
        assert_eq!(bytes[from..from + extras.len()], extras);
        let back = Event::from_stored(9, bytes.clone()).unwrap();
        assert_eq!((back.text, back.sender, &back.payload[..]), (new.text, new.sender, &new.payload[..]));
        for cut in from..from + extras.len() {
            assert_eq!(Event::from_stored(9, bytes.slice(..cut)), None, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn an_event_survives_the_store(new in new_event()) {
            let id = EventId::new(1_750_509_296_789, 7, 3);
            let stored = Event::to_stored(id, &new);
            prop_assert_eq!(Event::stored_form(id, Times::at(id.id_ms()), &new).len_bytes(), stored.len());
            prop_assert_eq!(Event::stored_subject(&stored), Some(new.subject.as_str()));
            let event = Event::from_stored(9, stored.into());
            prop_assert_eq!(event, Some(new.placed(id, 9, 1_750_509_296_789)));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), format in 3u8..5) {
            if let Some(first) = bytes.first_mut() {
                *first = format;
            }
            let _ = Event::from_stored(9, bytes.into());
        }
    }
}
