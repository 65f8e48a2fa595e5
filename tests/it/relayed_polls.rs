//! Long polls that reach another node than the one that holds their session: they are passed on only for
//! genuine sessions, a map has a share of what is passed on, and nobody else's publishes wait for them.

use crate::support::{checked, median, nodes, publish};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::longpoll::{LIMIT, Poller, ask, message};

/// How long a poll waits (s): as long as the test takes.
const WAIT: u64 = 60;
const POLLS: usize = 1200;
/// The most polls of one map that a node passes on to another at a time.
const SHARE: u64 = 960;

const RELAYED: &str = "waypost_longpoll_relayed_total";

#[test]
fn relayed_polls_harm_nobody() {
    checked(
        nodes(3).set("WAYPOST_SESSION_LONGPOLL_SECONDS", WAIT),
        &[
            ("a made-up session is not passed on", forged),
            ("a session has one poll that is passed on", one_poll),
            ("1200 polls of one token", many_polls),
        ],
    );
}

/// The leader, which holds the sessions, and a follower, at which their clients ask.
fn nodes_of(c: &Cluster) -> Result<(usize, usize)> {
    Ok((c.leader()?, c.follower()?))
}

/// A session on that node that has joined nothing.
fn session(c: &Cluster, node: usize, token: &str) -> Result<String> {
    let opened = ask(&c.nodes[node].url(), token, "", false, None, LIMIT)?;
    ensure!(opened.status == 410 && !opened.session.is_empty(), "{opened:?}");
    Ok(opened.session)
}

fn forged(c: &Cluster) -> Result<()> {
    let map = c.map("forged")?;
    let (holds, asked) = nodes_of(c)?;
    let real = session(c, holds, &map.token)?;
    let before = c.metric(asked, RELAYED, "")?;
    let large = vec![b'['; 250_000];
    let parts: Vec<&str> = real.split('.').collect();
    ensure!(parts.len() == 6, "{real}");
    for index in 1..5 {
        // The first digit of a part is another one.
        let mut forged: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let other = if forged[index].starts_with('1') { "2" } else { "1" };
        forged[index].replace_range(..1, other);
        let forged = forged.join(".");
        let answered = ask(&c.nodes[asked].url(), &map.token, &forged, false, Some(&large), LIMIT)?;
        ensure!(answered.status == 410, "{forged}: {answered:?}");
        // A poll without a session opens a new one here.
        let answered = ask(&c.nodes[asked].url(), &map.token, &forged, false, None, LIMIT)?;
        ensure!(answered.status == 410, "{forged}: {answered:?}");
    }
    let relayed = c.metric(asked, RELAYED, "")? - before;
    ensure!(relayed == 0, "{relayed} requests of made-up sessions were passed on");
    let beat = message("1", "phoenix", "heartbeat");
    let pushed = ask(&c.nodes[asked].url(), &map.token, &real, false, Some(beat.as_bytes()), LIMIT)?;
    ensure!(pushed.status == 200, "{pushed:?}");
    ensure!(c.metric(asked, RELAYED, "")? - before == 1, "the genuine session was not asked");
    Ok(())
}

/// A flood of polls of one session is passed on a few times a second; the last one gets the event.
fn one_poll(c: &Cluster) -> Result<()> {
    const FLOOD: usize = 100;
    let map = c.map("one-poll")?;
    let (holds, asked) = nodes_of(c)?;
    let poller = Poller::join(c, &map, holds)?;
    let before = c.metric(asked, RELAYED, "")?;
    let start = Instant::now();
    let polls = (0..FLOOD).map(|_| waiting(c, asked, &map.token, &poller.session));
    let polls = polls.collect::<Result<Vec<_>>>()?;
    let answered = AtomicUsize::new(0);
    let read = |mut poll: TcpStream| {
        let answer = answer(&mut poll);
        answered.fetch_add(1, Ordering::Relaxed);
        answer
    };
    let read = &read;
    let answers = std::thread::scope(|scope| {
        let readers: Vec<_> = polls.into_iter().map(|poll| scope.spawn(move || read(poll))).collect();
        // Each poll but one is answered soon, because a newer one replaced it.
        c.wait_until("all polls but one to be answered", |_| {
            Ok((answered.load(Ordering::Relaxed) == FLOOD - 1).then_some(()))
        })?;
        // The last poll is passed on after a pause.
        let relayed = c.wait_until("a poll to be passed on", |_| {
            let relayed = c.metric(asked, RELAYED, "")? - before;
            Ok((relayed > 0).then_some(relayed))
        })?;
        let most = 2 + start.elapsed().as_millis() as u64 / 100;
        ensure!(relayed <= most, "{relayed} polls were passed on within {:?}", start.elapsed());
        publish(c, asked, &map, "x", json!({}))?;
        readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader panicked"))
            .collect::<Result<Vec<_>>>()
    })?;
    let with_event = answers.iter().filter(|answer| answer.contains(r#""status":200"#)).count();
    ensure!(with_event == 1, "{with_event} polls got the event: {answers:?}");
    Ok(())
}

/// Sends a poll, and does not wait for the answer.
fn waiting(c: &Cluster, node: usize, token: &str, session: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(c.nodes[node].http)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let path = format!("/socket/events/longpoll?vsn=2.0.0&token={token}&token={session}");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    Ok(stream)
}

fn answer(stream: &mut TcpStream) -> Result<String> {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("no answer to a poll")?;
    Ok(answer)
}

fn many_polls(c: &Cluster) -> Result<()> {
    let (polled, healthy) = (c.map("polled")?, c.map("beside-polls")?);
    let (holds, asked) = nodes_of(c)?;
    let token = c.token(&polled, &["subscribe"])?.1.token;
    let alone = median(c, asked, &healthy)?;
    let sessions = (0..POLLS).map(|_| session(c, holds, &token)).collect::<Result<Vec<_>>>()?;
    let before = c.metric(asked, RELAYED, "")?;
    let polls =
        sessions.iter().map(|session| waiting(c, asked, &token, session)).collect::<Result<Vec<_>>>()?;
    c.wait_until("the polls to be passed on", |c| {
        Ok((c.metric(asked, RELAYED, "")? - before >= SHARE).then_some(()))
    })?;
    let mut other = Poller::join(c, &healthy, holds)?;
    let beside = median(c, asked, &healthy)?;
    println!("publish {alone:?} alone, {beside:?} beside {POLLS} polls");
    ensure!(beside < 10 * alone + Duration::from_millis(100), "{beside:?} beside the polls, {alone:?} alone");
    // The other map's polls are still passed on: no map has all slots.
    let asked_before = c.metric(asked, RELAYED, "")?;
    ensure!(other.poll_at(asked)? == 200, "the other map's poll got nothing");
    let relayed = c.metric(asked, RELAYED, "")?;
    ensure!(relayed > asked_before, "the other map's poll was not passed on");
    ensure!(relayed - before <= SHARE + 20, "{} of {POLLS} were passed on", relayed - before);
    drop(polls);
    Ok(())
}
