//! The answers to publishes: the events as they were published, or their ids alone for a caller that prefers
//! that (`Prefer: return=minimal`, RFC 7240).

use crate::core::command::Published;
use crate::core::event::{Event, MapText, NewEvent};
use crate::core::ids::{EventId, MapId};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse};

/// Bytes of an event in an answer beside its payload, about.
const ENVELOPE: usize = 200;
/// The same for an id alone.
const ID: usize = 36;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    /// A list of events was published, and the answer has a list too.
    pub(super) is_batch: bool,
    /// The answer has the ids of the events and nothing else of them.
    pub(super) ids_alone: bool,
}

impl Form {
    /// The form that the caller prefers.
    pub(super) fn of(request: &HttpRequest, is_batch: bool) -> Self {
        Self { is_batch, ids_alone: prefers_minimal(request) }
    }

    /// The answer after events were stored. For an answer of ids alone, `events` may be empty.
    pub(super) fn stored(self, map: MapId, events: Vec<NewEvent>, published: Published) -> HttpResponse {
        let body = if self.ids_alone {
            self.ids((0..published.count).map(|place| published.id(place)))
        } else {
            let bytes: usize = events.iter().map(|event| event.payload.len() + ENVELOPE).sum();
            let placed = (0..).zip(events).map(|(place, event)| {
                let seq = published.first_seq + u64::from(place);
                event.placed(published.id(place), seq, published.time_ms)
            });
            let map = MapText::from(map);
            self.data(placed, bytes, |event, out| event.write_envelope(&map, false, out))
        };
        self.answer(StatusCode::CREATED, published.replayed, body)
    }

    /// The answer after ephemeral events were passed on.
    pub(super) fn passed_on(self, map: MapId, events: &[Event]) -> HttpResponse {
        let body = if self.ids_alone {
            self.ids(events.iter().map(|event| event.id))
        } else {
            let bytes: usize = events.iter().map(|event| event.payload.len() + ENVELOPE).sum();
            let map = MapText::from(map);
            self.data(events, bytes, |event, out| event.write_envelope(&map, false, out))
        };
        self.answer(StatusCode::ACCEPTED, false, body)
    }

    fn ids(self, ids: impl Iterator<Item = EventId>) -> Vec<u8> {
        let bytes = ID * ids.size_hint().0;
        self.data(ids, bytes, |id, out| {
            out.extend_from_slice(b"{\"id\":\"");
            out.extend_from_slice(id.encode(&mut [0; EventId::TEXT_LEN]).as_bytes());
            out.extend_from_slice(b"\"}");
        })
    }

    /// `{"data":…}` with the items, which take about so many bytes.
    fn data<T>(
        self,
        items: impl IntoIterator<Item = T>,
        bytes: usize,
        write: impl Fn(T, &mut Vec<u8>),
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes + ENVELOPE);
        out.extend_from_slice(if self.is_batch { b"{\"data\":[" } else { b"{\"data\":" });
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            write(item, &mut out);
        }
        out.extend_from_slice(if self.is_batch { b"]}" } else { b"}" });
        out
    }

    fn answer(self, status: StatusCode, is_replayed: bool, body: Vec<u8>) -> HttpResponse {
        let mut answer = HttpResponse::build(status);
        answer.insert_header((CONTENT_TYPE, "application/json"));
        if self.ids_alone {
            answer.insert_header(("preference-applied", "return=minimal"));
        }
        if is_replayed {
            answer.insert_header(("idempotency-replayed", "true"));
        }
        answer.body(body)
    }
}

/// Whether the caller prefers an answer of ids alone. The first preference of a name counts, and those that
/// are unknown here are ignored.
fn prefers_minimal(request: &HttpRequest) -> bool {
    let lines = request.headers().get_all("prefer").filter_map(|line| line.to_str().ok());
    let mut returns = lines.flat_map(|line| line.split(',')).filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("return").then(|| value.trim().trim_matches('"'))
    });
    returns.next().is_some_and(|value| value.eq_ignore_ascii_case("minimal"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn the_first_preference_for_an_answer_counts() {
        for (lines, expected) in [
            (&["return=minimal"][..], true),
            (&[], false),
            (&["Return = \"minimal\"; why=\"so\""], true),
            (&["wait=5, return=minimal"], true),
            (&["respond-async", "return=minimal"], true),
            (&["return=representation"], false),
            (&["return=representation, return=minimal"], false),
            (&["return=minimal, return=representation"], true),
            (&["return"], false),
            (&["return=min"], false),
            (&["wait=minimal"], false),
            (&[""], false),
        ] {
            let add = |request: TestRequest, line: &&str| request.append_header(("prefer", *line));
            let request = lines.iter().fold(TestRequest::default(), add).to_http_request();
            assert_eq!(Form::of(&request, false).ids_alone, expected, "{lines:?}");
        }
    }

    #[test]
    fn an_answer_of_ids_has_one_or_a_list() {
        let ids = || [1, 2].map(|index| EventId::new(1_750_509_296_789, index, 0)).into_iter();
        let [first, second] = [1, 2].map(|index| EventId::new(1_750_509_296_789, index, 0).to_string());
        let form = Form { is_batch: true, ids_alone: true };
        let expected = format!(r#"{{"data":[{{"id":"{first}"}},{{"id":"{second}"}}]}}"#);
        assert_eq!(String::from_utf8(form.ids(ids())).unwrap(), expected);
        let form = Form { is_batch: false, ..form };
        let expected = format!(r#"{{"data":{{"id":"{first}"}}}}"#);
        assert_eq!(String::from_utf8(form.ids(ids().take(1))).unwrap(), expected);
    }
}
