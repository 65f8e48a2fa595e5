//! Reads the Rust files of the source tree: the `use` statements and the paths in their code, without
//! comments and tests.

use std::path::{Path, PathBuf};

/// One name that a `use` statement brings into a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// The full path as written: `super::store::Store`.
    pub(crate) path: String,
    /// The name in the file: the last part of the path, or the alias after `as`; `*` for all names.
    pub(crate) name: String,
    /// Whether other files may import it from here (`pub use`, `pub(crate) use`).
    pub(crate) is_exported: bool,
}

/// Returns all paths that the Rust files at or below `folder` name, with their files.
pub(crate) fn paths_below(folder: &str) -> Vec<(PathBuf, String)> {
    let of = |(file, code): (PathBuf, String)| paths(&code).into_iter().map(move |path| (file.clone(), path));
    code_below(folder).into_iter().flat_map(of).collect()
}

/// Returns the code of the Rust files at or below `folder` (relative to the repository), without comments and
/// tests.
pub(crate) fn code_below(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A module may be one file instead of a folder.
    let paths = [root.join(folder), root.join(format!("{folder}.rs"))];
    let files = paths.iter().flat_map(|path| rust_files(path));
    files
        // Test files may name anything, like the test modules within a file.
        .filter(|file| {
            !file.components().any(|part| ["tests", "tests.rs"].iter().any(|name| part.as_os_str() == *name))
        })
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            (file.strip_prefix(root).unwrap_or(&file).to_owned(), code(&text))
        })
        .collect()
}

/// Returns the Rust files at or below a path, without those of other people.
pub(crate) fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.extension().is_some_and(|end| end == "rs") && path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let own = entries.filter(|path| !path.ends_with("node_modules") && !path.ends_with("target"));
    own.flat_map(|path| rust_files(&path)).collect()
}

/// Returns a file's code, without comments and without items that only tests have.
pub(crate) fn code(text: &str) -> String {
    let mut code = Vec::new();
    let mut lines = text.lines().map(|line| line.split("//").next().unwrap_or(""));
    while let Some(line) = lines.next() {
        let attribute = line.trim();
        if !attribute.starts_with("#[cfg(test)]") && !attribute.starts_with("#[cfg(all(test") {
            code.push(line);
            continue;
        }
        // In rustfmt's format an item ends in its first line, or at a line with the same indentation.
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_one_line = |line: &str| line.ends_with([';', '}', ',']);
        let Some(first) = lines.find(|line| !line.trim().is_empty() && !line.trim().starts_with("#[")) else {
            break;
        };
        if !is_one_line(first.trim_end()) {
            let is_end =
                |line: &str| line.starts_with(indent) && line[indent.len()..].starts_with(['}', ')', ';']);
            let _ = lines.find(|line| is_end(line) && is_one_line(line.trim_end()));
        }
    }
    code.join("\n")
}

/// Returns the paths of `use` statements, flattened, and those written out within code.
pub(crate) fn paths(code: &str) -> Vec<String> {
    let (uses, rest) = split_uses(code);
    uses.into_iter().map(|found| found.path).chain(written_paths(&rest)).collect()
}

/// Returns the names that `use` statements import, and the code without these statements.
pub(crate) fn split_uses(code: &str) -> (Vec<Use>, String) {
    let mut uses = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        let start = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end();
            before.is_empty() || before.ends_with([')', '}', ']', '{']) || before.ends_with("pub")
        });
        let Some(at) = start else {
            rest.push_str(statement);
            continue;
        };
        let before = statement[..at].trim_end();
        let is_exported =
            before.ends_with("pub") || before.rfind("pub(").is_some_and(|at| !before[at..].contains('\n'));
        let tree = statement[at + 4..].trim_end_matches(';');
        flatten("", tree, &mut |path, name| uses.push(Use { path, name, is_exported }));
        rest.push_str(&statement[..at]);
    }
    (uses, rest)
}

/// Returns every path within code that has `::`.
pub(crate) fn written_paths(code: &str) -> impl Iterator<Item = String> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(move |c| !word(c)).filter(|w| w.contains("::")).map(str::to_owned)
}

/// The words that names and sentences are made of, in small letters: `TopicKey` and `topic_key` have `topic` and
/// `key`.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> + use<> {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in text.chars() {
        if c.is_uppercase() && !before.is_uppercase() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
        before = c;
    }
    let words: Vec<String> = spaced.split(|c: char| !c.is_alphabetic()).map(str::to_owned).collect();
    words.into_iter().filter(|word| !word.is_empty())
}

/// Flattens `a::{b, c::{self, d as e}}` to `a::b`, `a::c`, and `a::c::d` with the name `e`.
fn flatten(prefix: &str, tree: &str, found: &mut impl FnMut(String, String)) {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((head, rest)) => {
            let prefix = format!("{prefix}{}", head.trim());
            let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
            let mut depth = 0;
            let mut start = 0;
            for (at, c) in inner.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        flatten(&prefix, &inner[start..at], &mut *found);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
            flatten(&prefix, &inner[start..], found);
        }
        None if tree.is_empty() => {}
        None => {
            let mut words = tree.split_whitespace();
            let path = format!("{prefix}{}", words.next().unwrap_or(tree));
            let path = path.strip_suffix("::self").unwrap_or(&path).to_owned();
            let last = path.rsplit("::").next().unwrap_or(&path).to_owned();
            let alias = words.skip_while(|word| *word != "as").nth(1).map(str::to_owned);
            found(path, alias.unwrap_or(last));
        }
    }
}

#[test]
fn use_statements_are_flattened() {
    let text = "use crate::{hub::{self, a, b as c}, core};\npub(crate) use tokio as t;\n// use actix;\n\
                fn f() { crate::edge::x(); }\n#[cfg(test)]\nmod tests { use actix; }";
    let expected = ["crate::hub", "crate::hub::a", "crate::hub::b", "crate::core", "tokio", "crate::edge::x"];
    let found: Vec<String> = paths(&code(text));
    assert_eq!(found, expected);
    let (uses, _) = split_uses(&code(text));
    let names: Vec<(&str, bool)> =
        uses.iter().map(|found| (found.name.as_str(), found.is_exported)).collect();
    assert_eq!(names, [("hub", false), ("a", false), ("c", false), ("core", false), ("t", true)]);
}

#[test]
fn only_items_of_tests_are_left_out() {
    let text = "#[cfg(test)]\nmod stage;\nuse a::A;\nimpl A {\n    #[cfg(test)]\n    fn len(&self) -> usize {\n        \
                b::B\n    }\n\n    fn c(&self) { c::C }\n}\n#[cfg(all(test, x))]\n#[allow(y)]\nmod tests {\n    d::D\n}\n\
                fn e() { e::E }\n";
    assert_eq!(paths(&code(text)), ["a::A", "c::C", "e::E"]);
}
