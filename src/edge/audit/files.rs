//! What of the log's files is read for those who ask for lines: the file itself, and the files beside it to
//! which it was renamed (rotated).
//!
//! A question reads the files that can have lines of its time, those with the newest lines first, and no more
//! than so many of them and so many bytes. So a question for older lines reads older files.

use crate::core::time::{ISO_LEN, parse_iso};
use serde_json::Value;
use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Files that are read for one question, at most.
const MOST_FILES: usize = 64;
/// Bytes of them all, at most.
const MOST_BYTES: u64 = 32 << 20;
/// Bytes at the end of one file, at most.
const TAIL: u64 = 16 << 20;
/// Bytes at the beginning of a file in which its first line is looked for.
const HEAD: u64 = 8 << 10;
/// Names in the folder, and rotated files, that are looked at, at most.
const MOST_NAMES: usize = 10_000;
const MOST_ROTATED: usize = 1000;
/// Lines that are older than the one before them are older by less than this: several threads write them, and
/// a clock may be set back.
const DISORDER_MS: u64 = 60_000;

/// Of which time lines are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// Of this time or later (Unix milliseconds).
    pub(super) since_ms: Option<u64>,
    /// Of this time or earlier (Unix milliseconds).
    pub(super) last_ms: Option<u64>,
}

impl Span {
    /// Whether a file that begins at that time has newer lines alone.
    fn ends_before(self, first_ms: u64) -> bool {
        self.last_ms.is_some_and(|last_ms| first_ms > last_ms.saturating_add(DISORDER_MS))
    }

    /// Whether the files before one that begins at that time have older lines alone.
    fn begins_after(self, first_ms: u64) -> bool {
        self.since_ms.is_some_and(|since_ms| first_ms.saturating_add(DISORDER_MS) < since_ms)
    }
}

/// A file of the log.
struct LogFile {
    path: PathBuf,
    /// The time of its first line, if it has one.
    first_ms: Option<u64>,
}

/// The time of a line. The log's own lines begin with it.
pub(super) fn time_of(line: &str) -> Option<u64> {
    if let Some(rest) = line.strip_prefix(r#"{"time":""#) {
        return parse_iso(rest.get(..ISO_LEN)?);
    }
    let line: Value = serde_json::from_str(line).ok()?;
    parse_iso(line["time"].as_str()?)
}

/// Reads the files of the log at that path, the oldest one first. `None` if there is none.
///
/// # Errors
/// If the file at the path can't be read. A rotated one that can't be read is passed over.
pub(super) fn read(path: &Path, span: Span) -> io::Result<Option<Vec<String>>> {
    let mut files: Vec<LogFile> = rotated(path).into_iter().filter_map(begun).collect();
    if path.is_file() {
        match first_time(path) {
            Ok(first_ms) => files.push(LogFile { path: path.to_owned(), first_ms }),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if files.is_empty() {
        return Ok(None);
    }
    files.sort_by_key(|file| Reverse(file.first_ms.unwrap_or(u64::MAX)));
    let mut texts = Vec::new();
    let mut places = Vec::new();
    let mut left = MOST_BYTES;
    for LogFile { path: of, first_ms } in files {
        if texts.len() == MOST_FILES || left == 0 {
            break;
        }
        if first_ms.is_some_and(|first_ms| span.ends_before(first_ms)) {
            continue;
        }
        match open(&of) {
            // It was renamed meanwhile, and has been read under its old name.
            Ok((_, place)) if places.contains(&place) => continue,
            Ok((file, place)) => {
                let text = tail(file, left.min(TAIL))?;
                left = left.saturating_sub(text.len() as u64);
                texts.push(text);
                places.push(place);
            }
            Err(error) if of != path || error.kind() == ErrorKind::NotFound => passed_over(&of, &error),
            Err(error) => return Err(error),
        }
        if first_ms.is_some_and(|first_ms| span.begins_after(first_ms)) {
            break;
        }
    }
    texts.reverse();
    Ok(Some(texts))
}

/// The files beside the log's whose names are its name and a number or a date, as in `audit.log.1` or
/// `audit.log-20260131`.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            passed_over(folder, &error);
            return Vec::new();
        }
    };
    let files = entries
        .take(MOST_NAMES)
        .filter_map(Result::ok)
        .filter(|entry| is_rotated(name, &entry.file_name()))
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.map(|entry| entry.path()).take(MOST_ROTATED).collect()
}

