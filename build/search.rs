//! The index for the search within the pages: for each section its words, each once.

use crate::markdown::Section;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The shortest word that is found (characters).
const SHORTEST: usize = 3;
/// The length of the text that is shown of a section that was found (characters).
const SHOWN: usize = 120;

/// The entries of a page's sections.
pub(crate) fn entries(page: &str, title: &str, sections: &[Section]) -> Vec<Value> {
    let filled = |section: &&Section| !section.heading.is_empty() || !section.text.trim().is_empty();
    let entry = |section: &Section| {
        let words = words(&format!("{} {}", section.heading, section.text));
        let text: Vec<&str> = section.text.split_whitespace().collect();
        let shown: String = text.join(" ").chars().take(SHOWN).collect();
        json!({"p": page, "t": title, "h": section.heading, "a": section.anchor, "x": shown, "w": words})
    };
    sections.iter().filter(filled).map(entry).collect()
}

/// The different words of a text, in lower case, with blanks between them.
fn words(text: &str) -> String {
    let is_of_word = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.');
    let words: BTreeSet<String> = text
        .split(|char| !is_of_word(char))
        .map(|word| word.trim_matches(['.', '-']).to_lowercase())
        .filter(|word| word.chars().count() >= SHORTEST)
        .collect();
    words.into_iter().collect::<Vec<_>>().join(" ")
}
