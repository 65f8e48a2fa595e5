//! The list of pages beside each page. It shows the pages of the part that the page is in, and the headings of the
//! other parts: every page has the list, so it must be short.

use crate::paths::{escaped, root, served};
use crate::summary::Entry;

/// The page that shows all parts.
const FIRST: &str = "index.html";

/// The navigation of the page `current`. `top` has titles and sources of the pages at the top, which are shown
/// where there is no list.
pub(crate) fn navigation(top: &[(&str, &str)], entries: &[Entry], current: &str) -> String {
    let items: String = if entries.is_empty() {
        top.iter().map(|(title, source)| item(title, source, 0, current)).collect()
    } else {
        let parts = split(entries, |entry| matches!(entry, Entry::Part(_)));
        parts.into_iter().map(|part| shown(part, current)).collect()
    };
    format!("<ul>{items}</ul>")
}

/// A part: its heading, and its pages if the current page is among them.
fn shown(part: &[Entry], current: &str) -> String {
    let heading = part.iter().find_map(|entry| match entry {
        Entry::Part(title) => Some(title.as_str()),
        Entry::Page { .. } => None,
    });
    let is_open = heading.is_none() || current == FIRST || has(part, current);
    let heading = heading.map_or_else(String::new, |title| {
        let first = part.iter().find_map(source).filter(|_| !is_open);
        let title = escaped(title);
        let title = match first {
            Some(source) => format!("<a href=\"{}{}\">{title}</a>", root(current), served(source)),
            None => title,
        };
        format!("<li class=\"part\">{title}</li>")
    });
    if !is_open {
        return heading;
    }
    let branches = split(part, |entry| matches!(entry, Entry::Page { level: 0, .. }));
    let pages: String = branches.into_iter().map(|branch| shown_branch(branch, current)).collect();
    heading + &pages
}

/// A page, and the pages below it if the current page is one of them.
fn shown_branch(branch: &[Entry], current: &str) -> String {
    let is_open = has(branch, current);
    let show = |entry: &Entry| match entry {
        Entry::Page { title, source, level } if *level == 0 || is_open => {
            item(title, source, (*level).min(3), current)
        }
        _ => String::new(),
    };
    branch.iter().map(show).collect()
}

fn item(title: &str, source: &str, level: usize, current: &str) -> String {
    let path = served(source);
    let mark = if path == current { " aria-current=\"page\"" } else { "" };
    format!("<li class=\"l{level}\"><a href=\"{}{path}\"{mark}>{}</a></li>", root(current), escaped(title))
}

fn source(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Page { source, .. } => Some(source.as_str()),
        Entry::Part(_) => None,
    }
}

/// Whether the page is among the entries.
fn has(entries: &[Entry], page: &str) -> bool {
    entries.iter().filter_map(source).any(|source| served(source) == page)
}

/// The entries in pieces, each of which begins where `begins` says so.
fn split(entries: &[Entry], begins: impl Fn(&Entry) -> bool) -> Vec<&[Entry]> {
    let mut pieces = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let end = rest.iter().skip(1).position(&begins).map_or(rest.len(), |place| place + 1);
        let (piece, behind) = rest.split_at(end);
        pieces.push(piece);
        rest = behind;
    }
    pieces
}
