//! A Phoenix client over long poll that comes and goes. Each request goes to any node, as behind a load
//! balancer without sessions. A poll whose answer is lost is repeated at another node, as such balancers do,
//! and must return the same messages.

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

/// Runs the client until the run's clients must end.
pub fn run(site: &Site, reader: &Reader) {
    Stay::new(site, reader).each(stay);
}

fn stay(stay: &mut Stay<'_>) -> Result<()> {
    let opened_at = stay.node();
    let map = stay.site.map(stay.reader.topic);
    let opened = ask(stay.site, opened_at, &map.token, "", None)?;
    ensure!(opened.status == 410 && !opened.session.is_empty(), "no session was opened: {}", opened.status);
    let mut session = opened.session;
    let params = stay.reader.join(stay.last.as_deref());
    let join = json!(["1", "1", map.topic(), "phx_join", params]).to_string();
    let node = stay.node();
    ensure!(ask(stay.site, node, &map.token, &session, Some(&join))?.status == 200, "the join was refused");
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

/// Pushes a message, or polls when there is none.
fn ask(site: &Site, node: usize, token: &str, session: &str, push: Option<&str>) -> Result<Answered> {
    let url = format!("http://{}", site.nodes[node]);
    longpoll::ask(&url, token, session, false, push.map(str::as_bytes), REQUEST)
}
