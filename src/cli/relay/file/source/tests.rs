#![allow(clippy::unwrap_used)]
use super::*;

fn lines(chunk: &Chunk) -> Vec<&str> {
    chunk.lines.iter().map(String::as_str).collect()
}

#[test]
fn only_whole_lines_are_read_and_their_bytes_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    fs::write(&path, "a\n\n b \r\nc\npart").unwrap();
    let source = Source::open(&path, None).unwrap();
    let chunk = source.lines(0, 2).unwrap();
    assert_eq!((lines(&chunk), chunk.bytes()), (vec!["a", "b"], 8));
    assert_eq!((chunk.offset_of(0), chunk.offset_of(1), chunk.bytes_of(0)), (0, 2, 2));
    let chunk = source.lines(8, 2).unwrap();
    assert_eq!((lines(&chunk), chunk.bytes()), (vec!["c"], 2));
    assert!(source.lines(10, 2).unwrap().lines.is_empty());
    assert_eq!(lines(&source.exactly(0, 8).unwrap()), ["a", "b"]);
}

#[test]
fn a_line_may_be_longer_than_a_request_is_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    let long = "x".repeat(3 * MOST_BYTES);
    fs::write(&path, format!("{long}\nb\n")).unwrap();
    let source = Source::open(&path, None).unwrap();
    assert_eq!(source.lines(0, 1).unwrap().lines, [long]);
    fs::write(&path, "x".repeat(LONGEST_LINE + 1)).unwrap();
    assert!(matches!(source.lines(0, 1), Err(SourceError::TooLong { .. })));
}

#[test]
fn the_old_file_is_found_under_its_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    fs::write(&path, "a\nb\n").unwrap();
    let old = Source::open(&path, None).unwrap();
    let mark = Mark { offset: 2, ..Mark::begin(old.identity()) };
    assert!(old.next(&path).unwrap().is_none());
    fs::rename(&path, folder.path().join("events.1")).unwrap();
    assert!(old.next(&path).unwrap().is_none(), "no file has the name");
    fs::write(&path, "c\n").unwrap();
    drop(old);
    let found = Source::open(&path, Some(&mark)).unwrap();
    assert_eq!(lines(&found.lines(mark.offset, 9).unwrap()), ["b"]);
    let next = found.next(&path).unwrap().unwrap();
    assert_eq!(lines(&next.lines(0, 9).unwrap()), ["c"]);
    drop((found, next));
    fs::remove_file(folder.path().join("events.1")).unwrap();
    assert!(matches!(Source::open(&path, Some(&mark)), Err(SourceError::Replaced { offset: 2, .. })));
}

#[test]
fn one_relay_reads_a_file_and_a_cut_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events");
    fs::write(&path, "a\nb\n").unwrap();
    let source = Source::open(&path, None).unwrap();
    assert!(matches!(Source::open(&path, None), Err(SourceError::Taken(_))));
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    assert!(matches!(source.lines(4, 9), Err(SourceError::Cut { length: 0, offset: 4, .. })));
}
