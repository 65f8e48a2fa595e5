//! The code of the documentation does what the documentation says.
//!
//! A block in one of the languages of [`language`] says whether it is run: `sh,run` or `sh,norun`. The blocks
//! of a page that are run, are run in their order, in one folder, with a map of their own named `demo`, at
//! one node. Their environment has:
//! - `WAYPOST_URL`, `WAYPOST_MAP` (the map's slug), `WAYPOST_TOKEN` (its token, with all scopes),
//!   `WAYPOST_ADMIN_TOKEN`;
//! - the program `waypost` in `PATH`; in JavaScript and TypeScript the packages of `tests/js` and of
//!   `clients/typescript`; in Python those of `tests/py`;
//! - what shell blocks before have exported.
//!
//! The node's address stands in a page as `127.0.0.1:4000` or `localhost:4000`, as with `waypost dev`; in
//! what is run, the map's token as `wp_…`, and the admin token as `wpa_…`. A port from 3000 to 3009 becomes
//! one that is free. For an example the folder has a copy of its files.
//!
//! A block has two minutes. One with `background`, such as `js,run,background`, is not waited for; it ends
//! with the page, as does what a shell block starts with `&`. A block `text,expect` has lines that the blocks
//! before it must have printed, in this order; `…` stands for anything.
//!
//! The README and the tutorial run once more in the order in which they are read, with one map for all.
//!
//! `WAYPOST_TEST_CHECK` chooses the pages whose paths have this text.

mod blocks;
mod expect;
mod gaps;
mod language;
mod page;
mod programs;
mod rules;

use self::blocks::{Block, blocks};
use self::page::{Page, Ran};
pub(crate) use self::page::{copy_files, packages};
use crate::support::scenario;
use crate::webhooks_support::delivering;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use testkit::Cluster;

/// The page's map.
const SLUG: &str = "demo";
/// What a newcomer reads first, in the order of its links.
const FIRST: [&str; 9] = [
    "README.md",
    "docs/tutorial/install.md",
    "docs/tutorial/first-event.md",
    "docs/tutorial/bot.md",
    "docs/tutorial/dashboard.md",
    "docs/tutorial/chat.md",
    "docs/tutorial/discord.md",
    "docs/tutorial/consumer.md",
    "docs/tutorial/three-nodes.md",
];

#[test]
fn every_block_says_whether_it_runs() {
    let mut faults = Vec::new();
    for page in pages() {
        let found = match read(&page) {
            Ok(blocks) => rules::faults(&blocks),
            Err(error) => vec![format!("{error:#}")],
        };
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", name(&page))));
    }
    assert!(faults.is_empty(), "{} blocks:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn the_blocks_of_all_pages_run() {
    let only = std::env::var("WAYPOST_TEST_CHECK").ok();
    scenario(delivering(1), |c| {
        let mut failures = String::new();
        let chosen = |page: &&PathBuf| only.as_ref().is_none_or(|only| name(page).contains(only.as_str()));
        for page in pages().iter().filter(chosen) {
            match run(c, page) {
                Ok(Ran { blocks: 0, skipped }) if skipped.is_empty() => {}
                Ok(ran) => println!("  ok: {}: {}", name(page), told(&ran)),
                Err(error) => {
                    println!("  FAILED: {}: {error:#}", name(page));
                    writeln!(failures, "* {}: {error:#}", name(page))?;
                }
            }
        }
        ensure!(failures.is_empty(), "pages that do not run:\n{failures}");
        Ok(())
    });
}

/// A newcomer has one map, in which each page finds what the pages before it left.
#[test]
fn the_readme_and_the_tutorial_run_on_one_map() {
    scenario(delivering(1), |c| {
        let map = c.map(SLUG)?;
        let url = c.nodes[0].url();
        for name in FIRST {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let blocks = read(&path)?;
            let ran = Page::new(&path, &url, &map).and_then(|mut page| page.run(&blocks)).context(name)?;
            println!("  ok: {name}: {}", told(&ran));
        }
        Ok(())
    });
}

#[test]
fn each_page_of_the_tutorial_leads_to_the_next() {
    let all: Vec<String> = pages().iter().map(|page| name(page)).collect();
    for page in all.iter().filter(|name| name.starts_with("docs/tutorial/")) {
        assert!(FIRST.contains(&page.as_str()), "{page} is not among the pages that are read first");
    }
    // The README leads past the page about packages: it has the first commands itself.
    for pair in FIRST[1..].windows(2) {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(pair[0])).unwrap();
        let next = pair[1].trim_start_matches("docs/tutorial/");
        let leads = text.split("Next: ").nth(1).is_some_and(|link| link.contains(&format!("]({next})")));
        assert!(leads, "{} does not lead to {next}", pair[0]);
    }
}

fn told(ran: &Ran) -> String {
    let skipped = match ran.skipped.is_empty() {
        true => String::new(),
        false => format!("; SKIPPED, because it is not installed: {}", ran.skipped.join(", ")),
    };
    format!("{} blocks{skipped}", ran.blocks)
}

/// Runs a page with a map of its own.
fn run(c: &Cluster, path: &Path) -> Result<Ran> {
    let blocks = read(path)?;
    if !blocks.iter().any(|block| block.has("run")) {
        return Ok(Ran::default());
    }
    let map = c.map(SLUG)?;
    let url = c.nodes[0].url();
    let ran = Page::new(path, &url, &map).and_then(|mut page| page.run(&blocks));
    forget(c).context("the maps of the page could not be deleted")?;
    ran
}

/// Deletes all maps but the system map, so that the next page finds none.
fn forget(c: &Cluster) -> Result<()> {
    let admin = c.admin(0);
    let maps = admin.get("/api/maps")?.data(200)?;
    let maps = maps.as_array().context("no list of maps")?;
    for map in maps.iter().filter(|map| map["slug"] != "waypost-system") {
        let id = map["id"].as_str().context("a map without an id")?;
        admin.delete(&format!("/api/maps/{id}"))?.expect(204)?;
    }
    Ok(())
}

fn read(page: &Path) -> Result<Vec<Block>> {
    blocks(&std::fs::read_to_string(page)?)
}

/// The page's path in the repository.
fn name(page: &Path) -> String {
    page.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(page).display().to_string()
}

/// README.md, all pages below `docs`, and each README below `clients` and `examples`.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = vec![root.join("README.md")];
    below(&root.join("docs"), &|path| path.extension().is_some_and(|end| end == "md"), &mut all);
    for folder in ["clients", "examples"] {
        below(&root.join(folder), &|path| path.ends_with("README.md"), &mut all);
    }
    all.sort();
    all
}

fn below(folder: &Path, is_page: &impl Fn(&Path) -> bool, all: &mut Vec<PathBuf>) {
    for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if !path.ends_with("node_modules") {
                below(&path, is_page, all);
            }
        } else if is_page(&path) {
            all.push(path);
        }
    }
}

#[test]
fn all_pages_are_found() {
    let names: Vec<String> = pages().iter().map(|page| name(page)).collect();
    for known in
        ["README.md", "docs/ARCHITECTURE.md", "docs/adr/0010-expressions.md", "clients/typescript/README.md"]
    {
        assert!(names.iter().any(|name| name == known), "{known} is not in {names:?}");
    }
}
