use super::*;

#[test]
fn what_did_not_end_as_it_was_told_to_is_known_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (killed, before) = Running::begin(dir.path());
    assert_eq!(before, Some(false), "nothing ran here");
    drop(killed);
    let (stopped, before) = Running::begin(dir.path());
    assert_eq!(before, Some(true));
    stopped.end();
    let (_, before) = Running::begin(dir.path());
    assert_eq!(before, Some(false));
}

#[test]
fn nothing_is_known_of_a_directory_that_can_not_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let (running, before) = Running::begin(&dir.path().join("absent"));
    assert_eq!(before, None);
    running.end();
}
