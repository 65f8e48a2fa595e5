//! A test: the program takes every command line of it that stands in a runbook, with its options.
#![allow(clippy::unwrap_used)]

use super::Cli;
use clap::Parser;
use clap::error::ErrorKind;
use std::path::Path;

/// What ends a command in a line of the shell.
const ENDS: [&str; 6] = ["|", "||", ">", "2>&1", "&", ";"];

/// The command lines of the program in the shell blocks of a page, each as its words.
fn commands(page: &str) -> Vec<Vec<String>> {
    let mut in_block = false;
    let mut found = Vec::new();
    // A command may go on in the next line.
    let page = page.replace("\\\n", " ");
    for line in page.lines().map(str::trim) {
        if line.starts_with("```") {
            in_block = line == "```sh" || line.starts_with("```sh,");
        } else if in_block && !line.starts_with('#') {
            found.extend(without_substitutions(line).split("&&").filter_map(command));
        }
    }
    found
}

/// The line with a word in place of each `$(…)`.
fn without_substitutions(line: &str) -> String {
    let mut parts = line.split("$(");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole.push_str("some");
        whole.push_str(part.split_once(')').map_or("", |(_, rest)| rest));
    }
    whole
}

/// The words of a command, if it is one of the program. Variables may stand before it.
fn command(text: &str) -> Option<Vec<String>> {
    let words = text.split_whitespace().skip_while(|word| word.starts_with("WAYPOST_") && word.contains('='));
    let words: Vec<String> = words
        .take_while(|word| !ENDS.contains(word))
        .map(|word| word.trim_matches(['\'', '"', ';']).to_owned())
        .collect();
    (words.first()? == "waypost").then_some(words)
}

#[test]
fn every_command_in_the_runbooks_is_one_that_the_program_takes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbooks");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        for words in commands(&std::fs::read_to_string(&path).unwrap()) {
            count += 1;
            let Err(error) = Cli::try_parse_from(&words) else { continue };
            // The file of certificates is read with the command line, and is not here.
            let lacks_a_file =
                error.kind() == ErrorKind::ValueValidation && words.iter().any(|w| w == "--ca");
            assert!(lacks_a_file, "{}: {}: {error}", path.display(), words.join(" "));
        }
    }
    assert!(count > 40, "{count} commands were found");
}

#[test]
fn commands_are_found_in_blocks_of_the_shell_only() {
    let page = "waypost no\n```sh,norun\n# waypost no\nA=1 x\nWAYPOST_A=b waypost publish check ping '{}' | cat\n\
                waypost cluster backup \\\n  w-$(date +%F).backup && waypost map list > x &\n```\n```text\nwaypost no\n```\n";
    let found: Vec<String> = commands(page).iter().map(|words| words.join(" ")).collect();
    assert_eq!(
        found,
        ["waypost publish check ping {}", "waypost cluster backup w-some.backup", "waypost map list"]
    );
}
