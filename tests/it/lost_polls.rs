//! Long polls whose answers are lost, because a client disconnects, a proxy repeats the request, or two
//! requests run at once. At any node, nothing is lost or comes twice, and no poll delays another.

use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use testkit::cluster::Map;
use testkit::longpoll::{Answered, LIMIT, Poller, message};
use testkit::{Cluster, wait};

/// How long a poll waits (s): longer than a test takes on a busy machine, unless something ends it.
const WAIT: u64 = 30;

#[test]
fn lost_answers_are_repeated() {
    checked(
        nodes(3).set("WAYPOST_SESSION_LONGPOLL_SECONDS", WAIT),
        &[
            ("a client disconnects before anything comes", hung_up),
            ("an answer breaks off", broken_off),
            ("a proxy repeats a poll while the first one waits", asked_again),
            ("a repeated poll acknowledges nothing", repeated),
            ("a late copy disturbs no other poll", late_copy),
            ("a newer poll ends the older at once", newer_ends_older),
            ("a repeated POST joins and leaves once", repeated_push),
            ("replies that are not fetched are never dropped silently", unfetched),
        ],
    );
}

#[test]
fn a_pause_between_polls_does_not_count_as_slow() {
    checked(nodes(2).set("WAYPOST_SESSION_STALL_SECONDS", 1), &[("pauses", pauses)]);
}

#[test]
fn a_waiting_poll_does_not_count_as_idle() {
    let options =
        nodes(1).set("WAYPOST_SESSION_IDLE_TIMEOUT_SECONDS", 10).set("WAYPOST_SESSION_LONGPOLL_SECONDS", 20);
    checked(options, &[("a poll longer than the idle timeout", quiet)]);
}

fn quiet(c: &Cluster) -> Result<()> {
    let map = c.map("quiet")?;
    let poller = Poller::join(c, &map, 0)?;
    let answered = polled(&poller, 0)?;
    ensure!(answered.status == 204, "{answered:?}");
    Ok(())
}

/// Runs a check for sessions held by two of the nodes, polled at each node: at their own, and across the
/// relay.
fn everywhere(c: &Cluster, slug: &str, check: impl Fn(&Map, &mut Poller, usize) -> Result<()>) -> Result<()> {
    for held_by in [0, 1] {
        for asked in 0..c.nodes.len() {
            let map = c.map(&format!("{slug}-{held_by}-{asked}"))?;
            let mut poller = Poller::join(c, &map, held_by)?;
            let checked = check(&map, &mut poller, asked);
            checked
                .map_err(|error| error.context(format!("held by node {held_by}, asked at node {asked}")))?;
        }
    }
    Ok(())
}

fn polled(poller: &Poller, node: usize) -> Result<Answered> {
    poller.ask(node, &poller.session, None, LIMIT)
}

/// Polls until something comes. On a busy machine requests may overtake one another, and the one that arrives
/// last ends the others.
fn polled_until(poller: &Poller, node: usize) -> Result<Answered> {
    let start = Instant::now();
    loop {
        let answered = polled(poller, node)?;
        if answered.status != 204 {
            return Ok(answered);
        }
        ensure!(start.elapsed() < LIMIT, "nothing came");
    }
}

fn next(c: &Cluster, map: &Map) -> Result<u64> {
    Ok(publish(c, 0, map, "x", json!({}))?["seq"].as_u64().unwrap_or_default())
}

fn hung_up(c: &Cluster) -> Result<()> {
    everywhere(c, "hung-up", |map, poller, node| {
        let mut expected = Vec::new();
        for _ in 0..3 {
            poller.give_up(node, Duration::from_millis(200));
            expected.push(next(c, map)?);
            // By now a poll without a client would have taken the event.
            std::thread::sleep(Duration::from_millis(100));
            ensure!(poller.poll_at(node)? == 200, "the session ended");
        }
        ensure!(poller.received().0 == expected, "{:?} instead of {expected:?}", poller.received().0);
        Ok(())
    })
}

