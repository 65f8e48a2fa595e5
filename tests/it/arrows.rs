//! The house's arrows: reads the `use` lines, and the paths within code, and holds who may know
//! whom. Rooms of the server are the folders and files of `src/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A room, what of the house it may not name, and which crates it may not name.
const RULES: &[(&str, &[&str], &[&str])] = &[
    (
        "src/core",
        &["hub", "delivery", "edge", "server", "cli", "config"],
        &["actix", "actix_rt", "actix_web", "actix_http", "actix_web_actors", "hyper", "tokio", "waypost_cluster"],
    ),
    ("src/hub", &["delivery", "edge", "server", "cli"], &["actix_web", "actix_http", "actix_web_actors", "hyper"]),
    ("src/delivery", &["edge", "server", "cli"], &[]),
    ("src/edge", &["server", "cli"], &[]),
    ("cluster/src", &[], &["actix", "actix_rt", "actix_web", "actix_http", "actix_web_actors", "hyper", "waypost"]),
    ("chaos/src", &[], &["waypost", "waypost_cluster", "actix", "actix_web"]),
    ("chaos/sim/src", &[], &["waypost", "waypost_cluster", "actix", "actix_web"]),
    ("chaos/testkit/src", &[], &["chaos", "waypost", "waypost_cluster", "actix", "actix_web"]),
    ("chaos/checker/src", &[], &["chaos", "testkit", "waypost", "waypost_cluster"]),
];

/// Client protocols: none names another.
const PROTOCOLS: &[&str] = &["phoenix", "pusher", "live", "sse", "ingest"];

/// Their names that are no common words: these stand in no name and no text of others' code either.
const PROTOCOL_WORDS: &[&str] = &["phoenix", "pusher", "sse"];

/// The table of client protocols: the only file outside of their folders that names one.
const TABLE: &str = "src/edge/mod.rs";

/// Clocks: core has none.
const CLOCKS: &[&str] = &["std::time::SystemTime", "std::time::Instant", "std::fs", "std::net", "std::thread"];

