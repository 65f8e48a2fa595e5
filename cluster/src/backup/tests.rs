//! Small backups for tests, whose they are, and what may be in them.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::write::{Writer, end};
use super::*;

/// A backup without pairs, at index 42; the highest node id is 7.
pub(crate) fn small(root: &Path) -> PathBuf {
    small_with(root, &[], Some(KEY))
}

/// The key of its cluster.
pub(crate) const KEY: BackupKey = BackupKey([7; 32]);

/// The same with further files, made by a cluster with that key.
pub(crate) fn small_with(root: &Path, files: &[&str], key: Option<BackupKey>) -> PathBuf {
    let path = root.join("small.backup");
    let mut bytes = Vec::new();
    let mut take = |piece: Vec<u8>| {
        bytes.extend(piece);
        true
    };
    let mut writer = Writer { sha: Sha256::new(), blocks: 0, take: &mut take };
    let head = HeadV1 {
        cluster_id: [1; 16],
        applied: StoredLogId { term: 1, node: 1, index: 42 },
        stamp: StampV1 { time_ms: 1, expiry_ms: 1, checked: false },
        id_ms: 1,
        last_node_id: 7,
        taken_ms: 2,
        release: "0".to_owned(),
    };
    writer.raw([&MAGIC[..], &VERSION.to_le_bytes()].concat()).unwrap();
    writer.block(HEAD, &head).unwrap();
    for name in files {
        writer.block(FILE, &FileV1 { name: (*name).to_owned(), content: vec![1].into() }).unwrap();
    }
    end(&mut writer, 0, key).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn the_key_tells_whose_backup_it_is() {
    let root = tempfile::tempdir().unwrap();
    let origin = |path: &Path, key: Option<BackupKey>| {
        verify(path, &Expected { key, files: &[] }).map(|info| info.origin)
    };
    let path = small(root.path());
    assert_eq!(origin(&path, None).unwrap(), BackupOrigin::Unchecked);
    assert_eq!(origin(&path, Some(KEY)).unwrap(), BackupOrigin::Proved);
    assert!(matches!(origin(&path, Some(BackupKey([8; 32]))), Err(BackupError::Foreign)));
    // A flipped bit of the proof is damage, with or without the key.
    let mut flipped = std::fs::read(&path).unwrap();
    let at = flipped.len() - 40;
    flipped[at] ^= 1;
    std::fs::write(&path, flipped).unwrap();
    assert!(matches!(origin(&path, None), Err(BackupError::Damaged { .. })));
    // Somebody without the key changes the backup and makes a new hash.
    let forged = small_with(root.path(), &[], Some(BackupKey([9; 32])));
    assert!(matches!(origin(&forged, Some(KEY)), Err(BackupError::Foreign)));
    let unproved = small_with(root.path(), &[], None);
    assert_eq!(origin(&unproved, Some(KEY)).unwrap(), BackupOrigin::Unproved);
}

#[test]
fn a_truncated_backup_is_told_where_it_ends() {
    let root = tempfile::tempdir().unwrap();
    let path = small(root.path());
    let whole = std::fs::read(&path).unwrap();
    for length in 13..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let found = verify(&path, &Expected { key: None, files: &[] });
        assert!(matches!(&found, Err(BackupError::Damaged { at, .. }) if *at == length as u64), "{found:?}");
    }
}

#[test]
fn only_known_files_are_taken() {
    let root = tempfile::tempdir().unwrap();
    let path = small_with(root.path(), &["known", "identity"], None);
    let expected = |files| Expected { key: None, files };
    assert!(matches!(
        verify(&path, &expected(&["known"])),
        Err(BackupError::UnknownFile(name)) if name == "identity"
    ));
    assert_eq!(verify(&path, &expected(&["known", "identity"])).unwrap().files, ["known", "identity"]);
}
