//! Networks that partition, lose, delay, repeat and corrupt.

use super::Run;
use crate::environment::relay::Weather;
use anyhow::{Result, ensure};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::phoenix;
use testkit::stream::Stream;
use testkit::ws::{Message, Ws};

/// How long a node that is cut off may keep its clients: its limit of 15 s, and time for a busy machine.
const SENT_AWAY: Duration = Duration::from_secs(45);

/// The node to cut off: half the time the leader, else a random node.
fn victim(run: &mut Run) -> usize {
    if run.dice.thousandth(500) { run.leader() } else { run.any() }
}

/// The other nodes.
pub(super) fn others(run: &Run, node: usize) -> Vec<usize> {
    (0..run.cluster.nodes.len()).filter(|other| *other != node).collect()
}

fn cut(run: &mut Run, fault: &str, nodes: &[usize], pairs: Vec<(usize, usize)>, most_ms: u64) -> Result<()> {
    run.broken(fault, nodes, true, format!("{pairs:?}"));
    run.net()?.block(pairs)?;
    let rested = run.rest_between(1000, most_ms);
    run.net()?.heal()?;
    run.mended(fault, nodes);
    rested
}

/// One node is cut off from all others; clients reach all nodes.
pub fn partition(run: &mut Run) -> Result<()> {
    let node = victim(run);
    let pairs = others(run, node).into_iter().flat_map(|other| [(node, other), (other, node)]).collect();
    cut(run, "partition", &[node], pairs, 9000)
}

/// One node hears nothing, or nobody hears it.
pub fn one_way(run: &mut Run) -> Result<()> {
    let node = victim(run);
    let deaf = run.dice.thousandth(500);
    let pairs =
        others(run, node).into_iter().map(|other| if deaf { (other, node) } else { (node, other) }).collect();
    cut(run, "one-way partition", &[node], pairs, 9000)
}

/// A node is cut off for so long that it must send its clients away: its sockets and streams end, so that they
/// resume elsewhere. The others' processes run, and only the network fails.
pub fn cut_off(run: &mut Run) -> Result<()> {
    run.settle()?;
    let node = victim(run);
    let site = run.load.site.clone();
    let path = format!("{}/stream", site.main.events());
    let mut stream = Stream::get(site.nodes[node], &path, Some(&site.main.token), &[])?;
    ensure!(stream.status()? == 200, "the stream was refused");
    let mut socket = Ws::connect(site.nodes[node], &phoenix::path(&site.main.token))?;
    socket.text(&json!(["1", "1", site.main.topic(), "phx_join", {"events": ["never"]}]).to_string())?;
    let pairs: Vec<_> =
        others(run, node).into_iter().flat_map(|other| [(node, other), (other, node)]).collect();
    run.broken("cut off", &[node], true, "until its clients are sent away");
    run.net()?.block(pairs)?;
    let ended = sent_away(run, &mut stream, &mut socket);
    run.net()?.heal()?;
    run.mended("cut off", &[node]);
    run.journal.caught_up("the clients of a node that is cut off", ended);
    run.settle()
}

/// Waits until the stream has ended and the socket is closed with 1012.
fn sent_away(run: &mut Run, stream: &mut Stream, socket: &mut Ws) -> Result<()> {
    let begun = Instant::now();
    let mut closed = None;
    let mut ended = false;
    while closed.is_none() || !ended {
        ensure!(
            begun.elapsed() < SENT_AWAY,
            "after {SENT_AWAY:?}: stream ended: {ended}, closed: {closed:?}"
        );
        run.rest(Duration::ZERO)?;
        while !ended {
            match stream.frame(Duration::from_millis(100)) {
                Ok(Some(_)) => {}
                // The connection may stay open behind the end of the stream.
                Ok(None) if !stream.is_whole() => break,
                Ok(None) | Err(_) => ended = true,
            }
        }
        if closed.is_none() {
            closed = match socket.read(Duration::from_millis(100))? {
                Some(Message::Close(code, _)) => Some(code),
                Some(Message::End) => Some(None),
                _ => None,
            };
        }
    }
    println!("  the clients were sent away after {:.1} s", begun.elapsed().as_secs_f64());
    ensure!(closed == Some(Some(1012)), "the socket was closed with {closed:?}");
    Ok(())
}

/// One half of the others does not reach the other half, and both reach one node: of three nodes, two do not
/// reach each other.
pub fn non_transitive(run: &mut Run) -> Result<()> {
    let bridge = run.any();
    let ends = others(run, bridge);
    let (left, right) = ends.split_at(ends.len() / 2);
    let pairs =
        left.iter().flat_map(|one| right.iter().flat_map(move |two| [(*one, *two), (*two, *one)])).collect();
    cut(run, "non-transitive partition", &ends, pairs, 9000)
}

/// One node is cut off and connected again, many times a round.
pub fn flapping(run: &mut Run) -> Result<()> {
    let node = victim(run);
    let pairs: Vec<_> =
        others(run, node).into_iter().flat_map(|other| [(node, other), (other, node)]).collect();
    for _ in 0..8 {
        run.broken("flapping", &[node], true, "");
        run.net()?.block(pairs.clone())?;
        let rested = run.rest_between(50, 900);
        run.net()?.heal()?;
        run.mended("flapping", &[node]);
        rested?;
        run.rest_between(50, 700)?;
    }
    Ok(())
}

/// 2 to 30 percent of all packets between nodes are lost.
pub fn loss(run: &mut Run) -> Result<()> {
    let percent = 2 + run.dice.below(29) as u32;
    let all: Vec<usize> = (0..run.cluster.nodes.len()).collect();
    run.broken("loss", &all, true, format!("{percent} %"));
    run.net()?.lose(percent)?;
    let rested = run.rest_between(2000, 8000);
    run.net()?.heal()?;
    run.mended("loss", &all);
    rested
}

fn weather(run: &mut Run, fault: &str, weather: Weather) -> Result<()> {
    let all: Vec<usize> = (0..run.cluster.nodes.len()).collect();
    run.broken(fault, &all, false, format!("{weather:?}"));
    run.net()?.relay()?.set(weather);
    let rested = run.rest_between(2000, 8000);
    run.net()?.relay()?.set(Weather::default());
    run.mended(fault, &all);
    let counts = run.net()?.relay()?.counts();
    let [passed, repeated, corrupted] =
        [&counts.passed, &counts.repeated, &counts.corrupted].map(|count| count.load(Ordering::Relaxed));
    println!("  the relay has passed {passed} packets, repeated {repeated}, corrupted {corrupted}");
    rested
}

/// Packets take 5 to 150 ms longer.
pub fn delay(run: &mut Run) -> Result<()> {
    let delay = run.dice.between(Duration::from_millis(5), Duration::from_millis(150));
    weather(run, "delay", Weather { delay, ..Weather::default() })
}

/// Packets take very different times, and overtake one another.
pub fn jitter(run: &mut Run) -> Result<()> {
    let jitter = run.dice.between(Duration::from_millis(5), Duration::from_millis(80));
    weather(run, "jitter", Weather { jitter, ..Weather::default() })
}

/// Up to a third of the packets come twice.
pub fn duplication(run: &mut Run) -> Result<()> {
    let repeated = 20 + run.dice.below(300) as u32;
    weather(run, "duplication", Weather { repeated, jitter: Duration::from_millis(5), ..Weather::default() })
}

/// Up to two packets in a hundred have a bit flipped; half of them get a matching checksum.
pub fn corruption(run: &mut Run) -> Result<()> {
    let corrupted = 1 + run.dice.below(20) as u32;
    weather(run, "corruption", Weather { corrupted, ..Weather::default() })
}
