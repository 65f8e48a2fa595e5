//! Many subjects on one node, each with one reader: joining costs the same however many there are, a topic
//! without events is small, and an event reaches the reader of its subject and wakes no other.
//! `WAYPOST_TEST_SUBJECTS` makes it larger.

use crate::support::{nodes, scale, scenario};
use crate::webhooks_support::map;
use anyhow::{Result, ensure};
use serde_json::json;
use std::ops::Range;
use std::time::Instant;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::stream::Stream;

/// The most memory of the node that a reader of its own subject may cost (bytes), its connection included.
const EACH: u64 = 96 * 1024;
/// The readers that may join at the same time.
const JOINING: usize = 64;
/// The CPU time that the second half of the readers may take, as a multiple of the first half's. If the cost
/// of a join grew with the number of readers, the second half would take three times as much.
const SECOND_HALF: f64 = 2.0;
/// Allowance for the resolution of the kernel's CPU times and for the node's other work (s).
const CPU_SLACK: f64 = 0.25;

/// Opens a stream of one subject.
fn open(c: &Cluster, map: &Map, subject: &str) -> Result<Stream> {
    let path = format!("{}/stream?subjects={subject}&token={}", map.events(), map.token);
    Stream::get(c.nodes[0].http, &path, None, &[])
}

fn publish(c: &Cluster, map: &Map, subject: &str) -> Result<()> {
    let body = json!({"type": "x", "subject": subject, "payload": {"of": subject}});
    c.publish(0, map, &body)?;
    Ok(())
}

/// Opens a reader of each subject, several at once; returns the readers and the node's CPU seconds for them.
fn join(c: &Cluster, map: &Map, subjects: Range<usize>) -> Result<(Vec<Stream>, f64)> {
    let before = c.nodes[0].cpu_seconds()?;
    let mut readers = Vec::<Stream>::with_capacity(subjects.len());
    let mut joined = 0;
    for subject in subjects {
        readers.push(open(c, map, &format!("s-{subject}"))?);
        if readers.len() - joined == JOINING {
            readers[joined].until("event: connected")?;
            joined += 1;
        }
    }
    readers[joined..].iter_mut().try_for_each(|reader| reader.until("event: connected"))?;
    Ok((readers, c.nodes[0].cpu_seconds()? - before))
}

#[test]
fn each_subject_has_a_reader_of_its_own() {
    let count = scale("WAYPOST_TEST_SUBJECTS", 1000) as usize;
    scenario(nodes(1), |c| {
        let map = map(c, "many")?;
        publish(c, &map, "warm")?;
        let before = c.nodes[0].rss()?;
        let start = Instant::now();
        let (mut readers, first) = join(c, &map, 0..count / 2)?;
        let (more, second) = join(c, &map, count / 2..count)?;
        readers.extend(more);
        c.wait_until("a topic for each subject", |c| {
            Ok((c.metric(0, "waypost_topics", "")? == count as u64).then_some(()))
        })?;
        let each = c.nodes[0].rss()?.saturating_sub(before) / count as u64;
        let took = start.elapsed();
        println!(
            "{count} readers in {took:?}, CPU {first:.2} and {second:.2} s for each half, {each} bytes each"
        );
        ensure!(
            second < first * SECOND_HALF + CPU_SLACK,
            "later joins cost more: {first} s, then {second} s"
        );
        ensure!(each < EACH, "{each} bytes for each of {count} subjects");
        let woken = c.metric(0, "waypost_topic_wakeups_total", "")?;
        publish(c, &map, "s-7")?;
        readers[7].until("\"of\":\"s-7\"")?;
        publish(c, &map, "s-none")?;
        ensure!(c.metric(0, "waypost_topic_wakeups_total", "")? == woken + 1, "other readers were woken");
        for (n, reader) in readers.iter_mut().enumerate() {
            reader.poll()?;
            let text = reader.body();
            ensure!(text.matches("\"payload\":{").count() == usize::from(n == 7), "{n}: {text}");
        }
        // An event for every reader.
        let events: Vec<_> = (0..count)
            .map(|n| json!({"type": "x", "subject": format!("s-{n}"), "payload": {"of": n}}))
            .collect();
        for events in events.chunks(500) {
            let body = json!({"events": events});
            c.publish(0, &map, &body)?;
        }
        for (n, reader) in readers.iter_mut().enumerate() {
            reader.until(&format!("\"of\":{n}}}"))?;
        }
        Ok(())
    });
}
