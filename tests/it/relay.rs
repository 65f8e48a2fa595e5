//! The relay: what an application writes into a table or a file is published once, in order, whoever dies.

pub(crate) mod postgres;

use self::postgres::Postgres;
use crate::support::{nodes, printed, scenario, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use testkit::background::Background;
use testkit::cluster::Map;
use testkit::{Cluster, wait};

/// Transactions of each writer.
const TRANSACTIONS: u64 = 60;
const WRITERS: u64 = 4;

/// A relay that is killed when it is dropped.
struct Relay(Child);

impl Relay {
    fn start(c: &Cluster, map: &Map, arguments: &[&str]) -> Result<Self> {
        let mut command = command(c, map, arguments);
        Ok(Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?))
    }

    fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// A command for all nodes with the map's token.
fn command(c: &Cluster, map: &Map, arguments: &[&str]) -> Command {
    let mut command = waypost(arguments);
    command.env("WAYPOST_URL", c.urls_from(0).join(",")).env("WAYPOST_TOKEN", &map.token);
    command.stdin(Stdio::null());
    command
}

/// Runs a relay to its end, which must be a success.
pub(crate) fn run(c: &Cluster, map: &Map, arguments: &[&str]) -> Result<()> {
    let output = command(c, map, arguments).output()?;
    ensure!(output.status.success(), "{arguments:?}: {}", printed(&output));
    Ok(())
}

/// Runs a relay that must fail, and returns what it says.
fn fails(c: &Cluster, map: &Map, arguments: &[&str]) -> Result<String> {
    let output = command(c, map, arguments).output()?;
    ensure!(!output.status.success(), "{arguments:?} succeeded");
    Ok(printed(&output))
}

/// All events of the map, of all subjects, in order.
pub(crate) fn stored(c: &Cluster, map: &Map) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("{}?subjects=*&limit=1000{after}", map.events());
        let page = c.api(c.up()?, map).get(&path)?.expect(200)?.json()?;
        all.extend(page["data"].as_array().context("no data")?.iter().cloned());
        match page["cursor"].as_str() {
            Some(cursor) if page["has_more"] == true => after = format!("&after={cursor}"),
            _ => return Ok(all),
        }
    }
}

