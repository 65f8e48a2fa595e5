//! Those who change settings: tokens that are made, used, revoked and used again, and a map's name that is counted up.

use super::{Load, Site};
use crate::history::Record;
use anyhow::{Context, Result};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::ws::Message;

/// How long a socket may stay open after its token was revoked: a second is promised, the rest is the machine's.
const CLOSED_WITHIN: Duration = Duration::from_millis(2500);
/// Between two attempts at the same.
const AGAIN: Duration = Duration::from_millis(200);
/// How often a revoke is tried; a node that can't is asked no more then.
const ATTEMPTS: usize = 60;
/// How often at most when it shall be quiet.
const LAST_ATTEMPTS: usize = 6;
/// Between two tokens, writes or reads.
const PACE: Duration = Duration::from_millis(100);

/// Makes, uses, revokes and uses tokens, one after the other.
pub fn tokens(site: &Site, name: &str) {
    let mut dice = site.dice(name);
    let mut n = 0;
    while !site.is_quiet() {
        n += 1;
        // What fails on the way ends this token: what was noted of it is checked all the same.
        let _ = life(site, &format!("token{n}"), &mut || dice.below(site.nodes.len()));
        std::thread::sleep(PACE);
    }
}

/// A token's life.
fn life(site: &Site, token: &str, node: &mut impl FnMut() -> usize) -> Result<()> {
    let path = format!("/api/maps/{}/tokens", site.desk.id);
    let asked_ms = site.journal.now_ms();
    let body = json!({"name": token, "scopes": ["subscribe"]});
    let made = site.admin(node()).post(&path, &body)?.data(201)?;
    site.journal.note(Record::TokenMade { token: token.to_owned(), asked_ms });
    let (id, secret) = (text(&made, "id")?, text(&made, "token")?);
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
        // Gone already: an earlier attempt, whose answer was lost, did it.
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

/// The map whose name is counted up at present: its id.
type Present = Arc<Mutex<Option<String>>>;

/// Starts one who counts up and two who read.
pub(super) fn registers(load: &mut Load) -> Result<()> {
    let present = Present::default();
    let written = present.clone();
    load.write("counter".to_owned(), move |site, name| {
        let mut dice = site.dice(name);
        let mut n = 0;
        while !site.is_quiet() {
            n += 1;
            // Ends with a write whose answer was lost: it may land later, over any other. The next map is another.
            let _ = count(site, n, &written, &mut || dice.below(site.nodes.len()));
            std::thread::sleep(AGAIN);
        }
    })?;
    for n in 0..2 {
        let present = present.clone();
        load.write(format!("looker{n}"), move |site, name| {
            let mut dice = site.dice(name);
            while !site.is_quiet() {
                // A node that can't answer tells nothing.
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
    let told = api.get(&format!("/api/maps/{register}"))?.data(200)?;
    let version = text(&told, "name")?.parse()?;
    site.journal.note(Record::Read { register, node, version, asked_ms });
    Ok(())
}
