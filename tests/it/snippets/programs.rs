//! Programs of the documentation where something goes wrong: those that keep their position go on there after
//! they were killed, those that publish repeat what got no answer, and each ends with a sentence where it can't
//! go on.

use super::blocks::Block;
use super::language::Language;
use super::page::Page;
use super::{SLUG, name, pages, read};
use crate::support::{publish, scenario};
use crate::webhooks_support::delivering;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::receiver::{Behaviour, Body, Receiver, Reply};

/// The page of the tutorial whose program keeps its position.
const BOT: &str = "docs/tutorial/bot.md";
/// The files in which programs keep their positions.
const POSITIONS: [&str; 2] = ["follow.position", "bot.position"];
/// Libraries that try again after every refusal, or don't show what the server says of it.
const LIBRARIES: [&str; 2] = ["new EventSource(", "new Socket("];
/// Events that come while a program does not run: more than the bot asks for when it begins anew.
const MISSED: usize = 12;

/// A program, and the page on which it stands.
struct Program {
    path: PathBuf,
    block: Block,
}

impl Program {
    fn name(&self) -> String {
        format!("{}: line {}", name(&self.path), self.block.line)
    }

    /// The file in which it keeps its position, if it does.
    fn position(&self) -> Option<&'static str> {
        POSITIONS.into_iter().find(|file| self.block.text.contains(file))
    }

    /// Whether it publishes an event.
    fn publishes(&self) -> bool {
        self.block.text.to_lowercase().contains("idempotency-key")
    }

    /// Starts it, and waits until it has printed lines with these names, in this order.
    fn prints(&self, page: &mut Page<'_>, names: &[String]) -> Result<()> {
        let lines: Vec<String> = names.iter().map(|name| format!("…{name}…\n")).collect();
        let expected = Block::expecting(self.block.line, lines.concat());
        page.run(&[self.block.with_flags(&["run", "background"]), expected]).map(drop)
    }
}

/// The programs that are run, of the bot and of the pages about languages.
fn programs() -> Result<Vec<Program>> {
    let mut all = Vec::new();
    let is_program = |block: &Block| {
        block.has("run")
            && Language::named(&block.language).is_some_and(|language| language != Language::Shell)
    };
    for path in pages() {
        if name(&path) == BOT || name(&path).starts_with("docs/clients/") {
            let blocks = read(&path)?.into_iter().filter(is_program);
            all.extend(blocks.map(|block| Program { path: path.clone(), block }));
        }
    }
    Ok(all)
}

/// Publishes an event with each name, for the bot and for programs that follow systems. These begin with the newest
/// event of all, which must be one of theirs.
fn announce(c: &Cluster, map: &Map, names: &[String]) -> Result<()> {
    for name in names {
        publish(c, 0, map, "order_paid", json!({"order": name}))?;
        publish(c, 0, map, "add_system", json!({"name": name}))?;
    }
    Ok(())
}

#[test]
fn a_program_that_is_killed_misses_nothing() {
    scenario(delivering(1), |c| {
        let map = c.map(SLUG)?;
        let url = c.nodes[0].url();
        let programs = programs()?;
        let keeping = programs.iter().filter(|program| program.position().is_some());
        for (number, program) in keeping.clone().enumerate() {
            let names: Vec<String> = (0..=MISSED).map(|event| format!("{number}-{event:02}.")).collect();
            let mut page = Page::new(&program.path, &url, &map)?;
            let mut killed = || -> Result<()> {
                announce(c, &map, &names[..1])?;
                program.prints(&mut page, &names[..1])?;
                page.kill();
                announce(c, &map, &names[1..])?;
                program.prints(&mut page, &names[1..])
            };
            killed().with_context(|| program.name())?;
        }
        ensure!(keeping.count() == 7, "six languages and the bot keep a position");
        Ok(())
    });
}

/// The event that stopped it is noted, so it does not stop it again.
#[test]
fn the_bot_goes_on_after_what_stopped_it() {
    scenario(delivering(1), |c| {
        let map = c.map(SLUG)?;
        let url = c.nodes[0].url();
        let bot = programs()?.into_iter().find(|program| name(&program.path) == BOT).context("no bot")?;
        let mut page = Page::new(&bot.path, &url, &map)?;
        for order in ["first", "second"] {
            publish(c, 0, &map, "order_paid", json!({"order": order}))?;
            publish(c, 0, &map, "stop", json!({}))?;
            let thanks = Block::expecting(bot.block.line, format!("thank you for order {order}\n"));
            page.run(&[bot.block.clone(), thanks]).context(order)?;
        }
        Ok(())
    });
}

/// Gives no answer first, and then one that is not the last word.
fn forgetful() -> Behaviour {
    let mut requests = 0;
    Box::new(move |_| {
        requests += 1;
        match requests {
            1 => Reply::new(201).body(Body::Close),
            2 => Reply::new(503).json(&json!({"error": "unknown_outcome"})),
            _ => Reply::new(201).json(&json!({"data": {"type": "add_system"}})),
        }
    })
}

#[test]
fn what_got_no_answer_is_published_again_with_its_key() {
    scenario(delivering(1), |c| {
        let map = c.map(SLUG)?;
        let receiver = Receiver::start()?;
        let (url, path) = (receiver.url(""), format!("/api/maps/{SLUG}/events"));
        let mut publishers = 0;
        for program in programs()?.iter().filter(|program| program.publishes()) {
            publishers += 1;
            receiver.forget(&path);
            receiver.on(&path, forgetful());
            let ran = Page::new(&program.path, &url, &map)?.run(std::slice::from_ref(&program.block));
            let is_here = ran.with_context(|| program.name())?.skipped.is_empty();
            let requests = receiver.requests(&path);
            let keys: BTreeSet<_> =
                requests.iter().map(|request| request.header("idempotency-key")).collect();
            let once = requests.len() == 3 && keys.len() == 1 && !keys.contains(&None);
            ensure!(once || !is_here, "{}: {}", program.name(), receiver.dump(&path));
        }
        ensure!(publishers == 6, "{publishers} programs publish");
        Ok(())
    });
}

#[test]
fn programs_end_with_a_sentence_where_they_cannot_go_on() {
    scenario(delivering(1), |c| {
        let map = c.map(SLUG)?;
        let url = c.nodes[0].url();
        let programs = programs()?;
        for program in &programs {
            let mut page = Page::new(&program.path, &url, &map)?;
            ends(program, &mut page).with_context(|| program.name())?;
        }
        ensure!(programs.len() >= 20, "only {} programs", programs.len());
        Ok(())
    });
}

/// Runs a program without its variables, with a position that was lost, and with a wrong token.
fn ends(program: &Program, page: &mut Page<'_>) -> Result<()> {
    let block = &program.block;
    for variable in ["WAYPOST_URL", "WAYPOST_MAP", "WAYPOST_TOKEN"] {
        page.set(variable, "")?;
        page.fails(block, &format!("…{variable} is not set: `waypost dev` prints it\n"))?;
    }
    if let Some(file) = program.position() {
        // The variables are those of the page again.
        page.set("WAYPOST_MAP", SLUG)?;
        fs::write(page.file(file), "")?;
        page.fails(block, &format!("…{file} is empty: …\n"))?;
        fs::remove_file(page.file(file))?;
    }
    if LIBRARIES.iter().any(|library| block.text.contains(library)) {
        return Ok(());
    }
    page.set("WAYPOST_TOKEN", "wp_wrong")?;
    page.fails(block, "…refused: …a valid token is needed…\n")
}