#[test]
fn arrows_point_down_only() {
    let mut broken = Vec::new();
    for (room, rooms, crates) in RULES {
        for (file, path) in paths_below(room) {
            let mut parts = path.split("::");
            let (first, second) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let up = matches!(first, "crate" | "waypost") && rooms.contains(&second);
            if up || crates.contains(&first) {
                broken.push(format!("{}: {path}", file.display()));
            }
            if *room == "src/core" && CLOCKS.iter().any(|c| path.starts_with(c)) {
                broken.push(format!("{}: {path} (core is pure)", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "arrows that point up:\n{}", broken.join("\n"));
}

#[test]
fn no_edge_protocol_knows_another() {
    let mut broken = Vec::new();
    for own in PROTOCOLS {
        let mut found = paths_below(&format!("src/edge/{own}"));
        found.extend(paths_below(&format!("src/edge/{own}.rs")));
        for (file, path) in found {
            let others = PROTOCOLS.iter().filter(|other| *other != own);
            for other in others {
                let named =
                    [format!("crate::edge::{other}"), format!("super::{other}"), format!("super::super::{other}")];
                // Within a protocol's folder, `super::x` is a file of its own, if there is one.
                let local = file.parent().is_some_and(|d| d.join(format!("{other}.rs")).exists())
                    && !file.parent().is_some_and(|d| d.ends_with("edge"));
                let hit = named.iter().any(|n| path == *n || path.starts_with(&format!("{n}::")));
                if hit && !(local && path.starts_with("super::")) {
                    broken.push(format!("{}: {path}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "protocols that know each other:\n{}", broken.join("\n"));
}

/// A protocol brings its own settings and state: nobody else in the edge knows it, nor does the composition root.
#[test]
fn only_the_table_names_a_protocol() {
    let mut broken = Vec::new();
    for (file, code) in code_below("src/edge").into_iter().chain(code_below("src/server")) {
        let of_protocol = |own: &&str| file.starts_with(format!("src/edge/{own}"));
        if file != Path::new(TABLE) && !PROTOCOLS.iter().any(of_protocol) {
            broken.extend(protocols_named(&code).into_iter().map(|name| format!("{}: {name}", file.display())));
        }
    }
    assert!(broken.is_empty(), "protocols that are named outside of their folders:\n{}", broken.join("\n"));
}

#[test]
fn names_of_protocols_are_found() {
    for (code, found) in [
        ("use crate::edge::live;", true),
        ("use crate::edge::{query, ingest::x};", true),
        ("super::sse::start(config)", true),
        ("phoenix: PhoenixConfig,", true),
        ("session.sse_keepalive_seconds", true),
        (r#"["origin", "x-phoenix-authtoken"]"#, true),
        ("struct SseForm;", true),
        ("Start::Live, live, is_live(assess, sses)", false),
    ] {
        assert_eq!(!protocols_named(code).is_empty(), found, "{code}: {:?}", protocols_named(code));
    }
}

/// The client protocols that code names, by a path or within a word.
fn protocols_named(code: &str) -> BTreeSet<String> {
    let modules = paths(code).into_iter().filter(|path| {
        let mut parts = path.split("::");
        parts.any(|part| matches!(part, "edge" | "super")) && parts.any(|part| PROTOCOLS.contains(&part))
    });
    modules.chain(words(code).into_iter().filter(|word| PROTOCOL_WORDS.contains(&word.as_str()))).collect()
}

/// The words that names and texts are made of: `SseForm` and `sse_form` have `sse` and `form`.
fn words(code: &str) -> BTreeSet<String> {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in code.chars() {
        if c.is_uppercase() && !before.is_uppercase() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
        before = c;
    }
    spaced.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Crates and words of one kind of worker: the rules of consumers know none.
const WORKERS: &[&str] = &["webhook", "http", "hyper", "status", "profile", "rustls", "lambda"];

#[test]
fn consumers_know_no_worker() {
    let (mut broken, mut files) = (Vec::new(), 0);
    for (file, code) in code_below("src/core/consumer") {
        files += 1;
        let code = code.to_lowercase();
        let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let known = words.filter(|word| WORKERS.iter().any(|worker| word.contains(worker)));
        broken.extend(known.map(|word| format!("{}: {word}", file.display())));
    }
    assert!(files > 10, "the consumers' rules are elsewhere");
    assert!(broken.is_empty(), "consumers that know a worker:\n{}", broken.join("\n"));
}

#[test]
fn only_the_session_knows_the_deprecated_actors() {
    let files: BTreeSet<PathBuf> = paths_below("src")
        .into_iter()
        .filter(|(_, path)| path.starts_with("actix_web_actors"))
        .map(|(file, _)| file)
        .collect();
    assert!(files.len() <= 1, "actix-web-actors belongs to one file: {files:?}");
}

#[test]
fn uses_are_flattened() {
    let text = "use crate::{hub::{a, b as c}, core};\npub(crate) use tokio as t;\n// use actix;\nfn f() { crate::edge::x(); }\n#[cfg(test)]\nmod tests { use actix; }";
    let expected = ["crate::hub::a", "crate::hub::b", "crate::core", "tokio", "crate::edge::x"];
    let found: Vec<String> = paths(&code(text));
    for path in expected {
        assert!(found.iter().any(|f| f == path), "{path} is not in {found:?}");
    }
    assert!(!found.iter().any(|f| f.starts_with("actix")), "{found:?}");
}

/// All paths that the Rust files at or below `folder` name, with their files.
fn paths_below(folder: &str) -> Vec<(PathBuf, String)> {
    let of = |(file, code): (PathBuf, String)| paths(&code).into_iter().map(move |path| (file.clone(), path));
    code_below(folder).into_iter().flat_map(of).collect()
}

/// The code of the Rust files at or below `folder`: without comments and tests.
fn code_below(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    rust_files(&root.join(folder), &mut files);
    // A room may be one file instead of a folder.
    rust_files(&root.join(format!("{folder}.rs")), &mut files);
    files
        .into_iter()
        // Tests in files of their own may name what they like, as those within a file may.
        .filter(|file| {
            !file.components().any(|part| ["tests", "tests.rs"].iter().any(|name| part.as_os_str() == *name))
        })
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            (file.strip_prefix(root).unwrap_or(&file).to_owned(), code(&text))
        })
        .collect()
}

fn rust_files(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_file() && path.extension().is_some_and(|e| e == "rs") {
        found.push(path.to_owned());
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        rust_files(&entry.path(), found);
    }
}

/// A file's code, without comments. What tests name is theirs: it ends at the first `#[cfg(test)]`.
fn code(text: &str) -> String {
    let code = text.lines().take_while(|l| l.trim() != "#[cfg(test)]").map(|l| l.split("//").next().unwrap_or(""));
    code.collect::<Vec<_>>().join("\n")
}

/// The paths of `use` statements, flattened, and those written out within code.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        let start = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end();
            before.is_empty() || before.ends_with([')', '}', ']', '{']) || before.ends_with("pub")
        });
        if let Some(at) = start {
            flatten("", &statement[at + 4..], &mut found);
        }
    }
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    found.extend(code.split(|c| !word(c)).filter(|w| w.contains("::")).map(str::to_owned));
    found
}

/// `a::{b, c::{d as e}}` → `a::b`, `a::c::d`.
fn flatten(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((head, rest)) => {
            let prefix = format!("{prefix}{}", head.trim());
            let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
            let (mut depth, mut start) = (0, 0);
            for (at, c) in inner.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        flatten(&prefix, &inner[start..at], found);
                        start = at + 1;
                    }
                    _ => {}
                }
            }
            flatten(&prefix, &inner[start..], found);
        }
        None if tree.is_empty() => {}
        None => {
            let name = tree.split_whitespace().next().unwrap_or(tree);
            found.push(format!("{prefix}{name}"));
        }
    }
}