fn broken_off(c: &Cluster) -> Result<()> {
    everywhere(c, "broken-off", |map, poller, node| {
        let first = next(c, map)?;
        poller.break_off(node)?;
        let second = next(c, map)?;
        for expected in [first, second] {
            ensure!(
                poller.poll()? == 200 && poller.received().0.last() == Some(&expected),
                "{:?}",
                poller.received()
            );
        }
        Ok(())
    })
}

/// Simulates a relaying node that dies during a poll: the session must not notice.
fn asked_again(c: &Cluster) -> Result<()> {
    everywhere(c, "asked-again", |map, poller, node| {
        std::thread::scope(|scope| {
            let poller = &*poller;
            let dead = scope.spawn(move || poller.give_up(node, LIMIT));
            std::thread::sleep(Duration::from_millis(200));
            let alive = scope.spawn(move || polled_until(poller, node + 1));
            std::thread::sleep(Duration::from_millis(200));
            let seq = next(c, map)?;
            let answered = alive.join().expect("the client panicked")?;
            dead.join().expect("the client panicked");
            ensure!(answered.status == 200 && answered.seqs() == [seq], "{answered:?}");
            Ok(())
        })
    })
}

fn repeated(c: &Cluster) -> Result<()> {
    everywhere(c, "repeated", |map, poller, node| {
        let first = next(c, map)?;
        let answered = polled(poller, node)?;
        ensure!(answered.status == 200 && answered.seqs() == [first], "{answered:?}");
        let second = next(c, map)?;
        for other in 0..c.nodes.len() {
            let again = polled(poller, node + other)?;
            ensure!(again == answered, "{again:?} instead of {answered:?}");
        }
        poller.session.clone_from(&answered.session);
        let then = polled(poller, node)?;
        ensure!(then.status == 200 && then.seqs() == [second], "{then:?}");
        Ok(())
    })
}

/// A session number whose batch is acknowledged is no longer valid; the poll that waits with the present
/// number goes on.
fn late_copy(c: &Cluster) -> Result<()> {
    everywhere(c, "late-copy", |map, poller, node| {
        next(c, map)?;
        let old = poller.session.clone();
        ensure!(poller.poll_at(node)? == 200, "nothing came");
        std::thread::scope(|scope| {
            let poller = &*poller;
            let waiting = scope.spawn(move || polled(poller, node));
            let late = || poller.ask(node, &old, None, LIMIT);
            let start = Instant::now();
            // The old batch is answered again until the acknowledging poll has arrived.
            while late()?.status != 410 {
                ensure!(start.elapsed() < LIMIT, "an acknowledged batch is kept");
                std::thread::sleep(Duration::from_millis(20));
            }
            ensure!(late()?.messages.is_empty(), "an ended session has messages");
            let seq = next(c, map)?;
            let answered = waiting.join().expect("the client panicked")?;
            ensure!(answered.status == 200 && answered.seqs() == [seq], "{answered:?}");
            Ok(())
        })
    })
}

/// When two polls run at once, one is ended; its empty answer tells its client that another poll replaced it.
fn newer_ends_older(c: &Cluster) -> Result<()> {
    everywhere(c, "newer-ends-older", |map, poller, node| {
        std::thread::scope(|scope| {
            let poller = &*poller;
            let (answers, answered) = mpsc::channel();
            for _ in 0..2 {
                let answers = answers.clone();
                scope.spawn(move || answers.send(polled(poller, node)));
            }
            let older = answered.recv_timeout(Duration::from_secs(WAIT / 2)).context("both wait")??;
            ensure!(older.status == 204 && older.session == poller.session, "{older:?}");
            let seq = next(c, map)?;
            let newer = answered.recv_timeout(LIMIT)??;
            ensure!(newer.status == 200 && newer.seqs() == [seq], "{newer:?}");
            Ok(())
        })
    })
}

