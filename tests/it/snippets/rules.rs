//! What a page's blocks must say of themselves, and what of them is checked without running anything.

use super::blocks::Block;
use super::language::Language;
use crate::support::{printed, waypost};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeSet;
use std::path::Path;

/// The flags of blocks. The last two are for readers of Rust code, and change nothing here.
const FLAGS: [&str; 6] = ["run", "norun", "background", "expect", "ignore", "noplayground"];
/// Other names of languages, and the one to use.
const OTHER_NAMES: [(&str, &str); 13] = [
    ("bash", "sh"),
    ("shell", "sh"),
    ("zsh", "sh"),
    ("console", "sh"),
    ("javascript", "js"),
    ("mjs", "js"),
    ("cjs", "js"),
    ("typescript", "ts"),
    ("python", "py"),
    ("python3", "py"),
    ("golang", "go"),
    ("exs", "elixir"),
    ("rs", "rust"),
];
/// Tables of the configuration file that are lists.
const LISTS: [&str; 1] = ["apps"];

/// What is wrong with the blocks of a page, each with its line.
pub(super) fn faults(blocks: &[Block]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut has_run = false;
    for block in blocks {
        if let Err(error) = marks(block, has_run).and_then(|()| data(block)) {
            faults.push(format!("line {}: {error:#}", block.line));
        }
        has_run |= block.has("run");
    }
    faults
}

/// Checks the flags of a block.
fn marks(block: &Block, has_run: bool) -> Result<()> {
    if let Some(unknown) = block.flags.iter().find(|flag| !FLAGS.contains(&flag.as_str())) {
        bail!("unknown flag `{unknown}`: the flags are {}", FLAGS.join(", "));
    }
    if let Some((_, name)) = OTHER_NAMES.iter().find(|(other, _)| *other == block.language) {
        bail!("write `{name}` instead of `{}`", block.language);
    }
    let (runs, stays) = (block.has("run"), block.has("norun"));
    match Language::named(&block.language) {
        Some(_) => ensure!(runs != stays, "a block of `{0}` is `{0},run` or `{0},norun`", block.language),
        None => ensure!(!runs, "no block of `{}` can be run", block.language),
    }
    ensure!(runs || !block.has("background"), "`background` goes with `run`");
    if block.has("expect") {
        ensure!(block.language == "text", "what is expected stands in a block `text,expect`");
        ensure!(has_run, "no block before this one is run");
        ensure!(!block.text.trim().is_empty(), "nothing is expected");
    }
    Ok(())
}

/// Reads data as what it says that it is.
fn data(block: &Block) -> Result<()> {
    let text = &block.text;
    if block.has("norun") {
        return Ok(());
    }
    match block.language.as_str() {
        "json" | "jsonl" | "ndjson" => {
            let mut documents = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
            Ok(documents.try_for_each(|document| document.map(drop))?)
        }
        "yaml" | "yml" => yaml_serde::Deserializer::from_str(text)
            .try_for_each(|document| IgnoredAny::deserialize(document).map(drop))
            .context("this is no YAML"),
        "toml" => {
            let table: toml::Table = toml::from_str(text)?;
            let sections = sections()?;
            match table.keys().any(|name| sections.contains(name)) {
                true => configuration(text),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The names at the top of the configuration file.
fn sections() -> Result<BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("waypost.default.toml");
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(path)?)?;
    Ok(table.keys().cloned().chain(LISTS.map(str::to_owned)).collect())
}

/// Has the program check a block as its configuration file.
fn configuration(text: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("waypost.toml");
    std::fs::write(&file, text)?;
    let output = waypost(&["config", "check"]).arg("--config").arg(&file).output()?;
    ensure!(output.status.success(), "`waypost config check` refuses it: {}", printed(&output).trim());
    Ok(())
}

#[test]
fn blocks_that_do_not_say_whether_they_run_are_faults() {
    let fault = |info: &str, text: &str| {
        let page = format!("```sh,run\ntrue\n```\n\n```{info}\n{text}\n```\n");
        faults(&super::blocks::blocks(&page).unwrap()).join("; ")
    };
    for (info, text) in [
        ("sh,run", "a"),
        ("js,norun", "a"),
        ("ts,run,background", "a"),
        ("text", "a"),
        ("swift", "a"),
        ("text,expect", "a"),
        ("json", "{\"a\": 1}\n{\"b\": 2}"),
        ("json,norun", "{\"a\": …}"),
        ("yaml", "a:\n  - b"),
        ("toml", "[dependencies]\na = 1"),
        ("toml", "[limits]\nsockets = 1000"),
    ] {
        assert_eq!(fault(info, text), "", "{info}");
    }
    for (info, text, expected) in [
        ("sh", "a", "line 5: a block of `sh` is"),
        ("py,run,norun", "a", "line 5: a block of `py` is"),
        ("bash,run", "a", "write `sh`"),
        ("swift,run", "a", "no block of `swift` can be run"),
        ("sh,norun,background", "a", "goes with `run`"),
        ("text,expect", "", "nothing is expected"),
        ("json,expect", "1", "`text,expect`"),
        ("sh,runs", "a", "unknown flag `runs`"),
        ("json", "{", "EOF"),
        ("yaml", "a: [", "no YAML"),
        ("toml", "a =", "line 5"),
        ("toml", "[limits]\nsocket = 1000", "config check"),
    ] {
        let said = fault(info, text);
        assert!(said.contains(expected), "{info}: {said:?}");
    }
}
