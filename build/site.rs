//! Makes the pages of the documentation: HTML of every Markdown file in `docs/`, a navigation from
//! `SUMMARY.md`, an index for the search, and the API documents. Writes them to the folder of the build.

use crate::markdown::{self, Rendered};
use crate::navigation::navigation;
use crate::paths::{escaped, folder, resolve, root, served};
use crate::search;
use crate::summary::{self, Entry};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The list of pages.
const SUMMARY: &str = "SUMMARY.md";
/// Pages and files that are there beside the Markdown files, by the names under which pages link to them.
const OTHERS: [&str; 3] = ["api", "openapi.yaml", "asyncapi.yaml"];
/// The largest share of the executable (bytes).
const MAX_BYTES: usize = 4 << 20;
/// Files of `docs/` that are served as they are.
const AS_THEY_ARE: [(&str, &str); 4] = [
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("css", "text/css; charset=utf-8"),
    ("yaml", "application/yaml; charset=utf-8"),
];

const HTML: &str = "text/html; charset=utf-8";

const TEMPLATE: &str = include_str!("assets/page.html");
const STYLE: &str = include_str!("assets/style.css");
const SEARCH: &str = include_str!("assets/search.js");
const API_PAGE: &str = include_str!("assets/api.html");
const API_STYLE: &str = include_str!("assets/api.css");
const API_SCRIPT: &str = include_str!("assets/api.js");

