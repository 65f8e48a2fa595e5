//! Typical mistakes, and what is said about them: each answer names what is wrong and what to do. The table of
//! all answers is docs/mistakes.md, and this test holds that it is true.
//!
//! After a text was changed on purpose, `WAYPOST_WRITE_MISTAKES=1` makes the test write the table anew.

mod place;
mod table;

use self::place::Place;
use self::table::{MISTAKES, Tried, page};
use crate::support::{nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::Path;
use testkit::Cluster;
use testkit::cluster::ADMIN;
use testkit::http::Api;

/// The page with the table.
const PAGE: &str = "docs/mistakes.md";

#[test]
fn each_mistake_is_answered_with_what_is_wrong_and_what_to_do() {
    scenario(nodes(3).set("WAYPOST_LIMITS_EVENT_BYTES", 4096), |cluster| {
        let mut place = Place::prepare(cluster)?;
        let mut answers = Vec::new();
        let mut faults = Vec::new();
        for mistake in MISTAKES {
            if matches!(mistake.tried, Tried::WithoutMajority(_)) {
                lose_majority(cluster)?;
            }
            let told = place.told(&mistake.tried).context(mistake.what)?;
            let lacks = mistake.names.iter().filter(|name| !told.contains(**name));
            faults.extend(lacks.map(|name| format!("{}: {name:?} is not in: {told}", mistake.what)));
            answers.push((mistake.what, told));
        }
        ensure!(faults.is_empty(), "{}", faults.join("\n"));
        compare(&page(&answers))
    });
}

/// Leaves the first node without a majority, and waits until it knows.
fn lose_majority(cluster: &mut Cluster) -> Result<()> {
    for node in [1, 2] {
        cluster.nodes[node].kill9()?;
    }
    // A leader takes events for some seconds more, and can't say what becomes of them.
    let api = Api::new(&cluster.nodes[0].url(), Some(ADMIN));
    let event = json!({"type": "note", "payload": 1});
    cluster.wait_until("the first node to miss the others", |_| {
        let said = api.post("/api/maps/shop/events", &event)?;
        Ok(said.text().contains("no leader with a majority: not stored").then_some(()))
    })
}

/// Compares the page with what was said, or writes it.
fn compare(said: &str) -> Result<()> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("WAYPOST_WRITE_MISTAKES").is_some() {
        return Ok(std::fs::write(file, said)?);
    }
    let page = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let differs = said.lines().filter(|line| !page.lines().any(|written| written == *line));
    let differs: Vec<&str> = differs.collect();
    let advice = "WAYPOST_WRITE_MISTAKES=1 writes it anew";
    ensure!(differs.is_empty(), "{PAGE} lacks what is said ({advice}):\n{}", differs.join("\n"));
    ensure!(page == said, "{PAGE} has lines that nobody says, or another order ({advice})");
    Ok(())
}
