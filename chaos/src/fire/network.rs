//! Networks that part, lose, delay, repeat and corrupt.

use super::Fire;
use crate::ground::relay::Weather;
use anyhow::Result;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A node that is worth cutting off: half the time the leader.
fn victim(fire: &mut Fire) -> usize {
    if fire.dice.thousandth(500) { fire.leader() } else { fire.any() }
}

/// The other nodes.
fn others(fire: &Fire, node: usize) -> Vec<usize> {
    (0..fire.cluster.nodes.len()).filter(|other| *other != node).collect()
}

fn cut(fire: &mut Fire, fault: &str, nodes: &[usize], pairs: Vec<(usize, usize)>, most_ms: u64) -> Result<()> {
    fire.broken(fault, nodes, true, format!("{pairs:?}"));
    fire.net()?.block(pairs)?;
    let rested = fire.rest_between(1000, most_ms);
    fire.net()?.heal()?;
    fire.mended(fault, nodes);
    rested
}

/// One node is cut off from all others; clients reach all.
pub fn partition(fire: &mut Fire) -> Result<()> {
    let node = victim(fire);
    let pairs = others(fire, node).into_iter().flat_map(|other| [(node, other), (other, node)]).collect();
    cut(fire, "partition", &[node], pairs, 9000)
}

/// One node hears nothing, or nobody hears it.
pub fn one_way(fire: &mut Fire) -> Result<()> {
    let node = victim(fire);
    let deaf = fire.dice.thousandth(500);
    let pairs = others(fire, node).into_iter().map(|other| if deaf { (other, node) } else { (node, other) }).collect();
    cut(fire, "one-way partition", &[node], pairs, 9000)
}

/// Two nodes don't reach each other, and both reach the third.
pub fn non_transitive(fire: &mut Fire) -> Result<()> {
    let bridge = fire.any();
    let ends = others(fire, bridge);
    let pairs = vec![(ends[0], ends[1]), (ends[1], ends[0])];
    cut(fire, "non-transitive partition", &ends, pairs, 9000)
}

/// One node is cut off and back again, many times a round.
pub fn flapping(fire: &mut Fire) -> Result<()> {
    let node = victim(fire);
    let pairs: Vec<_> = others(fire, node).into_iter().flat_map(|other| [(node, other), (other, node)]).collect();
    for _ in 0..8 {
        fire.broken("flapping", &[node], true, "");
        fire.net()?.block(pairs.clone())?;
        let rested = fire.rest_between(50, 900);
        fire.net()?.heal()?;
        fire.mended("flapping", &[node]);
        rested?;
        fire.rest_between(50, 700)?;
    }
    Ok(())
}

/// 2 to 30 percent of all packets between nodes are lost.
pub fn loss(fire: &mut Fire) -> Result<()> {
    let percent = 2 + fire.dice.below(29) as u32;
    let all: Vec<usize> = (0..fire.cluster.nodes.len()).collect();
    fire.broken("loss", &all, true, format!("{percent} %"));
    fire.net()?.lose(percent)?;
    let rested = fire.rest_between(2000, 8000);
    fire.net()?.heal()?;
    fire.mended("loss", &all);
    rested
}

fn weather(fire: &mut Fire, fault: &str, weather: Weather) -> Result<()> {
    let all: Vec<usize> = (0..fire.cluster.nodes.len()).collect();
    fire.broken(fault, &all, false, format!("{weather:?}"));
    fire.net()?.relay()?.set(weather);
    let rested = fire.rest_between(2000, 8000);
    fire.net()?.relay()?.set(Weather::default());
    fire.mended(fault, &all);
    let counts = fire.net()?.relay()?.counts();
    let [passed, repeated, corrupted] =
        [&counts.passed, &counts.repeated, &counts.corrupted].map(|count| count.load(Ordering::Relaxed));
    println!("  the relay has passed {passed} packets, repeated {repeated}, corrupted {corrupted}");
    rested
}

/// Packets take 5 to 150 ms longer.
pub fn delay(fire: &mut Fire) -> Result<()> {
    let delay = fire.dice.between(Duration::from_millis(5), Duration::from_millis(150));
    weather(fire, "delay", Weather { delay, ..Weather::default() })
}

/// They take very different times, and overtake one another.
pub fn jitter(fire: &mut Fire) -> Result<()> {
    let jitter = fire.dice.between(Duration::from_millis(5), Duration::from_millis(80));
    weather(fire, "jitter", Weather { jitter, ..Weather::default() })
}

/// Up to a third comes twice.
pub fn duplication(fire: &mut Fire) -> Result<()> {
    let repeated = 20 + fire.dice.below(300) as u32;
    weather(fire, "duplication", Weather { repeated, jitter: Duration::from_millis(5), ..Weather::default() })
}

/// Up to two in a hundred have a bit turned, half of these under a right checksum.
pub fn corruption(fire: &mut Fire) -> Result<()> {
    let corrupted = 1 + fire.dice.below(20) as u32;
    weather(fire, "corruption", Weather { corrupted, ..Weather::default() })
}
