//! A Phoenix client over long poll that comes and goes: each request at any node, as behind a balancer that
//! knows no sessions. A poll whose answer is lost is repeated at another node, as such balancers do; it
//! brings the same again.

use super::{Reader, Site, phoenix};
use crate::history::Record;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::http::Api;

/// How long a session is, at least and at most.
const STAYS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(9));
/// The pause before the next.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(2500));
/// The pause before a poll is repeated.
const AGAIN: Duration = Duration::from_millis(50);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(7);

/// Until all is over.
pub fn run(site: &Site, reader: &Reader) {
    let mut dice = site.dice(&reader.name);
    let mut last = None;
    while !site.is_over() {
        let until = Instant::now() + dice.between(STAYS.0, STAYS.1);
        let mut node = || dice.below(site.nodes.len());
        // Whatever ended it: it comes again.
        let _ = stay(site, reader, &mut node, until, &mut last);
        if !site.is_quiet() {
            std::thread::sleep(dice.between(PAUSE.0, PAUSE.1));
        }
    }
}

fn stay(
    site: &Site,
    reader: &Reader,
    node: &mut impl FnMut() -> usize,
    until: Instant,
    last: &mut Option<String>,
) -> Result<()> {
    let map = site.map(reader.topic);
    let opened_at = node();
    let opened = ask(site, opened_at, &map.token, "", None)?;
    ensure!(opened.status == 410 && !opened.session.is_empty(), "no session was opened: {}", opened.status);
    let mut session = opened.session;
    let params = reader.join(last.as_deref());
    let join = json!(["1", "1", map.topic(), "phx_join", params]).to_string();
    ensure!(ask(site, node(), &map.token, &session, Some(&join))?.status == 200, "the join was not taken");
    site.journal.note(Record::Joined { client: reader.name.clone(), node: opened_at, after: last.clone() });
    while Instant::now() < until && !site.is_over() {
        let Ok(answer) = ask(site, node(), &map.token, &session, None) else {
            std::thread::sleep(AGAIN);
            continue;
        };
        ensure!(matches!(answer.status, 200 | 204), "the session ended: {}", answer.status);
        for message in &answer.messages {
            phoenix::take(site, reader, message, last)?;
        }
        session = answer.session;
    }
    Ok(())
}

struct Answer {
    status: u64,
    session: String,
    messages: Vec<String>,
}

/// Pushes a message, or polls.
fn ask(site: &Site, node: usize, token: &str, session: &str, push: Option<&str>) -> Result<Answer> {
    let api = Api::new(&format!("http://{}", site.nodes[node]), None).timeout(REQUEST);
    let path = format!("/socket/events/longpoll?vsn=2.0.0&token={token}");
    let mut headers = vec![("content-type", "application/x-ndjson")];
    if !session.is_empty() {
        headers.push(("x-phoenix-longpoll-token", session));
    }
    let method = if push.is_some() { "POST" } else { "GET" };
    let answer = api.call(method, &path, &headers, push.map(str::as_bytes))?.expect(200)?.json()?;
    let messages = answer["messages"].as_array().context("no messages")?.iter();
    Ok(Answer {
        status: answer["status"].as_u64().context("no status")?,
        session: answer["token"].as_str().unwrap_or_default().to_owned(),
        messages: messages.filter_map(|message| message.as_str().map(str::to_owned)).collect(),
    })
}
