//! Paths of pages, with slashes between their parts, relative to the folder of the documentation; and texts in
//! HTML.

/// The folder of a file; empty for one at the top.
pub(crate) fn folder(file: &str) -> &str {
    file.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// What `link` names, seen from a file in `folder`. `Err` has the path from the folder above the
/// documentation, for a link that leads out of it.
pub(crate) fn resolve(folder: &str, link: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    let mut above = 0;
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => above += 1,
            ".." => {}
            part => parts.push(part),
        }
    }
    if above == 0 { Ok(parts.join("/")) } else { Err(parts.join("/")) }
}

/// The file that is served for a Markdown file: a `README.md` is the first page of its folder.
pub(crate) fn served(source: &str) -> String {
    let Some(stem) = source.strip_suffix(".md") else { return source.to_owned() };
    match stem.strip_suffix("README") {
        Some(folder) if folder.is_empty() || folder.ends_with('/') => format!("{folder}index.html"),
        _ => format!("{stem}.html"),
    }
}

/// The way from a page up to the folder of all pages.
pub(crate) fn root(page: &str) -> String {
    "../".repeat(page.matches('/').count())
}

/// A text as it stands in HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
