//! Checks that types have small interfaces and that functions fit on a screen, in `src/` and `cluster/src/`.
//! Tests may be longer.
//!
//! The files are formatted by rustfmt: an item begins and ends at its own indentation.

use crate::rust_code::{code, code_below};
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// The source folders of the crates.
const CRATES: &[&str] = &["src", "cluster/src"];

/// The most public methods of one type.
const MOST_METHODS: usize = 20;
/// The most lines of code of one function, with its signature.
const MOST_LINES: usize = 60;

/// Types that still have more methods: folder, name, number. None may grow, and no new one may come.
const LARGE_TYPES: &[(&str, &str, usize)] = &[];

/// Functions that are still longer: file, name, lines. None may grow, and no new one may come.
const LONG_FUNCTIONS: &[(&str, &str, usize)] = &[];

#[test]
fn types_have_small_interfaces() {
    let mut methods: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (file, code) in CRATES.iter().flat_map(|folder| code_below(folder)) {
        for name in public_methods(&code) {
            *methods.entry((folder_of(&file), name)).or_default() += 1;
        }
    }
    assert!(methods.len() > 100, "too few types were found");
    let measured = methods.into_iter().map(|((folder, name), count)| (folder, name, count));
    check("public methods", measured, MOST_METHODS, LARGE_TYPES);
}

#[test]
fn functions_fit_on_a_screen() {
    let mut measured = Vec::new();
    for (file, code) in CRATES.iter().flat_map(|folder| code_below(folder)) {
        let file = file.display().to_string();
        measured.extend(functions(&code).into_iter().map(|(name, lines)| (file.clone(), name, lines)));
    }
    assert!(measured.len() > 2000, "too few functions were found");
    check("lines", measured, MOST_LINES, LONG_FUNCTIONS);
}

/// Checks that nothing measures more than `most`, except for the `known`, which may not measure more than
/// noted.
fn check(
    what: &str,
    measured: impl IntoIterator<Item = (String, String, usize)>,
    most: usize,
    known: &[(&str, &str, usize)],
) {
    let mut broken = Vec::new();
    let mut standing = Vec::new();
    for (location, name, size) in measured {
        let noted = known.iter().find(|(at, of, _)| *at == location && *of == name);
        match noted {
            _ if size <= most => {}
            Some(entry) if size <= entry.2 => standing.push((*entry, size)),
            _ => broken.push(format!("{location}: {name} has {size} {what}")),
        }
    }
    for entry in known.iter().filter(|entry| !standing.contains(&(**entry, entry.2))) {
        eprintln!("smaller now, shorten the list: {entry:?}");
    }
    assert!(broken.is_empty(), "more than {most} {what}:\n{}", broken.join("\n"));
}

/// Returns the folder of a file, at most two levels deep. In such a folder a type's name names one type.
fn folder_of(file: &Path) -> String {
    let folders = file.parent().into_iter().flat_map(Path::components).take(2).map(Component::as_os_str);
    folders.map(|folder| folder.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Returns, for each public method, the name of its type.
fn public_methods(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut own = None;
    for line in code.lines() {
        if line.starts_with("impl") {
            own = inherent_type(line);
        } else if line.starts_with('}') {
            own = None;
        } else if let Some(name) = &own
            && line.strip_prefix("    pub ").is_some_and(is_function)
        {
            found.push(name.clone());
        }
    }
    found
}

/// Returns the type of an `impl` without a trait.
fn inherent_type(line: &str) -> Option<String> {
    let mut rest = line.strip_prefix("impl")?;
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.char_indices().find(|(at, c)| {
            // The end of an arrow closes no bracket.
            match c {
                '<' => depth += 1,
                '>' if !rest[..*at].ends_with('-') => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        rest = &rest[end?.0 + 1..];
    }
    if rest.contains(" for ") {
        return None;
    }
    Some(rest.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

/// Whether an item without its visibility is a function.
fn is_function(item: &str) -> bool {
    let words = item.split_whitespace().skip_while(|word| ["const", "async", "unsafe"].contains(word));
    words.take(1).any(|word| word == "fn")
}

/// Returns the functions with a body, and the number of lines of code of each.
fn functions(code: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = code.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let item = line.trim_start();
        let item = match item.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(')').map_or(rest, |(_, item)| item),
            Some(rest) if rest.starts_with(' ') => rest,
            _ => item,
        };
        if !is_function(item) {
            continue;
        }
        let name = item.split_once("fn ").map_or(item, |(_, rest)| rest);
        let name = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let opening = lines[at..].iter().position(|line| line.ends_with(['{', ';', '}']));
        let Some(opening) = opening.filter(|opening| lines[at + opening].ends_with('{')) else { continue };
        let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
        let length = lines[at + opening..].iter().position(|line| line.starts_with(&end));
        found.push((name, opening + length.unwrap_or_default() + 1));
    }
    found
}

#[test]
fn public_methods_are_counted() {
    let text = "pub fn free() {}\nimpl A {\n    pub fn a() {}\n    pub async fn b() {}\n    pub(super) fn c() {}\n    \
                fn d() {}\n    pub const E: u8 = 1;\n    #[cfg(test)]\n    pub fn f() {}\n}\n\
                impl<T: Fn() -> u8, U: Into<V<T>>> B<T, U> {\n    pub const fn a() {}\n}\nimpl C for A {\n    \
                pub fn a() {}\n}\n";
    assert_eq!(public_methods(&code(text)), ["A", "A", "B"]);
}

#[test]
fn lines_of_functions_are_counted() {
    let text = "fn one() {}\ntrait T {\n    fn declared(\n        &self,\n    );\n}\nimpl A {\n    \
                // said of it\n    pub(in crate::x) async fn long(\n        a: u8,\n    ) -> u8\n    where\n        \
                B: C,\n    {\n\n        // why\n        if a {\n            b\n        }\n    }\n\n    \
                fn short() {\n        1\n    }\n}\n";
    assert_eq!(functions(&code(text)), [("long".to_owned(), 10), ("short".to_owned(), 3)]);
}

#[test]
#[should_panic(expected = "src/x: B has 3 things")]
fn known_exceptions_may_not_grow() {
    let measured =
        [("A", 2), ("B", 3), ("C", 1)].map(|(name, size)| ("src/x".to_owned(), name.to_owned(), size));
    check("things", measured, 1, &[("src/x", "A", 2), ("src/x", "B", 2)]);
}
