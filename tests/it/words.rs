//! Holds that words which were replaced do not come back: one word has one meaning (docs/GLOSSARY.md).

use crate::rust_code::{rust_files, words};
use std::path::Path;

/// Words that are gone, and the word to use instead. A word counts wherever it is part of a name: `seal` also
/// finds `seal_key`.
const REPLACED: &[(&str, &str)] = &[
    ("outlet", "dispatcher"),
    ("outbox", "subscriber"),
    ("vitals", "health"),
    ("shelf", "attempt history"),
    ("untold", "unreported"),
    ("landing", "completion"),
    ("doomed", "tombstone"),
    ("picker", "compatibility API"),
    ("seal", "encryption, or checksum, or tag"),
    ("sealed", "encrypted"),
    ("judge", "evaluator, verifier, policy or checker"),
    ("judges", "evaluators, or checks"),
    ("judged", "evaluated, or checked"),
    ("oracle", "checker"),
    ("crowd", "fleet"),
    ("ground", "environment"),
    ("endpoint", "webhook"),
    ("endpoints", "webhooks"),
    ("buried", "given up"),
    ("bury", "give up"),
];

/// Where a word is somebody else's: a file, a word.
const OTHERS: &[(&str, &str)] = &[
    // AWS calls the address of a region so.
    ("src/cli/config.rs", "endpoint"),
    ("src/config/tests.rs", "endpoint"),
    ("src/config/validate.rs", "endpoint"),
    ("src/config/webhooks.rs", "endpoint"),
    ("src/core/webhook/patch/target.rs", "endpoint"),
    ("src/delivery/webhook/lambda.rs", "endpoint"),
    ("src/delivery/webhook/lambda/tests.rs", "endpoint"),
    ("src/server/settings.rs", "endpoint"),
    ("tests/it/webhook_api/refused.rs", "endpoint"),
    ("tests/it/receivers/fleet.rs", "endpoint"),
    ("tests/it/webhook_preview.rs", "endpoint"),
    ("tests/it/webhooks_answers.rs", "endpoint"),
    ("tests/it/webhooks_lambda.rs", "endpoint"),
    // So do collectors of traces.
    ("src/config/otel.rs", "endpoint"),
    ("src/config/shared.rs", "endpoint"),
    ("src/server.rs", "endpoint"),
    ("src/server/otlp.rs", "endpoint"),
    ("src/spans.rs", "endpoint"),
    ("tests/it/traces.rs", "endpoint"),
    // So does OpenID Connect what it names in an issuer's document.
    ("src/core/oidc/discovery.rs", "endpoint"),
    ("src/core/oidc/tests.rs", "endpoint"),
    ("tests/it/oidc.rs", "endpoint"),
    // The field's name for a table of events that a transaction writes.
    ("src/cli/relay/table.rs", "outbox"),
    ("tests/it/relay.rs", "outbox"),
    ("tests/it/relay/postgres.rs", "outbox"),
    ("tests/it/examples.rs", "outbox"),
    // The name of a product, and of its receiver.
    ("tests/it/receivers/fleet.rs", "picker"),
    ("src/delivery/webhook/render/envelope.rs", "picker"),
];

#[test]
fn replaced_words_do_not_come_back() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "cluster", "chaos", "benches", "tests"];
    let files: Vec<_> = folders.iter().flat_map(|folder| rust_files(&root.join(folder))).collect();
    assert!(files.len() > 300, "the sources are elsewhere");
    let mut found = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with("it/words.rs")) {
        let name = file.strip_prefix(root).unwrap_or(file);
        let text = std::fs::read_to_string(file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let written: Vec<String> = words(line).collect();
            for (old, new) in REPLACED.iter().filter(|(old, _)| written.iter().any(|word| word == old)) {
                if !OTHERS.iter().any(|(path, word)| name == Path::new(path) && word == old) {
                    found.push(format!("{}:{}: {old} (use {new})", name.display(), number + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{} old words:\n{}", found.len(), found.join("\n"));
}

#[test]
fn words_are_found_inside_names() {
    let found: Vec<String> = words("let SEALED_key = SealKey::of(a.sealMark);").collect();
    assert_eq!(found, ["let", "sealed", "key", "seal", "key", "of", "a", "seal", "mark"]);
}
