//! Many subjects on one node, each with one reader: joining costs the same however many there are, a topic that has no events
//! yet is small, and an event of one of them reaches its reader and wakes nobody else. `WAYPOST_TEST_SUBJECTS` makes it larger.

use crate::support::{nodes, scale, scenario};
use crate::webhooks_support::map;
use anyhow::{Result, ensure};
use serde_json::json;
use std::ops::Range;
use std::time::Instant;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::stream::Stream;

/// Most bytes of the node's memory that a reader of its own subject may cost, its connection included.
const EACH: u64 = 96 * 1024;
/// Readers that are between asking and being answered.
const JOINING: usize = 64;
/// The second half of the readers may take so many times the CPU of the first; joins whose cost grows with the number of
/// readers take three times as much.
const SECOND_HALF: f64 = 2.0;
/// What the kernel's count of CPU seconds and the node's other work may add.
const CPU_SLACK: f64 = 0.25;

/// A stream of one subject.
fn open(c: &Cluster, map: &Map, subject: &str) -> Result<Stream> {
    let path = format!("{}/stream?subjects={subject}&token={}", map.events(), map.token);
    Stream::get(c.nodes[0].http, &path, None, &[])
}

fn publish(c: &Cluster, map: &Map, subject: &str) -> Result<()> {
    let body = json!({"type": "x", "subject": subject, "payload": {"of": subject}});
    c.publish(0, map, &body)?;
    Ok(())
}

/// Readers of so many subjects, some at once, and the node's CPU seconds for them.
fn join(c: &Cluster, map: &Map, subjects: Range<usize>) -> Result<(Vec<Stream>, f64)> {
    let (before, mut readers) = (c.nodes[0].cpu_seconds()?, Vec::<Stream>::with_capacity(subjects.len()));
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
        c.wait_until("a topic for each", |c| Ok((c.metric(0, "waypost_topics", "")? == count as u64).then_some(())))?;
        let each = c.nodes[0].rss()?.saturating_sub(before) / count as u64;
        let took = start.elapsed();
        println!("{count} readers in {took:?}, CPU {first:.2} and {second:.2} s for each half, {each} bytes each");
        ensure!(second < first * SECOND_HALF + CPU_SLACK, "joins get dearer: {first} s, then {second} s");
        ensure!(each < EACH, "{each} bytes for each of {count} subjects");
        let woken = c.metric(0, "waypost_topic_wakeups_total", "")?;
        publish(c, &map, "s-7")?;
        readers[7].until("\"of\":\"s-7\"")?;
        publish(c, &map, "s-none")?;
        ensure!(c.metric(0, "waypost_topic_wakeups_total", "")? == woken + 1, "others were woken");
        for (n, reader) in readers.iter_mut().enumerate() {
            reader.poll()?;
            let text = reader.body();
            ensure!(text.matches("\"payload\":{").count() == usize::from(n == 7), "{n}: {text}");
        }
        // All of them, in one request.
        let events: Vec<_> =
            (0..count).map(|n| json!({"type": "x", "subject": format!("s-{n}"), "payload": {"of": n}})).collect();
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
