//! The files that `build.rs` took from `console/dist`.

/// A file of the console or the portal.
pub(super) struct Embedded {
    /// Its path below `console/dist`.
    path: &'static str,
    /// Its media type.
    pub(super) kind: &'static str,
    /// Its version, 16 hexadecimal digits.
    pub(super) tag: &'static str,
    /// Its content.
    pub(super) bytes: &'static [u8],
    /// Its content, compressed.
    pub(super) gzip: &'static [u8],
}

/// All files, by path.
static FILES: &[Embedded] = include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// The file with that path.
pub(super) fn find(path: &str) -> Option<&'static Embedded> {
    let place = FILES.binary_search_by(|file| file.path.cmp(path)).ok()?;
    FILES.get(place)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn text(file: &Embedded) -> &str {
        std::str::from_utf8(file.bytes).unwrap()
    }

    #[test]
    fn pages_load_what_is_there_and_nothing_from_elsewhere() {
        assert!(FILES.is_sorted_by_key(|file| file.path));
        for page in ["console.html", "portal.html"] {
            let page = text(find(page).unwrap());
            // The policy forbids both.
            assert!(!page.contains("<script>") && !page.contains(" style="), "{page}");
            let loaded = page.split(['"', '\'']).filter(|part| part.contains("/assets/"));
            for address in loaded {
                let path = address.strip_prefix("/console/").unwrap();
                assert!(find(path).is_some(), "{path}");
            }
            assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "{page}");
        }
        assert!(find("nothing").is_none() && find("assets/").is_none());
    }

    #[test]
    fn the_compressed_form_is_the_same_file() {
        for file in FILES {
            let mut plain = Vec::new();
            GzDecoder::new(file.gzip).read_to_end(&mut plain).unwrap();
            assert_eq!(plain, file.bytes, "{}", file.path);
        }
    }
}