fn is_rotated(name: &OsStr, other: &OsStr) -> bool {
    let rest = other.as_bytes().strip_prefix(name.as_bytes()).unwrap_or_default();
    matches!(rest, [b'.' | b'-', b'0'..=b'9', ..])
        && rest.iter().all(|byte| byte.is_ascii_digit() || b".-_:TZ".contains(byte))
}

/// A rotated file with lines of the log.
fn begun(path: PathBuf) -> Option<LogFile> {
    match first_time(&path) {
        Ok(first_ms) => first_ms.map(|first_ms| LogFile { path, first_ms: Some(first_ms) }),
        Err(error) => {
            passed_over(&path, &error);
            None
        }
    }
}

fn passed_over(path: &Path, error: &io::Error) {
    // One that was removed or renamed meanwhile is no fault.
    if error.kind() != ErrorKind::NotFound {
        tracing::warn!(path = %path.display(), %error, "rotated files of the audit log can't be read");
    }
}

fn first_time(path: &Path) -> io::Result<Option<u64>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).lines().find_map(time_of))
}

/// Opens a file. Returns what names it whatever its path is.
fn open(path: &Path) -> io::Result<(File, (u64, u64))> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    Ok((file, (about.dev(), about.ino())))
}

/// The last `most` bytes of a file, from the beginning of a line on.
fn tail(mut file: File, most: u64) -> io::Result<String> {
    let skipped = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    if skipped == 0 {
        return Ok(text.into_owned());
    }
    Ok(text.split_once('\n').map_or("", |(_, whole)| whole).to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::time::iso_millis;

    const HOUR_MS: u64 = 3_600_000;

    #[test]
    fn the_end_of_a_file_begins_with_a_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        std::fs::write(&path, "first\nsecond\nthird\n").unwrap();
        for (most, expected) in [(100, "first\nsecond\nthird\n"), (10, "third\n"), (6, ""), (2, "")] {
            assert_eq!(tail(File::open(&path).unwrap(), most).unwrap(), expected, "{most}");
        }
    }

    #[test]
    fn rotated_files_have_a_number_or_a_date() {
        for (other, expected) in [
            ("audit.log.1", true),
            ("audit.log-20260131", true),
            ("audit.log-2026-01-31T12:00", true),
            ("audit.log", false),
            ("audit.log.", false),
            ("audit.log.1.gz", false),
            ("audit.log.old", false),
            ("audit.log1", false),
            ("other.log.1", false),
        ] {
            assert_eq!(is_rotated(OsStr::new("audit.log"), OsStr::new(other)), expected, "{other}");
        }
    }

    #[test]
    fn a_question_reads_the_files_that_can_have_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        assert!(read(&path, Span::default()).unwrap().is_none());
        let line = |hour: u64| format!("{{\"time\":\"{}\"}}\n", iso_millis(hour * HOUR_MS));
        // The names say nothing of the order; the first lines do.
        let files = [("audit.1", [1, 2]), ("audit.2", [5, 6]), ("audit.3", [3, 4]), ("audit", [7, 8])];
        for (name, hours) in files {
            std::fs::write(dir.path().join(name), hours.map(line).concat()).unwrap();
        }
        std::fs::write(dir.path().join("audit.4"), "no line\n").unwrap();
        std::fs::create_dir(dir.path().join("audit.5")).unwrap();
        let hours = |since: Option<u64>, last: Option<u64>| -> Vec<u64> {
            let ms = |hour: Option<u64>| hour.map(|hour| hour * HOUR_MS);
            let texts = read(&path, Span { since_ms: ms(since), last_ms: ms(last) }).unwrap().unwrap();
            let lines = texts.iter().flat_map(|text| text.lines());
            lines.map(|line| time_of(line).unwrap() / HOUR_MS).collect()
        };
        assert_eq!(hours(None, None), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(hours(None, Some(4)), [1, 2, 3, 4]);
        assert_eq!(hours(Some(6), None), [5, 6, 7, 8]);
        assert_eq!(hours(Some(3), Some(5)), [1, 2, 3, 4, 5, 6], "as a clock may have been set back");
        assert_eq!(hours(None, Some(0)), [0; 0]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(hours(Some(6), None), [5, 6], "it was renamed a moment ago");
    }
}
