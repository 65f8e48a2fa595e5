//! Many subjects on one node, each with one reader: joining costs the same however many there are, a topic that has no events
//! yet is small, and an event of one of them reaches its reader and wakes nobody else. `WAYPOST_TEST_SUBJECTS` makes it larger.

use crate::support::{fresh_key, nodes, scale, scenario};
use crate::webhooks_support::map;
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::Map;

/// Most bytes of the node's memory that a reader of its own subject may cost, its connection included.
const EACH: u64 = 96 * 1024;
const LIMIT: Duration = Duration::from_secs(60);
/// Readers that are between asking and being answered.
const JOINING: usize = 64;
/// The second half of the readers may take so many times the CPU of the first; joins whose cost grows with the number of
/// readers take three times as much.
const SECOND_HALF: f64 = 2.0;
/// What the kernel's count of CPU seconds and the node's other work may add.
const CPU_SLACK: f64 = 0.25;

/// A stream of one subject.
struct Reader {
    stream: TcpStream,
    text: String,
}

impl Reader {
    fn open(c: &Cluster, map: &Map, subject: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(c.nodes[0].http)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let (path, token) = (map.events(), &map.token);
        write!(stream, "GET {path}/stream?subjects={subject}&token={token} HTTP/1.1\r\nhost: x\r\n\r\n")?;
        Ok(Self { stream, text: String::new() })
    }

    /// Reads until that has come.
    fn until(&mut self, what: &str) -> Result<()> {
        let (start, mut bytes) = (Instant::now(), [0; 4096]);
        while !self.text.contains(what) {
            ensure!(start.elapsed() < LIMIT, "{what} did not come, but {}", self.text);
            match self.stream.read(&mut bytes)? {
                0 => bail!("the stream ended after {}", self.text),
                n => self.text.push_str(&String::from_utf8_lossy(&bytes[..n])),
            }
        }
        Ok(())
    }

    /// What has come meanwhile.
    fn rest(&mut self) -> Result<&str> {
        self.stream.set_nonblocking(true)?;
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => bail!("the stream ended after {}", self.text),
                Ok(n) => self.text.push_str(&String::from_utf8_lossy(&bytes[..n])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.stream.set_nonblocking(false)?;
        Ok(&self.text)
    }
}

fn metric(c: &Cluster, name: &str) -> Result<u64> {
    let text = String::from_utf8(c.admin(0).get("/metrics")?.expect(200)?.body)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.with_context(|| format!("no {name}"))?.trim().parse().context("a number")
}

fn publish(c: &Cluster, map: &Map, subject: &str) -> Result<()> {
    let body = json!({"type": "x", "subject": subject, "payload": {"of": subject}});
    c.api(0, map).post_once(&map.events(), &fresh_key(), &body)?.expect(201)?;
    Ok(())
}

/// Readers of so many subjects, some at once, and the node's CPU seconds for them.
fn join(c: &Cluster, map: &Map, subjects: Range<usize>) -> Result<(Vec<Reader>, f64)> {
    let (before, mut readers) = (c.nodes[0].cpu_seconds()?, Vec::<Reader>::with_capacity(subjects.len()));
    let mut joined = 0;
    for subject in subjects {
        readers.push(Reader::open(c, map, &format!("s-{subject}"))?);
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
        c.wait_until("a topic for each", |c| Ok((metric(c, "waypost_topics")? == count as u64).then_some(())))?;
        let each = c.nodes[0].rss()?.saturating_sub(before) / count as u64;
        let took = start.elapsed();
        println!("{count} readers in {took:?}, CPU {first:.2} and {second:.2} s for each half, {each} bytes each");
        ensure!(second < first * SECOND_HALF + CPU_SLACK, "joins get dearer: {first} s, then {second} s");
        ensure!(each < EACH, "{each} bytes for each of {count} subjects");
        let woken = metric(c, "waypost_topic_wakeups_total")?;
        publish(c, &map, "s-7")?;
        readers[7].until("\"of\":\"s-7\"")?;
        publish(c, &map, "s-none")?;
        ensure!(metric(c, "waypost_topic_wakeups_total")? == woken + 1, "others were woken");
        for (n, reader) in readers.iter_mut().enumerate() {
            ensure!(reader.rest()?.matches("\"payload\":{").count() == usize::from(n == 7), "{n}: {}", reader.text);
        }
        // All of them, in one request.
        let events: Vec<_> =
            (0..count).map(|n| json!({"type": "x", "subject": format!("s-{n}"), "payload": {"of": n}})).collect();
        for events in events.chunks(500) {
            let body = json!({"events": events});
            c.api(0, &map).post_once(&map.events(), &fresh_key(), &body)?.expect(201)?;
        }
        for (n, reader) in readers.iter_mut().enumerate() {
            reader.until(&format!("\"of\":{n}}}"))?;
        }
        Ok(())
    });
}
