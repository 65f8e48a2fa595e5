//! Backfill: stored events, oldest first, a page at a time.

use crate::core::access::Scopes;
use crate::core::error_code::Code;
use crate::core::event::{MapText, push_json_string};
use crate::core::expression::Condition;
use crate::core::ids::EventId;
use crate::core::topic::TopicKey;
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::edge::start::OF_PAGE;
use crate::edge::subscribe::{Wanted, limited};
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use std::sync::Arc;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;
/// An answer stops growing at this size, whatever the limit of the request.
const MAX_ANSWER_BYTES: usize = 4 << 20;
/// Pages of the archive that are searched for one answer to a narrow filter. The cursor goes on from there.
const MAX_READS: usize = 20;
const PAGE_EVENTS: usize = 1000;
const PAGE_BYTES: usize = 1 << 20;

pub(super) const NAMES: &[&str] = &["since", "after", "limit", "subjects", "events", "filter"];

pub(super) async fn backfill(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.grant_limited(&request, bearer(&request), &map, Scopes::SUBSCRIBE).await?;
    edge.charge(&grant).await?;
    let query = Query::of(&request, NAMES)?;
    let limit = query.number("limit", Code::InvalidLimit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let Wanted { subjects, filter, expression, start } = Wanted::read(&OF_PAGE, |name| query.given(name))?;
    let expression = limited(&grant.who, &subjects, expression)?;
    let condition = expression.map(|expression| Arc::new(Condition::new(expression, grant.map.id)));
    let topic = TopicKey::new(grant.map.topic, subjects);
    let position = edge.hub.archive().resume(&topic, start).await?;
    let map = MapText::from(grant.map.id);
    let mut page = Page { limit, next_seq: position.next_seq, cursor: None, count: 0, data: Vec::new() };
    let mut gap = position.gap;
    let mut reads = 0;
    while page.has_room() && page.next_seq <= position.head_seq && reads < MAX_READS {
        let archive = edge.hub.archive();
        let read = archive.read(&topic, page.next_seq, PAGE_EVENTS, PAGE_BYTES, condition.clone()).await?;
        if read.gone_seq.is_some_and(|gone_seq| gone_seq > position.gone_seq) {
            if page.count > 0 {
                // The next events were removed meanwhile. The next page begins there and reports the gap.
                break;
            }
            gap = Some(read.events.first().map(|first| first.id));
        }
        reads += 1;
        let mut is_full = false;
        for (event, wanted) in read.wanted(&filter) {
            is_full = !page.has_room();
            if is_full {
                break;
            }
            page.next_seq = event.seq + 1;
            page.cursor = Some(event.id);
            if wanted {
                page.push(|out| event.write_traced_envelope(&map, out));
            }
        }
        if !is_full {
            page.next_seq = read.next_seq;
            page.cursor = read.passed_id.or(page.cursor);
        }
    }
    if gap.is_some() {
        metrics::counter!(crate::metric::MISSED, "reason" => "history").increment(1);
    }
    let has_more = page.next_seq <= position.head_seq;
    Ok(page.answer(has_more, gap))
}

/// An answer that is being built.
struct Page {
    limit: u64,
    next_seq: u64,
    /// The last event that was examined. The next page begins after it.
    cursor: Option<EventId>,
    count: u64,
    data: Vec<u8>,
}

impl Page {
    fn has_room(&self) -> bool {
        self.count < self.limit && self.data.len() < MAX_ANSWER_BYTES
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.count > 0 {
            self.data.push(b',');
        }
        write(&mut self.data);
        self.count += 1;
    }

    fn answer(self, has_more: bool, gap: Option<Option<EventId>>) -> HttpResponse {
        let id = |id: Option<EventId>, out: &mut Vec<u8>| match id {
            Some(id) => push_json_string(&id.to_string(), out),
            None => out.extend_from_slice(b"null"),
        };
        let mut body = Vec::with_capacity(self.data.len() + 128);
        body.extend_from_slice(b"{\"data\":[");
        body.extend_from_slice(&self.data);
        body.extend_from_slice(b"],\"cursor\":");
        id(self.cursor, &mut body);
        body.extend_from_slice(if has_more { b",\"has_more\":true" } else { b",\"has_more\":false" });
        if let Some(oldest) = gap {
            body.extend_from_slice(b",\"gap\":true,\"oldest_id\":");
            id(oldest, &mut body);
        }
        body.push(b'}');
        HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body)
    }
}