fn repeated_push(c: &Cluster) -> Result<()> {
    everywhere(c, "repeated-push", |map, poller, node| {
        let first = next(c, map)?;
        let join = json!(["9", "9", map.topic(), "phx_join", {"since": "2000-01-01T00:00:00Z"}]).to_string();
        poller.turn = node;
        ensure!(poller.push(&join)? == 200 && poller.push(&join)? == 200, "a join was refused");
        let second = next(c, map)?;
        let heard = |poller: &Poller| poller.frames.iter().filter(|f| f.event == "x").count();
        poller.until("both events", |poller| {
            heard(poller) >= 2 && poller.received().0.last() == Some(&second)
        })?;
        // The first join's events do not matter here: it ended when the topic was joined again.
        let refs =
            |event: &str| poller.frames.iter().filter(|f| f.event == event && f.join_ref == "9").count();
        ensure!(refs("phx_reply") == 1 && refs("phx_close") == 0, "{:?}", poller.frames);
        poller.frames.clear();
        let leave = json!(["9", "10", map.topic(), "phx_leave", {}]).to_string();
        ensure!(poller.push(&leave)? == 200 && poller.push(&leave)? == 200, "a leave was refused");
        ensure!(poller.push(&message("11", "phoenix", "heartbeat"))? == 200, "a heartbeat was refused");
        poller.until("the heartbeat's reply", |poller| poller.frames.iter().any(|f| f.reply_ref == "11"))?;
        let closed = poller.frames.iter().filter(|f| f.event == "phx_close").count();
        ensure!(closed == 1 && first < second, "{:?}", poller.frames);
        Ok(())
    })
}

/// A client that pushes and never polls loses its session in the end; until then it can fetch all its
/// replies.
fn unfetched(c: &Cluster) -> Result<()> {
    const EACH: usize = 400;
    let map = c.map("unfetched")?;
    for rounds in [1, 3, 100] {
        let mut poller = Poller::join(c, &map, 0)?;
        let session = poller.session.clone();
        let mut pushed = 0;
        for round in 0..rounds {
            let refs = (0..EACH).map(|n| (round * EACH + n).to_string());
            let beats: Vec<String> = refs.map(|own| message(&own, "phoenix", "heartbeat")).collect();
            if poller.push(&beats.join("\n"))? != 200 {
                break;
            }
            pushed += EACH;
        }
        ensure!(
            rounds < 100 || pushed < rounds * EACH,
            "{pushed} replies wait, and the session does not end"
        );
        let answered = poller.ask(0, &session, None, LIMIT)?;
        let whole = answered.status == 200 && answered.messages.len() == pushed;
        ensure!(
            whole || rounds > 1 && answered.status == 410,
            "{} of {pushed}: {}",
            answered.messages.len(),
            answered.status
        );
    }
    Ok(())
}

/// Pauses much longer than a socket may leave waiting bytes unread: once with nothing waiting, once with an
/// event.
fn pauses(c: &Cluster) -> Result<()> {
    const PAUSE: Duration = Duration::from_secs(5);
    let map = c.map("pauses")?;
    for node in 0..c.nodes.len() {
        let mut poller = Poller::join(c, &map, 0)?;
        let mut expected = vec![next(c, &map)?];
        ensure!(poller.poll_at(node)? == 200, "the session ended");
        std::thread::sleep(PAUSE);
        expected.push(next(c, &map)?);
        std::thread::sleep(PAUSE);
        poller.turn = node;
        let status = poller.poll()?;
        ensure!(status == 200, "{status} after a pause");
        expected.push(next(c, &map)?);
        poller.until("the last event", |poller| poller.received().0.len() >= 3)?;
        ensure!(poller.received().0 == expected, "{:?} instead of {expected:?}", poller.received().0);
    }
    wait::until("no client to be counted as too slow", || {
        let slow = c.admin(0).get("/metrics")?.expect(200)?.text();
        ensure!(!slow.contains("too_slow"), "{slow}");
        Ok(Some(()))
    })
}
