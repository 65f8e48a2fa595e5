//! The names of files: as programs see them, and as the disks have them.
//!
//! A change of a directory is on disk once that directory was synced. Until then a power cut may undo it, but
//! it never undoes an older change and keeps a newer one, because file systems write their changes of
//! directories in order. A folder has a name as well, and what it contains vanishes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What folders have in place of a number.
const FOLDER: u64 = 0;

/// Names, and the numbers of what they name.
type Table = BTreeMap<PathBuf, u64>;

/// A name that was set or removed.
type Change = (PathBuf, Option<u64>);

/// The names on all disks; the first component of a path names the host.
#[derive(Default)]
pub(super) struct Names {
    now: Table,
    synced: Table,
    /// The changes that are not on disk, in order.
    changes: Vec<Change>,
}

/// Names at and below `path`.
fn below(table: &Table, path: &Path) -> Vec<(PathBuf, u64)> {
    let found = table.range(path.to_owned()..).take_while(|(name, _)| name.starts_with(path));
    found.map(|(name, number)| (name.clone(), *number)).collect()
}

/// Sets a name, or removes it and all names below it.
fn carry_out(table: &mut Table, (path, number): Change) {
    match number {
        Some(number) => {
            table.insert(path, number);
        }
        None => {
            for (name, _) in below(table, &path) {
                table.remove(&name);
            }
        }
    }
}

/// Whether all folders between the host's root and `path` are in the table.
fn is_reachable(table: &Table, path: &Path) -> bool {
    path.ancestors().skip(1).all(|folder| folder.components().count() <= 2 || table.contains_key(folder))
}

impl Names {
    fn change(&mut self, path: PathBuf, number: Option<u64>) {
        carry_out(&mut self.now, (path.clone(), number));
        self.changes.push((path, number));
    }

    /// The number of the file at `path`.
    pub(super) fn get(&self, path: &Path) -> Option<u64> {
        self.now.get(path).copied()
    }

    /// Whether there is anything at or below `path`.
    pub(super) fn exists(&self, path: &Path) -> bool {
        !below(&self.now, path).is_empty()
    }

    /// Gives the file `number` a name.
    pub(super) fn set(&mut self, path: &Path, number: u64) {
        self.change(path.to_owned(), Some(number));
    }

    /// Makes a folder, and those above it.
    pub(super) fn make_folders(&mut self, path: &Path) {
        let above: Vec<&Path> = path.ancestors().filter(|folder| folder.components().count() > 2).collect();
        for folder in above.into_iter().rev() {
            if !self.now.contains_key(folder) {
                self.change(folder.to_owned(), Some(FOLDER));
            }
        }
    }

    /// Removes a file, or a folder with all that is in it; false if there is none.
    pub(super) fn remove(&mut self, path: &Path) -> bool {
        let found = self.exists(path);
        if found {
            self.change(path.to_owned(), None);
        }
        found
    }

    /// Renames a file, or a folder with all that is in it; false if there is none.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let found = below(&self.now, from);
        for (name, number) in &found {
            let rest = name.strip_prefix(from).unwrap_or(Path::new(""));
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            self.change(target, Some(*number));
        }
        if !found.is_empty() {
            self.change(from.to_owned(), None);
        }
        !found.is_empty()
    }

    /// Makes the changes in one directory durable; not those in the directories below it.
    pub(super) fn sync(&mut self, dir: &Path) {
        let (done, left): (Vec<Change>, Vec<Change>) =
            self.changes.drain(..).partition(|(path, _)| path.parent() == Some(dir));
        self.changes = left;
        done.into_iter().for_each(|change| carry_out(&mut self.synced, change));
    }

    /// The names of a host after a power cut: all that was synced, and of the later changes as many of the
    /// first ones as `kept` says, which gets their number.
    pub(super) fn cut(&mut self, root: &Path, kept: impl FnOnce(usize) -> usize) {
        let (mut lost, left): (Vec<Change>, Vec<Change>) =
            self.changes.drain(..).partition(|(path, _)| path.starts_with(root));
        self.changes = left;
        lost.truncate(kept(lost.len()));
        lost.into_iter().for_each(|change| carry_out(&mut self.synced, change));
        let reachable: Vec<_> = below(&self.synced, root)
            .into_iter()
            .filter(|(path, _)| is_reachable(&self.synced, path))
            .collect();
        for table in [&mut self.now, &mut self.synced] {
            carry_out(table, (root.to_owned(), None));
            table.extend(reachable.iter().cloned());
        }
    }

    /// Removes all names of a host, from its disk as well.
    pub(super) fn wipe(&mut self, root: &Path) {
        self.changes.retain(|(path, _)| !path.starts_with(root));
        for table in [&mut self.now, &mut self.synced] {
            carry_out(table, (root.to_owned(), None));
        }
    }

    /// The numbers of the files of a host that have a name, or may have one again after a power cut.
    pub(super) fn of_host(&self, root: &Path) -> BTreeSet<u64> {
        let changed = self.changes.iter().filter(|(path, _)| path.starts_with(root));
        let tables = below(&self.now, root).into_iter().chain(below(&self.synced, root));
        tables.map(|(_, number)| number).chain(changed.filter_map(|(_, number)| *number)).collect()
    }

    /// The same of all hosts.
    pub(super) fn all(&self) -> BTreeSet<u64> {
        let changed = self.changes.iter().filter_map(|(_, number)| *number);
        self.now.values().chain(self.synced.values()).copied().chain(changed).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        PathBuf::from(name)
    }

    #[test]
    fn a_name_is_on_disk_once_its_directory_is_synced() {
        let mut names = Names::default();
        names.set(&path("/0/kept"), 1);
        names.sync(&path("/0"));
        names.set(&path("/0/draft"), 2);
        names.rename(&path("/0/draft"), &path("/0/kept"));
        names.set(&path("/1/other"), 3);
        assert_eq!(names.get(&path("/0/kept")), Some(2));
        names.cut(&path("/0"), |changes| {
            assert_eq!(changes, 3);
            0
        });
        assert_eq!((names.get(&path("/0/kept")), names.get(&path("/0/draft"))), (Some(1), None));
        assert_eq!(names.get(&path("/1/other")), Some(3), "another host");
        assert_eq!(names.all(), BTreeSet::from([1, 3]));
    }

    #[test]
    fn a_cut_keeps_the_first_changes() {
        let mut names = Names::default();
        for number in 1..=3 {
            names.set(&path(&format!("/0/{number}")), number);
        }
        names.cut(&path("/0"), |_| 2);
        assert_eq!(names.of_host(&path("/0")), BTreeSet::from([1, 2]));
    }

    #[test]
    fn what_a_folder_contains_vanishes_with_it() {
        let mut names = Names::default();
        names.make_folders(&path("/0/aside"));
        names.set(&path("/0/aside/log"), 1);
        names.sync(&path("/0/aside"));
        names.cut(&path("/0"), |_| 0);
        assert!(!names.exists(&path("/0/aside")));
        names.make_folders(&path("/0/aside"));
        names.set(&path("/0/aside/log"), 2);
        names.sync(&path("/0/aside"));
        names.sync(&path("/0"));
        names.cut(&path("/0"), |_| 0);
        assert_eq!(names.get(&path("/0/aside/log")), Some(2));
        assert!(names.remove(&path("/0/aside")));
        assert!(!names.remove(&path("/0/aside")));
    }
}
