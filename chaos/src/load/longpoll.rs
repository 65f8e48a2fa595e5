//! A Phoenix client over long poll that comes and goes: each request at any node, as behind a balancer that
//! knows no sessions. A poll whose answer is lost is repeated at another node, as such balancers do; it
//! brings the same again.

use super::stay::Stay;
use super::{Reader, Site, phoenix};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::Duration;
use testkit::longpoll::{self, Answered};

/// The pause before a poll is repeated.
const AGAIN: Duration = Duration::from_millis(50);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(7);

/// Until all is over.
pub fn run(site: &Site, reader: &Reader) {
    Stay::new(site, reader).each(stay);
}

fn stay(stay: &mut Stay<'_>) -> Result<()> {
    let (opened_at, map) = (stay.node(), stay.site.map(stay.reader.topic));
    let opened = ask(stay.site, opened_at, &map.token, "", None)?;
    ensure!(opened.status == 410 && !opened.session.is_empty(), "no session was opened: {}", opened.status);
    let mut session = opened.session;
    let params = stay.reader.join(stay.last.as_deref());
    let join = json!(["1", "1", map.topic(), "phx_join", params]).to_string();
    let node = stay.node();
    ensure!(ask(stay.site, node, &map.token, &session, Some(&join))?.status == 200, "the join was not taken");
    stay.joined(opened_at);
    while !stay.is_over() {
        let node = stay.node();
        let Ok(answer) = ask(stay.site, node, &map.token, &session, None) else {
            std::thread::sleep(AGAIN);
            continue;
        };
        ensure!(matches!(answer.status, 200 | 204), "the session ended: {}", answer.status);
        answer.messages.iter().try_for_each(|message| phoenix::take(stay, message))?;
        session = answer.session;
    }
    Ok(())
}

/// Pushes a message, or polls.
fn ask(site: &Site, node: usize, token: &str, session: &str, push: Option<&str>) -> Result<Answered> {
    let url = format!("http://{}", site.nodes[node]);
    longpoll::ask(&url, token, session, false, push.map(str::as_bytes), REQUEST)
}
