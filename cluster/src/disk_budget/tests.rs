//! How disk space is counted, and what a node may write.
#![allow(clippy::unwrap_used)]

use super::account::DEBTS;
use super::*;

#[test]
fn the_ballast_follows_the_free_space() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path(), 1 << 20);
    let file = dir.path().join(BALLAST);
    assert_eq!(disk.keep_ballast(10 << 20, 1 << 20), 0, "there was no ballast before");
    assert_eq!(file.metadata().unwrap().len(), 1 << 18);
    assert_eq!(disk.keep_ballast(1 << 19, 1 << 20), 1 << 18, "kept while some space is free");
    assert_eq!(disk.keep_ballast(1000, 1 << 20), 1 << 18);
    assert!(!file.exists(), "removed");
    assert_eq!(disk.keep_ballast(1 << 20, 1 << 20), 0, "not created from the reserve");
    assert!(!file.exists());
    assert!(disk.measure(Progress::default()).unwrap().total > 0);
}

#[test]
fn a_disk_with_less_than_the_reserve_is_full() {
    let dir = tempfile::tempdir().unwrap();
    // The reserve is limited to a tenth of the file system, so the disk is not full unless more than that
    // is in use.
    let room = Disk::new(dir.path(), u64::MAX).measure(Progress::default()).unwrap();
    assert_eq!(room.reserve, room.total / 10);
    assert_eq!(room.is_full, room.free < room.reserve);
    assert!(!Disk::new(dir.path(), 0).measure(Progress::default()).unwrap().is_full);
}

/// A disk whose measurement found `free` bytes, of which 1000 must stay free.
fn measured(free: u64) -> Disk {
    let disk = Disk::new(Path::new("/nowhere"), 1000);
    locked(&disk.account).measured = Room { total: 100_000, free, reserve: 1000, ..Room::default() };
    disk
}

#[test]
fn bytes_taken_since_the_measurement_count_as_used() {
    let disk = measured(1700);
    assert!(disk.take(200), "1700 - 600 is enough");
    let room = disk.room();
    assert_eq!((room.free, room.is_full, room.is_closed), (1100, false, false));
    assert!(disk.take(200));
    let room = disk.room();
    assert_eq!((room.free, room.is_full, room.is_closed), (500, true, false));
    assert!(!disk.take(1), "half of the reserve stays free");
    assert_eq!(disk.room(), room, "refused bytes are not counted");
    assert!(disk.may_measure(), "a measurement may find that the entries took less");
    assert!(!disk.may_measure(), "another caller has just measured");
    assert!(!measured(0).may_measure());
}

#[test]
fn bytes_taken_are_owed_until_they_are_applied() {
    let disk = measured(1 << 20);
    assert!(disk.take(100));
    let mut account = locked(&disk.account);
    let at = |last, applied| Progress { applied, last, ..Progress::default() };
    assert_eq!(account.settle(100, at(5, 5)), 300, "it may not be in the log yet");
    assert_eq!(account.taken, 0);
    assert_eq!(account.settle(0, at(9, 5)), 200, "in the log, not in the store");
    account.taken = 50;
    assert_eq!(account.settle(40, at(12, 8)), 200 + 120);
    assert_eq!(account.taken, 10, "taken during the measurement");
    assert_eq!(account.settle(0, at(12, 9)), 80, "the first is applied");
    assert_eq!(account.settle(0, at(11, 11)), 0, "the log lost an entry that was never committed");
    account.taken = 1000;
    for last in 0..1000 {
        account.settle(1, at(last, 0));
    }
    assert!(account.debts.len() <= DEBTS);
    assert_eq!(account.debts.iter().map(|debt| debt.bytes).sum::<u64>(), 1000);
}

#[test]
fn a_node_without_disk_space_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::new(dir.path(), 1 << 20);
    std::fs::write(dir.path().join(BALLAST), "blocks").unwrap();
    disk.enough_to_start(0).unwrap();
    assert!(dir.path().join(BALLAST).exists(), "there is enough space without removing the ballast");
    let refused = disk.enough_to_start(1 << 60).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    assert!(refused.to_string().contains("make room"), "{refused}");
    assert!(!dir.path().join(BALLAST).exists(), "the ballast was removed first");
}
