//! Looks for lines of the audit log on this node, for whichever node asks: in the log's file and the rotated
//! ones, or in memory where there is no file that can be read.
//!
//! A line is named by its time, its node, and its place among the lines of that time there. So pages go on
//! where they ended, whatever is written meanwhile.

use super::files::{Span, time_of};
use super::log::AuditLog;
use super::words::{self, Nouns};
use crate::core::ids::{MapId, NodeId};
use crate::edge::context::Edge;
use crate::hub::{Lane, PeerRequest};
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// Most lines of one answer.
pub const MOST_LINES: u32 = 501;
/// A longer line is none of the log's own, and is passed over. With it, an answer has less than a mebibyte.
pub(super) const MOST_LINE_BYTES: usize = 2000;
/// Threads that may read the log at once.
const READERS: usize = 2;

/// The place of a line in the logs of all nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Its time (Unix milliseconds).
    pub time_ms: u64,
    /// The node that wrote it.
    pub node: NodeId,
    /// How many lines of that time the node had written before it.
    pub ordinal: u32,
}

/// Asks a node for lines of its audit log, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskAudit {
    /// Only lines before this place.
    pub before: Option<Place>,
    /// Most lines; more than [`MOST_LINES`] are never told.
    pub limit: u32,
    /// Only lines of this time or later (Unix milliseconds).
    pub since_ms: Option<u64>,
    /// Only lines before this time (Unix milliseconds).
    pub until_ms: Option<u64>,
    /// Only lines about this map.
    pub map: Option<MapId>,
    /// Only lines of this caller: `admin`, `token`, `portal`, `unknown`, or the id or the name of a token.
    pub who: Option<String>,
    /// Only lines whose method and route, or whose action in words, have this text in them, as in `delete`,
    /// `post /api/maps` or `create webhook`.
    pub action: Option<String>,
    /// Only lines with this result.
    pub result: Option<String>,
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLine {
    /// Its place.
    pub place: Place,
    /// Its JSON.
    pub line: String,
}

impl PeerRequest for AskAudit {
    /// `None` if the node's log can't be read.
    type Answer = Option<Vec<FoundLine>>;
    const KIND: u16 = 130;
    const LANE: Lane = Lane::patient(2, 14);
}

/// Answers the other nodes, and this one. `nouns` say what routes are of.
pub(in crate::edge) fn serve(edge: &Data<Edge>, nouns: Nouns) {
    let log = edge.audit.clone();
    let node = edge.hub.node_id();
    let readers = Arc::new(Semaphore::new(READERS));
    edge.hub.peers().serve(move |_, ask: AskAudit| read((log.clone(), node, nouns), ask, readers.clone()));
}

/// Reads on a thread that may wait for a disk. The thread itself holds its place until it is done: however
/// many give up waiting for a disk that hangs, no more than [`READERS`] threads hang with it.
async fn read(
    (log, node, nouns): (Arc<AuditLog>, NodeId, Nouns),
    ask: AskAudit,
    readers: Arc<Semaphore>,
) -> Option<Vec<FoundLine>> {
    let place = readers.acquire_owned().await.ok()?;
    let look = move || {
        let found = log.lines(ask.span()).map(|texts| find(&texts, (node, nouns), &ask));
        drop(place);
        found
    };
    match spawn_blocking(look).await.ok()? {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::warn!(%error, "the audit log can't be read");
            None
        }
    }
}

/// The lines of texts that are asked for.
fn find(texts: &[String], (node, nouns): (NodeId, Nouns), ask: &AskAudit) -> Vec<FoundLine> {
    let lines = texts.iter().flat_map(|text| text.lines());
    let short = lines.filter(|line| line.len() <= MOST_LINE_BYTES);
    let mut lines: Vec<(u64, &str)> = short.filter_map(|line| Some((time_of(line)?, line))).collect();
    // Lines are about in the order of their times: several threads write them, and a clock may be set back.
    lines.sort_by_key(|(time_ms, _)| *time_ms);
    let mut last: Option<Place> = None;
    let placed: Vec<(Place, &str)> = lines
        .into_iter()
        .map(|(time_ms, line)| {
            let same = last.filter(|last| last.time_ms == time_ms);
            let place = Place { time_ms, node, ordinal: same.map_or(0, |last| last.ordinal + 1) };
            last = Some(place);
            (place, line)
        })
        .collect();
    let newest_first = placed.into_iter().rev().filter(|(place, _)| ask.has(*place));
    let wanted = newest_first.filter(|(_, line)| ask.wants(line, nouns));
    let found = wanted.map(|(place, line)| FoundLine { place, line: line.to_owned() });
    found.take(ask.limit.min(MOST_LINES) as usize).collect()
}

impl AskAudit {
    /// Of which time the lines are that it asks for.
    fn span(&self) -> Span {
        let before = self.before.map(|before| before.time_ms);
        let until = self.until_ms.map(|until_ms| until_ms.saturating_sub(1));
        Span { since_ms: self.since_ms, last_ms: before.into_iter().chain(until).min() }
    }

    fn has(&self, place: Place) -> bool {
        self.before.is_none_or(|before| place < before)
            && self.since_ms.is_none_or(|since_ms| place.time_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| place.time_ms < until_ms)
    }

