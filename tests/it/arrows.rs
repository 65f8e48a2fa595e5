//! The dependency rules of the source tree: reads the `use` lines and the paths within code, and checks which
//! module names which. The modules of the server are the folders and files of `src/`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::rust_code::{code_below, paths, paths_below, rust_files, words};

/// A module, the modules that it may not name, and the crates that it may not name.
const RULES: &[(&str, &[&str], &[&str])] = &[
    (
        "src/core",
        &["hub", "delivery", "edge", "server", "cli", "config"],
        &["actix", "actix_rt", "actix_web", "actix_http", "hyper", "tokio", "waypost_cluster"],
    ),
    ("src/hub", &["delivery", "edge", "server", "cli"], &["actix_web", "actix_http", "hyper"]),
    ("src/delivery", &["edge", "server", "cli"], &[]),
    ("src/edge", &["server", "cli"], &[]),
    ("cluster/src", &[], &["actix", "actix_rt", "actix_web", "actix_http", "hyper", "waypost"]),
    ("chaos/src", &[], &["waypost", "waypost_cluster", "actix", "actix_web"]),
    ("chaos/sim/src", &[], &["waypost", "waypost_cluster", "actix", "actix_web"]),
    ("chaos/testkit/src", &[], &["chaos", "waypost", "waypost_cluster", "actix", "actix_web"]),
    ("chaos/checker/src", &[], &["chaos", "testkit", "waypost", "waypost_cluster"]),
];

/// The client protocols; none names another.
const PROTOCOLS: &[&str] = &["phoenix", "pusher", "live", "sse", "ingest"];

/// The protocol names that are no common words: they may not occur in other code's names and strings either.
const PROTOCOL_WORDS: &[&str] = &["phoenix", "pusher", "sse"];

/// The table of client protocols: the only file outside their folders that names one.
const TABLE: &str = "src/edge/mod.rs";

/// Clocks and I/O, which core may not use.
const CLOCKS: &[&str] =
    &["std::time::SystemTime", "std::time::Instant", "std::fs", "std::net", "std::thread"];

#[test]
fn dependencies_point_down_only() {
    let mut broken = Vec::new();
    for (module, modules, crates) in RULES {
        for (file, path) in paths_below(module) {
            let mut parts = path.split("::");
            let first = parts.next().unwrap_or("");
            let second = parts.next().unwrap_or("");
            let up = matches!(first, "crate" | "waypost") && modules.contains(&second);
            if up || crates.contains(&first) {
                broken.push(format!("{}: {path}", file.display()));
            }
            if *module == "src/core" && CLOCKS.iter().any(|c| path.starts_with(c)) {
                broken.push(format!("{}: {path} (core uses no clock and no I/O)", file.display()));
            }
        }
    }
    assert!(broken.is_empty(), "dependencies that point up:\n{}", broken.join("\n"));
}

/// How code asks for the date.
const DATES: &[&str] = &["SystemTime", "crate::clock", "now_utc", "now_local", "UtcDateTime::now"];

/// The tests of core are files of core here: `make later` leaves them out, because no date changes them.
#[test]
fn core_reads_no_date_nor_do_its_tests() {
    let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core"));
    assert!(files.iter().any(|file| file.ends_with("consumer/shares/tests.rs")), "{files:?}");
    let mut broken = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let read = DATES.iter().filter(|date| text.contains(**date));
        broken.extend(read.map(|date| format!("{}: {date}", file.display())));
    }
    assert!(broken.is_empty(), "core reads a date:\n{}", broken.join("\n"));
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
                let named = [
                    format!("crate::edge::{other}"),
                    format!("super::{other}"),
                    format!("super::super::{other}"),
                ];
                // Within a protocol's folder, `super::x` is a file of that folder if it exists.
                let local = file.parent().is_some_and(|d| d.join(format!("{other}.rs")).exists())
                    && !file.parent().is_some_and(|d| d.ends_with("edge"));
                let hit = named.iter().any(|n| path == *n || path.starts_with(&format!("{n}::")));
                if hit && !(local && path.starts_with("super::")) {
                    broken.push(format!("{}: {path}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "protocols that name each other:\n{}", broken.join("\n"));
}

/// Settings and state of a protocol stay in its folder: neither the rest of the edge nor the composition root
/// names it.
#[test]
fn only_the_table_names_a_protocol() {
    let mut broken = Vec::new();
    for (file, code) in code_below("src/edge").into_iter().chain(code_below("src/server")) {
        let of_protocol = |own: &&str| file.starts_with(format!("src/edge/{own}"));
        if file != Path::new(TABLE) && !PROTOCOLS.iter().any(of_protocol) {
            broken
                .extend(protocols_named(&code).into_iter().map(|name| format!("{}: {name}", file.display())));
        }
    }
    assert!(broken.is_empty(), "protocols that are named outside their folders:\n{}", broken.join("\n"));
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

/// Returns the client protocols that code names, by a path or within a word.
fn protocols_named(code: &str) -> BTreeSet<String> {
    let modules = paths(code).into_iter().filter(|path| {
        let mut parts = path.split("::");
        parts.any(|part| matches!(part, "edge" | "super")) && parts.any(|part| PROTOCOLS.contains(&part))
    });
    modules.chain(words(code).filter(|word| PROTOCOL_WORDS.contains(&word.as_str()))).collect()
}

/// Crates and words of one kind of worker; the consumer rules use none of them.
const WORKERS: &[&str] = &["webhook", "http", "hyper", "status", "profile", "rustls", "lambda"];

#[test]
fn consumers_name_no_worker() {
    let mut broken = Vec::new();
    let mut files = 0;
    for (file, code) in code_below("src/core/consumer") {
        files += 1;
        let code = code.to_lowercase();
        let words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let known = words.filter(|word| WORKERS.iter().any(|worker| word.contains(worker)));
        broken.extend(known.map(|word| format!("{}: {word}", file.display())));
    }
    assert!(files > 10, "src/core/consumer has too few files");
    assert!(broken.is_empty(), "consumers that name a worker:\n{}", broken.join("\n"));
}

/// Only two modules encode what is stored or sent (docs/adr/0004).
#[test]
fn only_the_wire_modules_use_bincode() {
    let known = ["src/core/codec.rs", "cluster/src/wire/mod.rs"];
    let named = ["src", "cluster/src"]
        .into_iter()
        .flat_map(paths_below)
        .filter(|(_, path)| path.starts_with("bincode"));
    let files: BTreeSet<PathBuf> = named.map(|(file, _)| file).collect();
    assert_eq!(files, known.into_iter().map(PathBuf::from).collect());
}

/// The caller hands in the environment, so that tests need no global state.
#[test]
fn the_configuration_reads_no_environment() {
    let read: Vec<_> =
        paths_below("src/config").into_iter().filter(|(_, path)| path.starts_with("std::env")).collect();
    assert!(read.is_empty(), "{read:?}");
}
