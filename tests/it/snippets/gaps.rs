//! A program of the documentation that resumes says so if events are no longer kept.

use super::blocks::Block;
use super::language::Language;
use super::page::Page;
use super::{SLUG, name, pages, read};
use crate::support::{publish, scenario};
use crate::webhooks_support::delivering;
use anyhow::{Context, ensure};
use serde_json::json;
use testkit::http::text;

/// What a program says then.
const SAID: &str = "some events are no longer kept: load everything again";
/// Words of programs that resume: with a position that they have kept, or because `EventSource` keeps it.
const RESUMES: [&str; 4] = ["Last-Event-ID", "last-event-id", "last_event_id", "new EventSource("];
/// Languages of blocks that are no programs.
const NO_PROGRAMS: [&str; 4] = ["", "text", "json", "sh"];

#[test]
fn every_program_that_resumes_names_the_gap() {
    let mut programs = 0;
    let mut faults = Vec::new();
    for page in pages() {
        for block in read(&page).unwrap() {
            let is_program = !NO_PROGRAMS.contains(&block.language.as_str());
            if !is_program || !RESUMES.iter().any(|word| block.text.contains(word)) {
                continue;
            }
            programs += 1;
            if !block.text.contains("gap") {
                faults.push(format!("{}: line {}", name(&page), block.line));
            }
        }
    }
    assert!(programs > 10, "the programs are elsewhere");
    assert!(faults.is_empty(), "these programs resume and never look at `gap`:\n{}", faults.join("\n"));
}

/// Each program of the pages about languages resumes after an event that the map does not have.
#[test]
fn programs_that_follow_say_what_is_no_longer_kept() {
    scenario(delivering(1), |c| {
        let map = c.map(SLUG)?;
        let url = c.nodes[0].url();
        let first = publish(c, 0, &map, "add_system", json!({"name": "Jita"}))?;
        publish(c, 0, &map, "add_system", json!({"name": "Amarr"}))?;
        // The id of no event: another number in the same entry of the log.
        let unknown = format!("{}9", &text(&first, "id")?[..25]);
        let mut programs = 0;
        for path in pages().iter().filter(|page| name(page).starts_with("docs/clients/")) {
            for block in read(path)?.into_iter().filter(follows) {
                programs += 1;
                let what = format!("{}: line {}", name(path), block.line);
                // Some programs say the time before it.
                let says = Block::expecting(block.line, format!("…{SAID}\n"));
                let resumes = Block { text: resuming(&block.text, &unknown), ..block };
                Page::new(path, &url, &map)?.run(&[resumes, says]).context(what)?;
            }
        }
        ensure!(programs >= 7, "only {programs} programs follow a map");
        Ok(())
    });
}

/// Whether the block is a program that is run and follows a map.
fn follows(block: &Block) -> bool {
    Language::named(&block.language).is_some() && block.has("run") && block.text.contains("backfill")
}

/// The program with a position to resume after, in place of the number of events to begin with.
fn resuming(program: &str, position: &str) -> String {
    let in_query = replaced(program, "backfill=", &format!("last_event_id={position}"));
    replaced(&in_query, "backfill: ", &format!("last_event_id: \"{position}\""))
}

/// Replaces a name and the digits that follow it.
fn replaced(text: &str, name: &str, by: &str) -> String {
    let mut parts = text.split(name);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(by);
        out.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

#[test]
fn a_program_gets_its_position_in_the_query_or_as_a_parameter() {
    assert_eq!(resuming("a?backfill=10&b (backfill=1)", "X"), "a?last_event_id=X&b (last_event_id=X)");
    assert_eq!(resuming("{ a, backfill: 1 }", "X"), "{ a, last_event_id: \"X\" }");
}
