//! A file that is written behind, by itself.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// What redb may do with a file.
#[derive(Debug, Clone)]
enum Action {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
    /// Holds, or releases what is held.
    Turn,
}

fn action() -> impl Strategy<Value = Action> {
    let bytes = (1_u8..255, 1_usize..10_000).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![
        6 => (0_u64..30_000, bytes).prop_map(|(at, bytes)| Action::Write(at, bytes)),
        2 => (0_u64..40_000).prop_map(Action::SetLen),
        1 => Just(Action::Sync),
        2 => Just(Action::Turn),
    ]
}

fn content(file: &Behind) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read(0, &mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_counts_at_once_and_the_file_gets_it(
        actions in proptest::collection::vec(action(), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = Behind::open(&path).unwrap();
        let mut expected: Vec<u8> = Vec::new();
        let mut held = None;
        for action in actions {
            match action {
                Action::Write(at, bytes) => {
                    file.write(at, &bytes).unwrap();
                    let at = usize::try_from(at).unwrap();
                    let end = at + bytes.len();
                    expected.resize(expected.len().max(end), 0);
                    expected[at..end].copy_from_slice(&bytes);
                }
                Action::SetLen(len) => {
                    file.set_len(len).unwrap();
                    expected.resize(usize::try_from(len).unwrap(), 0);
                }
                Action::Sync => file.sync_data().unwrap(),
                Action::Turn => match held.take() {
                    None => held = Some(file.hold()),
                    Some(hold) => file.release(hold),
                },
            }
            prop_assert!(content(&file) == expected);
        }
        file.release(u64::MAX);
        file.wait_taken(file.last()).unwrap();
        prop_assert!(content(&file) == expected);
        prop_assert!(std::fs::read(&path).unwrap() == expected);
        file.close().unwrap();
    }
}

#[test]
fn what_is_held_reaches_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = Behind::open(&path).unwrap();
    file.write(0, b"before").unwrap();
    file.wait_taken(file.last()).unwrap();
    file.hold();
    file.write(0, b"behind").unwrap();
    file.sync_data().unwrap();
    assert_eq!(content(&file), b"behind");
    assert!(file.close().is_err(), "what was held is lost, as in a crash");
    assert_eq!(std::fs::read(&path).unwrap(), b"before");
    assert!(file.wait_taken(file.last()).is_err());
}

#[test]
fn a_step_that_is_under_way_is_told_from_one_that_is_held() {
    let mut state = State::new(0);
    state.add(Step::Sync);
    state.held = state.add(Step::Hold);
    assert!(!state.is_held() && !state.is_taking());
    let (number, step) = state.next().unwrap();
    assert!(state.is_held() && state.is_taking(), "the file must not be closed yet");
    state.took(number, &step);
    assert!(state.is_held() && !state.is_taking());
}