/// A member of all payloads.
fn members(events: &[Value], name: &str) -> Vec<String> {
    events.iter().map(|event| event["payload"][name].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn rows_are_published_once_in_the_order_of_commits() {
    let Some(database) = Postgres::start().unwrap() else { return };
    scenario(nodes(3), |c| {
        let map = c.map("outbox")?;
        database.execute(&printed(&waypost(&["relay", "schema"]).output()?))?;
        a_later_commit_comes_later(c, &map, &database)?;
        everybody_dies(c, &map, &database)
    });
}

/// A transaction that begins first and commits last is published last.
fn a_later_commit_comes_later(c: &Cluster, map: &Map, database: &Postgres) -> Result<()> {
    let insert = |name: &str| {
        format!(
            "INSERT INTO waypost_outbox (type, subject, payload) VALUES ('row', 'rows', '{{\"name\": \"{name}\"}}');"
        )
    };
    let mut slow = database.session()?;
    slow.say(&format!("BEGIN; {} SELECT 'begun';", insert("begun first")))?;
    slow.hear("begun")?;
    database.execute(&insert("committed first"))?;
    database.execute(&format!("BEGIN; {} ROLLBACK;", insert("never committed")))?;
    let dsn = database.dsn();
    run(c, map, &["relay", "postgres", &map.slug, "--dsn", &dsn, "--once"])?;
    ensure!(members(&stored(c, map)?, "name") == ["committed first"]);
    slow.say(&format!("{} COMMIT; SELECT 'done';", insert("begun first, second row")))?;
    slow.hear("done")?;
    run(c, map, &["relay", "postgres", &map.slug, "--dsn", &dsn, "--once"])?;
    let names = members(&stored(c, map)?, "name");
    ensure!(names == ["committed first", "begun first", "begun first, second row"], "{names:?}");
    Ok(())
}

/// Relays, the database and a node are killed while several transactions at a time write rows.
fn everybody_dies(c: &mut Cluster, map: &Map, database: &Postgres) -> Result<()> {
    let dsn = database.dsn();
    let arguments = ["relay", "postgres", &map.slug, "--dsn", &dsn, "--batch", "7"];
    let before = stored(c, map)?.len();
    let writers: Vec<Background<()>> = (0..WRITERS)
        .map(|writer| {
            let database = database.client();
            Background::start(move |stop| {
                for n in 0..TRANSACTIONS {
                    ensure!(!stop.load(Ordering::Relaxed), "stopped before the end");
                    database.insert(writer, n)?;
                }
                Ok(())
            })
        })
        .collect();
    let mut relays = [Relay::start(c, map, &arguments)?, Relay::start(c, map, &arguments)?];
    for round in 1..=6 {
        // Each kill comes after something was published, so that relays are killed at work.
        let published = stored(c, map)?.len();
        wait::until("more rows to be published", || {
            let is_over = writers.iter().all(Background::is_over);
            Ok((is_over || stored(c, map)?.len() > published).then_some(()))
        })?;
        match round {
            2 => database.restart()?,
            4 => {
                c.nodes[0].kill9()?;
                c.bring_back(0)?;
            }
            _ => {
                let relay = &mut relays[round % 2];
                relay.kill()?;
                *relay = Relay::start(c, map, &arguments)?;
            }
        }
    }
    wait::until("the writers to end", || Ok(writers.iter().all(Background::is_over).then_some(())))?;
    writers.into_iter().try_for_each(Background::stop)?;
    relays.iter_mut().try_for_each(Relay::kill)?;
    run(c, map, &["relay", "postgres", &map.slug, "--dsn", &dsn, "--once"])?;
    let published = members(&stored(c, map)?[before..], "id");
    let rows = database.lines(
        "SELECT id FROM waypost_outbox WHERE type = 'written' AND published_at IS NOT NULL ORDER BY commit_order",
    )?;
    ensure!(rows.len() as u64 == WRITERS * TRANSACTIONS * 2, "{} rows", rows.len());
    ensure!(published == rows, "{} events for {} rows, or in another order", published.len(), rows.len());
    Ok(())
}

#[test]
fn a_row_that_is_refused_stops_the_relay_or_is_set_aside() {
    let Some(database) = Postgres::start().unwrap() else { return };
    scenario(nodes(1), |c| {
        let map = c.map("refused-rows")?;
        let dsn = database.dsn();
        let once = ["relay", "postgres", &map.slug, "--dsn", &dsn, "--once"];
        let said = fails(c, &map, &once)?;
        ensure!(said.contains("waypost relay schema"), "{said}");
        database.execute(&printed(&waypost(&["relay", "schema"]).output()?))?;
        for (kind, name) in [("good", "a"), ("a,b", "b"), ("good", "c")] {
            let row = format!("('{kind}', '{{\"name\": \"{name}\"}}')");
            database.execute(&format!("INSERT INTO waypost_outbox (type, payload) VALUES {row}"))?;
        }
        let said = fails(c, &map, &once)?;
        ensure!(said.contains("is refused") && said.contains("--set-aside"), "{said}");
        ensure!(stored(c, &map)?.is_empty(), "something of the batch was published");
        run(c, &map, &["relay", "postgres", &map.slug, "--dsn", &dsn, "--once", "--set-aside"])?;
        ensure!(members(&stored(c, &map)?, "name") == ["a", "c"]);
        let aside =
            database.lines("SELECT payload->>'name' FROM waypost_outbox WHERE refused IS NOT NULL")?;
        ensure!(aside == ["b"], "{aside:?}");
        let nobody = Map { token: "wp_nobody".to_owned(), ..map.clone() };
        database.execute("INSERT INTO waypost_outbox (type, payload) VALUES ('good', '{}')")?;
        let said = fails(c, &nobody, &once)?;
        ensure!(said.contains("the relay of waypost_outbox stopped"), "{said}");
        Ok(())
    });
}

#[test]
fn the_lines_of_a_file_are_published_once_through_kills_and_a_new_file() {
    scenario(nodes(1), |c| {
        let map = c.map("lines")?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("events.ndjson");
        let file = path.to_str().context("a path that is not text")?;
        let arguments = ["relay", "file", &map.slug, file, "--batch", "5"];
        let mut expected = Vec::new();
        let mut of_old_files = 0;
        for part in 0..3 {
            append(&path, part, 40, &mut expected)?;
            // The first relay is killed anywhere, the second one in this file: a file is not replaced again
            // before the one before it is published.
            for least in [0, of_old_files] {
                let least = least.max(stored(c, &map)?.len());
                let mut relay = Relay::start(c, &map, &arguments)?;
                wait::until("lines to be published", || {
                    let published = stored(c, &map)?.len();
                    Ok((published > least || published == expected.len()).then_some(()))
                })?;
                relay.kill()?;
            }
            append(&path, part, 10, &mut expected)?;
            fs::rename(&path, folder.path().join(format!("events.{part}")))?;
            of_old_files = expected.len();
        }
        append(&path, 3, 5, &mut expected)?;
        // The last replaced file is read to its end.
        refused_lines(c, &map, &path, &mut expected)
    });
}

/// Appends lines to a file.
fn append(path: &Path, part: u64, lines: u64, expected: &mut Vec<String>) -> Result<()> {
    let mut file = File::options().create(true).append(true).open(path)?;
    for _ in 0..lines {
        let name = format!("{part}-{}", expected.len());
        writeln!(file, "{}", json!({"type": "line", "payload": {"name": name}}))?;
        expected.push(name);
    }
    Ok(())
}

/// A line that is refused stops the relay, or is set aside. The lines before it and after it are published.
fn refused_lines(c: &Cluster, map: &Map, path: &Path, expected: &mut Vec<String>) -> Result<()> {
    let file = path.to_str().context("a path that is not text")?;
    let bad = ["{\"type\":\"a,b\",\"payload\":1}", "no JSON"];
    for line in bad {
        writeln!(File::options().append(true).open(path)?, "{line}")?;
        append(path, 4, 3, expected)?;
    }
    let once = ["relay", "file", &map.slug, file, "--once"];
    let said = fails(c, map, &once)?;
    ensure!(said.contains("is refused") && said.contains("--set-aside"), "{said}");
    run(c, map, &["relay", "file", &map.slug, file, "--once", "--set-aside"])?;
    let names = members(&stored(c, map)?, "name");
    ensure!(names == *expected, "{names:?} instead of {expected:?}");
    ensure!(fs::read_to_string(format!("{file}.refused"))?.lines().eq(bad));
    run(c, map, &once)?;
    ensure!(stored(c, map)?.len() == expected.len(), "a line was published twice");
    Ok(())
}
