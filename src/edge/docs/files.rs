//! The files that `build.rs` made.

/// A file of the documentation.
pub(super) struct Embedded {
    /// Its path below `/docs/`.
    path: &'static str,
    /// Its media type.
    pub(super) kind: &'static str,
    /// Its version, with quotes, as `ETag` has it.
    pub(super) tag: &'static str,
    /// Its content.
    pub(super) bytes: &'static [u8],
}

/// All files, by path.
static FILES: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/site_files.rs"));

/// The file that a path below `/docs/` names: a folder has a first page, and a page may be named without its
/// ending.
pub(super) fn find(path: &str) -> Option<&'static Embedded> {
    if path.is_empty() || path.ends_with('/') {
        return named(&format!("{path}index.html"));
    }
    named(path).or_else(|| named(&format!("{path}.html")))
}

fn named(path: &str) -> Option<&'static Embedded> {
    let place = FILES.binary_search_by(|file| file.path.cmp(path)).ok()?;
    FILES.get(place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What is wrong with the pages: links to files or headings that are not there.
    const BROKEN: &[&str] = include!(concat!(env!("OUT_DIR"), "/site_broken.rs"));

    #[test]
    fn every_link_of_the_documentation_leads_somewhere() {
        assert_eq!(BROKEN.to_vec(), Vec::<&str>::new());
    }

    #[test]
    fn pages_and_documents_are_there() {
        assert!(FILES.is_sorted_by_key(|file| file.path));
        for path in ["", "api", "openapi.yaml", "asyncapi.yaml", "openapi.json", "search.json", "ERRORS"] {
            assert!(find(path).is_some(), "{path}");
        }
        assert_eq!(find("ERRORS").unwrap().path, find("ERRORS.html").unwrap().path);
        assert!(find("runbooks/").is_some() && find("nothing").is_none());
    }

    #[test]
    fn pages_need_nothing_from_elsewhere() {
        let pages = FILES.iter().filter(|file| file.kind.starts_with("text/html"));
        for page in pages {
            let text = std::str::from_utf8(page.bytes).unwrap();
            for loaded in
                ["<script>", "<script src=\"http", "<img src=\"http", "<link rel=\"stylesheet\" href=\"http"]
            {
                assert!(!text.contains(loaded), "{}: {loaded}", page.path);
            }
        }
    }
}
