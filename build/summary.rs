//! The list of pages, as mdbook reads it from `SUMMARY.md`: parts are headings, pages are links, and a page's
//! indentation is its level.

/// An entry of the list.
pub(crate) enum Entry {
    /// A heading.
    Part(String),
    /// A page: its title, its Markdown file, and how deep it is.
    Page { title: String, source: String, level: usize },
}

/// Reads the list.
pub(crate) fn read(text: &str) -> Vec<Entry> {
    let entry = |line: &str| {
        if let Some(part) = line.strip_prefix("# ") {
            return (part.trim() != "Summary").then(|| Entry::Part(part.trim().to_owned()));
        }
        let (before, rest) = line.split_once('[')?;
        let (title, rest) = rest.split_once("](")?;
        let (source, _) = rest.split_once(')')?;
        let blanks = before.len() - before.trim_start().len();
        let level = blanks / 2;
        let source = source.trim_start_matches("./").to_owned();
        (!source.is_empty()).then(|| Entry::Page { title: title.to_owned(), source, level })
    };
    text.lines().filter_map(entry).collect()
}
