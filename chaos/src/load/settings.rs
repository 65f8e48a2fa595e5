//! Writers of settings: tokens that are created, used, revoked and used again, and a map's name that counts
//! up.

use super::{Load, Site};
use crate::history::Record;
use anyhow::{Context, Result};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::ws::Message;

/// How long a socket may stay open after its token was revoked: the promise is one second, the rest allows
/// for a slow machine.
const CLOSED_WITHIN: Duration = Duration::from_millis(2500);
/// The pause between two attempts at one request.
const AGAIN: Duration = Duration::from_millis(200);
/// How often a revoke is tried at most.
const ATTEMPTS: usize = 60;
/// How often a revoke is tried at most when the run ends.
const LAST_ATTEMPTS: usize = 6;
/// The pause between two tokens, writes or reads.
const PACE: Duration = Duration::from_millis(100);

/// Creates, uses, revokes and uses tokens again, one after the other.
pub fn tokens(site: &Site, name: &str) {
    let mut dice = site.dice(name);
    let mut n = 0;
    while !site.is_quiet() {
        n += 1;
        // A failure ends the life of this token only; the records so far are checked nevertheless.
        let _ = life(site, &format!("token{n}"), &mut || dice.below(site.nodes.len()));
        std::thread::sleep(PACE);
    }
}

/// The life of one token.
fn life(site: &Site, token: &str, node: &mut impl FnMut() -> usize) -> Result<()> {
    let path = format!("/api/maps/{}/tokens", site.desk.id);
    let asked_ms = site.journal.now_ms();
    let body = json!({"name": token, "scopes": ["subscribe"]});
    let made = site.admin(node()).post(&path, &body)?.data(201)?;
    site.journal.note(Record::TokenMade { token: token.to_owned(), asked_ms });
    let id = text(&made, "id")?;
    let secret = text(&made, "token")?;
    let listens_at = node();
    let socket = listen(site, listens_at, &secret);
    for _ in 0..2 {
        use_it(site, token, &secret, node());
    }
    let asked_ms = site.journal.now_ms();
    let mut left = ATTEMPTS;
    while left > 0 {
        left = if site.is_quiet() { left.min(LAST_ATTEMPTS) } else { left } - 1;
        let answer = site.admin(node()).delete(&format!("{path}/{id}"));
        // The token is gone already: an earlier attempt revoked it, and its answer was lost.
        if answer.is_ok_and(|answer| matches!(answer.status, 204 | 404)) {
            site.journal.note(Record::TokenRevoked { token: token.to_owned(), asked_ms });
            let revoked = Instant::now();
            for node in 0..site.nodes.len() {
                use_it(site, token, &secret, node);
            }
            return note_socket(site, token, listens_at, socket, revoked);
        }
        std::thread::sleep(AGAIN);
    }
    Ok(())
}

fn use_it(site: &Site, token: &str, secret: &str, node: usize) {
    let asked_ms = site.journal.now_ms();
    let api = site.api(node, secret).timeout(Duration::from_secs(3));
    if let Ok(answer) = api.get(&format!("{}?limit=1", site.desk.events())) {
        site.journal.note(Record::TokenUsed {
            token: token.to_owned(),
            node,
            asked_ms,
            status: answer.status,
        });
    }
}

fn listen(site: &Site, node: usize, secret: &str) -> Result<Socket> {
    let mut socket = Socket::connect(site.nodes[node], secret)?;
    socket.join_ok(&site.desk.topic(), json!({}))?;
    Ok(socket)
}

fn note_socket(
    site: &Site,
    token: &str,
    node: usize,
    socket: Result<Socket>,
    revoked: Instant,
) -> Result<()> {
    let mut socket = socket?;
    let closed = loop {
        let left = CLOSED_WITHIN.saturating_sub(revoked.elapsed());
        match socket.ws.read(left.max(Duration::from_millis(1))) {
            Err(_) | Ok(Some(Message::Close(..) | Message::End)) => break true,
            Ok(None) => break false,
            Ok(Some(_)) => {}
        }
    };
    site.journal.note(Record::TokenSocket { token: token.to_owned(), node, closed });
    Ok(())
}

/// The id of the map whose name counts up at present.
type Present = Arc<Mutex<Option<String>>>;

/// Starts one writer that counts up and two readers.
pub(super) fn registers(load: &mut Load) -> Result<()> {
    let present = Present::default();
    let written = present.clone();
    load.write("counter".to_owned(), move |site, name| {
        let mut dice = site.dice(name);
        let mut n = 0;
        while !site.is_quiet() {
            n += 1;
            // The loop ends with a write whose answer was lost: it may take effect later, over any other. The
            // next loop uses a new map.
            let _ = count(site, n, &written, &mut || dice.below(site.nodes.len()));
            std::thread::sleep(AGAIN);
        }
    })?;
    for n in 0..2 {
        let present = present.clone();
        load.write(format!("looker{n}"), move |site, name| {
            let mut dice = site.dice(name);
            while !site.is_quiet() {
                // A node that does not answer is skipped.
                let _ = look(site, dice.below(site.nodes.len()), &present);
                std::thread::sleep(PACE);
            }
        })?;
    }
    Ok(())
}

fn count(site: &Site, n: u64, present: &Present, node: &mut impl FnMut() -> usize) -> Result<()> {
    let made = site
        .admin(node())
        .post("/api/maps", &json!({"slug": format!("count-{n}"), "name": "0"}))?
        .data(201)?;
    let register = text(&made, "id")?;
    *present.lock().unwrap_or_else(PoisonError::into_inner) = Some(register.clone());
    for version in 1.. {
        if site.is_quiet() {
            break;
        }
        let asked_ms = site.journal.now_ms();
        let answer =
            site.admin(node()).patch(&format!("/api/maps/{register}"), &json!({"name": version.to_string()}));
        let acked = answer.as_ref().is_ok_and(|answer| answer.status == 200);
        site.journal.note(Record::Wrote { register: register.clone(), version, asked_ms, acked });
        answer?.expect(200)?;
        std::thread::sleep(PACE);
    }
    Ok(())
}

fn look(site: &Site, node: usize, present: &Present) -> Result<()> {
    let register = present.lock().unwrap_or_else(PoisonError::into_inner).clone().context("not yet")?;
    let asked_ms = site.journal.now_ms();
    let api = site.admin(node).timeout(Duration::from_secs(3));
    let shown = api.get(&format!("/api/maps/{register}"))?.data(200)?;
    let version = text(&shown, "name")?.parse()?;
    site.journal.note(Record::Read { register, node, version, asked_ms });
    Ok(())
}