    /// Whether the line is whole, and what is asked for.
    fn wants(&self, line: &str, nouns: Nouns) -> bool {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
        let is = |name: &str, wanted: &str| line[name].as_str() == Some(wanted);
        let text = |name: &str| line[name].as_str().unwrap_or_default();
        let does = |action: &str| {
            let action = action.to_lowercase();
            let (method, route) = (text("method"), text("route"));
            format!("{method} {route}").to_lowercase().contains(&action)
                || words::action(method, route, text("path"), nouns).contains(&action)
        };
        self.map.is_none_or(|map| is("map", &map.to_string()))
            && self
                .who
                .as_ref()
                .is_none_or(|who| ["who", "token", "token_name"].iter().any(|name| is(name, who)))
            && self.result.as_ref().is_none_or(|result| is("result", result))
            && self.action.as_ref().is_none_or(|action| does(action))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::time::iso_millis;
    use crate::edge::ROUTE_NOUNS;
    use serde_json::json;

    /// A line as the log writes it.
    fn line(at: u64, who: &str, method: &str, result: &str) -> String {
        let rest = json!({"who": who, "token": format!("id-of-{who}"), "method": method,
            "token_name": format!("name of {who}"),
            "route": "/api/maps/{map}", "map": MapId::from_bytes([7; 16]).to_string(), "result": result});
        format!(r#"{{"time":"{}",{}"#, iso_millis(at), &rest.to_string()[1..])
    }

    fn log() -> String {
        let lines = [
            line(1000, "admin", "POST", "done"),
            line(3000, "token", "DELETE", "forbidden"),
            line(2000, "admin", "PATCH", "done"),
            line(3000, "admin", "DELETE", "done"),
            r#"{"lost":3,"time":"1970-01-01T00:00:04.000Z"}"#.to_owned(),
            "no line".to_owned(),
            r#"{"time":"1970-01-01T00:00:05.000Z","who":"adm"#.to_owned(),
        ];
        lines.join("\n")
    }

    fn times(ask: &AskAudit) -> Vec<(u64, u32)> {
        find(&[log()], (2, ROUTE_NOUNS), ask)
            .iter()
            .map(|found| (found.place.time_ms, found.place.ordinal))
            .collect()
    }

    fn all() -> AskAudit {
        AskAudit { limit: 100, ..AskAudit::default() }
    }

    #[test]
    fn lines_come_the_newest_first_and_torn_ones_do_not() {
        assert_eq!(times(&all()), [(4000, 0), (3000, 1), (3000, 0), (2000, 0), (1000, 0)]);
        assert_eq!(times(&AskAudit { limit: 2, ..all() }), [(4000, 0), (3000, 1)]);
    }

    #[test]
    fn a_page_goes_on_where_the_one_before_it_ended() {
        let after = |time_ms, node, ordinal| {
            times(&AskAudit { before: Some(Place { time_ms, node, ordinal }), ..all() }).first().copied()
        };
        assert_eq!(after(3000, 2, 1), Some((3000, 0)));
        assert_eq!(after(3000, 2, 0), Some((2000, 0)));
        assert_eq!(after(3000, 3, 0), Some((3000, 1)), "of a node with a higher id");
        assert_eq!(after(3000, 1, 9), Some((2000, 0)), "of a node with a lower id");
        assert_eq!(after(1000, 2, 0), None);
    }

    #[test]
    fn lines_are_found_by_what_they_say() {
        let some = |text: &str| Some(text.to_owned());
        let map = Some(MapId::from_bytes([7; 16]));
        for (ask, expected) in [
            (AskAudit { who: some("admin"), ..all() }, vec![(3000, 1), (2000, 0), (1000, 0)]),
            (AskAudit { who: some("id-of-token"), ..all() }, vec![(3000, 0)]),
            (AskAudit { action: some("delete /api"), ..all() }, vec![(3000, 1), (3000, 0)]),
            (AskAudit { action: some("Remove map"), ..all() }, vec![(3000, 1), (3000, 0)]),
            (AskAudit { action: some("revoke token"), ..all() }, vec![]),
            (AskAudit { who: some("name of admin"), ..all() }, vec![(3000, 1), (2000, 0), (1000, 0)]),
            (AskAudit { result: some("forbidden"), ..all() }, vec![(3000, 0)]),
            (AskAudit { since_ms: Some(2000), until_ms: Some(3000), ..all() }, vec![(2000, 0)]),
            (AskAudit { map, limit: 1, ..all() }, vec![(3000, 1)]),
            (AskAudit { map: Some(MapId::from_bytes([8; 16])), ..all() }, vec![]),
        ] {
            assert_eq!(times(&ask), expected, "{ask:?}");
        }
    }

    #[test]
    fn a_disk_that_hangs_holds_no_more_threads_than_there_are_readers() {
        use futures_util::FutureExt;
        let readers = Arc::new(Semaphore::new(1));
        let hanging = readers.clone().try_acquire_owned().unwrap();
        let asked = || read((Arc::default(), 2, ROUTE_NOUNS), all(), readers.clone());
        assert!(asked().now_or_never().is_none(), "it waits for a place");
        drop(hanging);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(asked()), Some(Vec::new()));
        assert_eq!(readers.available_permits(), 1);
    }

    #[test]
    fn requests_keep_their_bytes() {
        use crate::core::codec::{decode, encode};
        let before = Some(Place { time_ms: 1, node: 2, ordinal: 3 });
        let ask = AskAudit { before, who: Some("x".into()), ..all() };
        assert_eq!(decode::<AskAudit>(&encode(&ask).unwrap()).unwrap(), ask);
    }
}