/// The files of the site by path: the media type and the content.
type Files = BTreeMap<String, (&'static str, Vec<u8>)>;

/// A page that was read.
struct Page {
    source: String,
    title: String,
    rendered: Rendered,
}

/// Links of a page into the site: the page, the Markdown file that it names, and the anchor.
struct Link {
    from: String,
    to: String,
    anchor: String,
}

/// Makes the site.
pub(crate) fn build() -> Result<(), Box<dyn Error>> {
    let docs = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("docs");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut sources = BTreeSet::new();
    list(&docs, "", &mut sources)?;
    let entries = match fs::read_to_string(docs.join(SUMMARY)) {
        Ok(text) => summary::read(&text),
        Err(_) => Vec::new(),
    };
    let mut broken = missing(&entries, &sources);
    if std::env::var_os("CARGO_PKG_REPOSITORY").is_none_or(|address| address.is_empty()) {
        broken
            .push("Cargo.toml has no `repository`, to which links out of the documentation lead".to_owned());
    }
    let mut links = Vec::new();
    let mut pages = Vec::new();
    for source in sources.iter().filter(|source| source.ends_with(".md") && *source != SUMMARY) {
        pages.push(read(&docs, source, &sources, &mut links, &mut broken)?);
    }
    broken.extend(broken_anchors(&pages, &links));
    let mut files = written(&pages, &entries);
    add_documents(&docs, &sources, &mut files)?;
    let bytes: usize = files.values().map(|(_, content)| content.len()).sum();
    if bytes > MAX_BYTES {
        broken.push(format!("the site has {bytes} bytes, more than {MAX_BYTES}"));
    }
    write(&out, &files, &broken)
}

/// Lists the files below a folder. Hidden ones are those of editors and systems.
fn list(docs: &Path, below: &str, found: &mut BTreeSet<String>) -> Result<(), Box<dyn Error>> {
    let folder = docs.join(below);
    for entry in fs::read_dir(&folder).map_err(|error| at(&folder, &error))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            list(docs, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

/// Reads a file. The error names it.
fn text_of(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| at(file, &error))
}

/// The error, with the path that it is about.
fn at(path: &Path, error: &impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

/// Pages that the list names and that are not there.
fn missing(entries: &[Entry], sources: &BTreeSet<String>) -> Vec<String> {
    let missing = |entry: &Entry| match entry {
        Entry::Page { source, .. } if !sources.contains(source) => {
            Some(format!("{SUMMARY}: {source} is not there"))
        }
        _ => None,
    };
    entries.iter().filter_map(missing).collect()
}

fn read(
    docs: &Path,
    source: &str,
    sources: &BTreeSet<String>,
    links: &mut Vec<Link>,
    broken: &mut Vec<String>,
) -> Result<Page, Box<dyn Error>> {
    let text = text_of(&docs.join(source))?;
    let text = included(docs, source, &text, broken);
    let rendered = markdown::render(&text, |link| {
        let (address, named) = address(docs, source, sources, link, broken);
        links.extend(named.map(|(to, anchor)| Link { from: source.to_owned(), to, anchor }));
        address
    });
    let title =
        rendered.sections.iter().map(|section| section.heading.trim()).find(|title| !title.is_empty());
    let title = title.unwrap_or(source).to_owned();
    Ok(Page { source: source.to_owned(), title, rendered })
}

/// The text with the files that it includes: `{{#include PATH}}`, or `{{#include PATH:ANCHOR}}` for the lines
/// between `ANCHOR: name` and `ANCHOR_END: name`.
fn included(docs: &Path, source: &str, text: &str, broken: &mut Vec<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{#include ") {
        out.push_str(before);
        let Some((named, behind)) = after.split_once("}}") else {
            rest = after;
            continue;
        };
        let (path, anchor) = named.trim().split_once(':').map_or((named.trim(), None), |(p, a)| (p, Some(a)));
        let file = docs.join(folder(source)).join(path);
        println!("cargo::rerun-if-changed={}", file.display());
        match fs::read_to_string(&file) {
            Ok(content) => out.push_str(part(&content, anchor).trim_end()),
            Err(error) => broken.push(format!("{source}: {path} can't be included: {error}")),
        }
        rest = behind;
    }
    out + rest
}

/// The lines of an anchor, without those that mark anchors.
fn part(content: &str, anchor: Option<&str>) -> String {
    let mut is_inside = anchor.is_none();
    let mut out = String::new();
    for line in content.lines() {
        let begins = line.split_once("ANCHOR: ").map(|(_, name)| name.trim());
        let ends = line.split_once("ANCHOR_END: ").map(|(_, name)| name.trim());
        if begins.is_some() || ends.is_some() {
            is_inside = (is_inside || begins == anchor) && (anchor.is_none() || ends != anchor);
        } else if is_inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The address that a link becomes, and the file and the anchor that it names if these are checked.
fn address(
    docs: &Path,
    source: &str,
    sources: &BTreeSet<String>,
    link: &str,
    broken: &mut Vec<String>,
) -> (String, Option<(String, String)>) {
    if link.contains("://") || link.starts_with("mailto:") || link.starts_with('/') {
        return (link.to_owned(), None);
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    if path.is_empty() {
        return (link.to_owned(), Some((source.to_owned(), anchor.to_owned())));
    }
    let hash = if anchor.is_empty() { String::new() } else { format!("#{anchor}") };
    let named = match resolve(folder(source), path) {
        Ok(named) => named,
        Err(outside) => {
            if !docs.join("..").join(&outside).exists() {
                broken.push(format!("{source}: {link} is not there"));
            }
            return (in_repository(docs, &outside) + &hash, None);
        }
    };
    if OTHERS.contains(&named.as_str()) {
        return (link.to_owned(), None);
    }
    let named = if docs.join(&named).is_dir() { format!("{named}/README.md") } else { named };
    if !sources.contains(&named) {
        broken.push(format!("{source}: {link} is not there"));
        return (link.to_owned(), None);
    }
    if named.ends_with(".md") {
        let address = format!("{}{}{hash}", root(source), served(&named));
        return (address, Some((named, anchor.to_owned())));
    }
    let is_served = AS_THEY_ARE.iter().any(|(ending, _)| named.ends_with(&format!(".{ending}")));
    let address = if is_served { link.to_owned() } else { in_repository(docs, &format!("docs/{named}")) };
    (address, None)
}

/// The address of a file of the repository that is no page.
fn in_repository(docs: &Path, path: &str) -> String {
    let kind = if docs.join("..").join(path).is_dir() { "tree" } else { "blob" };
    let repository = std::env::var("CARGO_PKG_REPOSITORY").unwrap_or_default();
    format!("{repository}/{kind}/main/{path}")
}

/// Links to anchors that are not there.
fn broken_anchors(pages: &[Page], links: &[Link]) -> Vec<String> {
    let anchors: BTreeMap<&str, &BTreeSet<String>> =
        pages.iter().map(|page| (page.source.as_str(), &page.rendered.anchors)).collect();
    let is_there = |link: &&Link| {
        link.anchor.is_empty() || anchors.get(link.to.as_str()).is_some_and(|all| all.contains(&link.anchor))
    };
    let broken = links.iter().filter(|link| !is_there(link));
    broken.map(|link| format!("{}: {} has no heading #{}", link.from, link.to, link.anchor)).collect()
}

/// The pages, with their navigation, and the index for the search.
fn written(pages: &[Page], entries: &[Entry]) -> Files {
    let mut files = Files::new();
    let mut index = Vec::new();
    let at_top = pages.iter().filter(|page| !page.source.contains('/'));
    let top: Vec<(&str, &str)> = at_top.map(|page| (page.title.as_str(), page.source.as_str())).collect();
    for page in pages {
        let path = served(&page.source);
        index.extend(search::entries(&path, &page.title, &page.rendered.sections));
        let html = framed(&path, &page.title, &navigation(&top, entries, &path), &page.rendered.html);
        files.insert(path, (HTML, html.into_bytes()));
    }
    if !files.contains_key("index.html") {
        let (title, body) = first(pages, entries);
        let html = framed("index.html", title, &navigation(&top, entries, "index.html"), body);
        files.insert("index.html".to_owned(), (HTML, html.into_bytes()));
    }
    files.insert(
        "search.json".to_owned(),
        ("application/json", serde_json::Value::from(index).to_string().into()),
    );
    files
}

/// The title and the content of the first page: those of the first page of the list, if it is at the top.
fn first<'p>(pages: &'p [Page], entries: &[Entry]) -> (&'p str, &'p str) {
    let source = entries.iter().find_map(|entry| match entry {
        Entry::Page { source, .. } => Some(source),
        Entry::Part(_) => None,
    });
    let page = pages.iter().find(|page| Some(&page.source) == source && !page.source.contains('/'));
    match page {
        Some(page) => (page.title.as_str(), page.rendered.html.as_str()),
        None => ("Documentation", "<h1>Waypost</h1><p>Choose a page from the list.</p>"),
    }
}

/// A whole page.
fn framed(path: &str, title: &str, navigation: &str, body: &str) -> String {
    TEMPLATE
        .replace("{{title}}", &escaped(title))
        .replace("{{root}}", &root(path))
        .replace("{{navigation}}", navigation)
        .replace("{{body}}", body)
}

/// The documents of the API, their page, and what pages need.
fn add_documents(docs: &Path, sources: &BTreeSet<String>, files: &mut Files) -> Result<(), Box<dyn Error>> {
    for source in sources {
        let kind = AS_THEY_ARE.iter().find(|(ending, _)| source.ends_with(&format!(".{ending}")));
        if let Some((_, kind)) = kind {
            files.insert(source.clone(), (*kind, fs::read(docs.join(source))?));
        }
    }
    // Browsers read JSON.
    let openapi = docs.join("openapi.yaml");
    let document: serde_json::Value =
        yaml_serde::from_str(&text_of(&openapi)?).map_err(|error| at(&openapi, &error))?;
    files.insert("openapi.json".to_owned(), ("application/json", document.to_string().into()));
    let script = "text/javascript; charset=utf-8";
    let style = "text/css; charset=utf-8";
    for (path, kind, content) in [
        ("style.css", style, STYLE),
        ("search.js", script, SEARCH),
        ("api.html", HTML, API_PAGE),
        ("api.css", style, API_STYLE),
        ("api.js", script, API_SCRIPT),
    ] {
        files.insert(path.to_owned(), (kind, content.as_bytes().to_vec()));
    }
    Ok(())
}

/// Writes the files and the lists of them and of broken links, as Rust expressions.
fn write(out: &Path, files: &Files, broken: &[String]) -> Result<(), Box<dyn Error>> {
    let site = out.join("site");
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    let mut list = String::from("&[\n");
    for (path, (kind, content)) in files {
        let file = site.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&site))?;
        fs::write(&file, content)?;
        let tag = format!("\"{:016x}\"", hash(content));
        writeln!(
            list,
            "Embedded {{ path: {path:?}, kind: {kind:?}, tag: {tag:?}, bytes: include_bytes!({:?}) }},",
            file.display().to_string()
        )?;
    }
    list.push(']');
    fs::write(out.join("site_files.rs"), list)?;
    fs::write(out.join("site_broken.rs"), format!("&{broken:?}"))?;
    Ok(())
}

/// FNV-1a: says whether a content has changed.
fn hash(content: &[u8]) -> u64 {
    content.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
