//! Files that lose data: when the power is cut, some or all of the data that was not synced is gone.
//!
//! Contents are synced by file, names by directory, as in POSIX. Writes through a handle from before a crash
//! do not reach anything that is read later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

pub(crate) use std::fs::TryLockError;

use super::journal::Journal;
use super::{World, lock};

const PAGE: usize = 4096;
type Page = Arc<[u8; PAGE]>;

/// The bytes of a file, in pages; missing pages are zero.
#[derive(Debug, Default, Clone)]
struct Bytes {
    length: u64,
    pages: BTreeMap<u64, Page>,
}

/// A file as it is read, and as the disk has it.
#[derive(Debug, Default)]
pub(super) struct Data {
    now: Bytes,
    synced: Bytes,
    dirty: BTreeSet<u64>,
}

impl Data {
    fn read(&self, mut at: u64, mut out: &mut [u8]) -> io::Result<()> {
        if at + out.len() as u64 > self.now.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while !out.is_empty() {
            let page = at / PAGE as u64;
            let from = (at % PAGE as u64) as usize;
            let (part, rest) = out.split_at_mut((PAGE - from).min(out.len()));
            match self.now.pages.get(&page) {
                Some(bytes) => part.copy_from_slice(&bytes[from..from + part.len()]),
                None => part.fill(0),
            }
            at += part.len() as u64;
            out = rest;
        }
        Ok(())
    }

    fn write(&mut self, mut at: u64, mut bytes: &[u8]) {
        self.now.length = self.now.length.max(at + bytes.len() as u64);
        while !bytes.is_empty() {
            let page = at / PAGE as u64;
            let from = (at % PAGE as u64) as usize;
            let (part, rest) = bytes.split_at((PAGE - from).min(bytes.len()));
            let target = self.now.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(target)[from..from + part.len()].copy_from_slice(part);
            self.dirty.insert(page);
            at += part.len() as u64;
            bytes = rest;
        }
    }

    fn set_length(&mut self, length: u64) {
        self.now.length = length;
        for (page, _) in self.now.pages.split_off(&length.div_ceil(PAGE as u64)) {
            self.dirty.insert(page);
        }
        let page = length / PAGE as u64;
        let from = (length % PAGE as u64) as usize;
        if let Some(bytes) = self.now.pages.get_mut(&page).filter(|_| from > 0) {
            Arc::make_mut(bytes)[from..].fill(0);
            self.dirty.insert(page);
        }
    }

    fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            match self.now.pages.get(&page) {
                Some(bytes) => drop(self.synced.pages.insert(page, bytes.clone())),
                None => drop(self.synced.pages.remove(&page)),
            }
        }
        self.synced.length = self.now.length;
    }

    /// The content after a crash: everything that was synced, and the part of the rest that `survives`
    /// selects.
    fn crashed(&self, power: bool, mut survives: impl FnMut() -> bool) -> Self {
        let mut left = if power { self.synced.clone() } else { self.now.clone() };
        for page in self.dirty.iter().filter(|_| power) {
            if let Some(bytes) = self.now.pages.get(page).filter(|_| survives()) {
                left.pages.insert(*page, bytes.clone());
                left.length = left.length.max(self.now.length);
            }
        }
        Self { now: left.clone(), synced: left, dirty: BTreeSet::new() }
    }
}

#[derive(Debug, Clone)]
enum Content {
    File(Arc<Mutex<Data>>),
    Journal(Arc<Mutex<Journal>>),
}

/// The disks of all hosts of the world; the first component of a path names the host.
#[derive(Default)]
pub(crate) struct Files {
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    contents: HashMap<u64, Content>,
    next: u64,
}

/// Names at and below `path`.
fn below(names: &BTreeMap<PathBuf, u64>, path: &Path) -> Vec<(PathBuf, u64)> {
    let found = names.range(path.to_owned()..).take_while(|(name, _)| name.starts_with(path));
    found.map(|(name, id)| (name.clone(), *id)).collect()
}

impl Files {
    fn add(&mut self, path: &Path, content: Content) {
        self.next += 1;
        self.contents.insert(self.next, content);
        self.names.insert(path.to_owned(), self.next);
    }

    fn file(&self, path: &Path) -> Option<Arc<Mutex<Data>>> {
        match self.contents.get(self.names.get(path)?)? {
            Content::File(data) => Some(data.clone()),
            Content::Journal(_) => None,
        }
    }

    /// The journal at `path`; created durably if there is none.
    fn journal(&mut self, path: &Path) -> Arc<Mutex<Journal>> {
        if let Some(Content::Journal(journal)) = self.names.get(path).and_then(|id| self.contents.get(id)) {
            return journal.clone();
        }
        let journal = Arc::new(Mutex::new(Journal::new(self.next)));
        self.add(path, Content::Journal(journal.clone()));
        self.synced_names.insert(path.to_owned(), self.next);
        journal
    }

    fn sync_names(&mut self, dir: &Path) {
        for (name, _) in below(&self.synced_names, dir) {
            self.synced_names.remove(&name);
        }
        self.synced_names.extend(below(&self.names, dir));
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let found = below(&self.names, path);
        for (name, _) in &found {
            self.names.remove(name);
        }
        self.forget();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }

    /// Drops contents without a name.
    fn forget(&mut self) {
        let Self { names, synced_names, contents, .. } = self;
        let named: BTreeSet<u64> = names.values().chain(synced_names.values()).copied().collect();
        contents.retain(|id, _| named.contains(id));
    }

    fn crash(&mut self, root: &Path, power: bool, survives: &mut impl FnMut() -> bool) {
        if power {
            for (name, _) in below(&self.names, root) {
                self.names.remove(&name);
            }
            self.names.extend(below(&self.synced_names, root));
        }
        let mut ids: BTreeSet<u64> = below(&self.names, root).into_iter().map(|(_, id)| id).collect();
        ids.extend(below(&self.synced_names, root).into_iter().map(|(_, id)| id));
        for id in ids {
            let Some(content) = self.contents.get_mut(&id) else { continue };
            *content = match content {
                Content::File(data) => {
                    Content::File(Arc::new(Mutex::new(lock(data).crashed(power, &mut *survives))))
                }
                Content::Journal(journal) => {
                    Content::Journal(Arc::new(Mutex::new(lock(journal).crashed(power, &mut *survives))))
                }
            };
        }
        self.forget();
    }
}

fn with<T>(work: impl FnOnce(&mut Files) -> T) -> io::Result<T> {
    World::try_with(|world| work(&mut lock(&world.files)))
        .ok_or_else(|| io::Error::other("no simulated world"))
}

/// The folder of a host.
pub(super) fn root(host: usize) -> PathBuf {
    PathBuf::from(format!("/{host}"))
}

/// Applies the end of a process on `host` to its files.
pub(super) fn crash(world: &World, host: usize, power: bool) {
    // Of what was not synced, either nothing survives, or some parts in no particular order.
    let torn = power && world.below(2) == 0;
    let mut survives = || torn && world.below(2) == 0;
    lock(&world.files).crash(&root(host), power, &mut survives);
}

impl World {
    /// Removes everything from a host's disk.
    pub fn wipe(&self, host: usize) {
        let mut files = lock(&self.files);
        for (name, _) in below(&files.synced_names, &root(host)) {
            files.synced_names.remove(&name);
        }
        // An empty disk counts as wiped.
        let _ = files.remove(&root(host));
    }
}

/// The journal at `path`.
pub(crate) fn journal(path: &Path) -> io::Result<Arc<Mutex<Journal>>> {
    with(|files| files.journal(path))
}

pub(crate) fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    with(|files| !below(&files.names, path.as_ref()).is_empty())
}

pub(crate) fn create_dir(_path: impl AsRef<Path>) -> io::Result<()> {
    Ok(())
}

pub(crate) fn create_dir_all(_path: impl AsRef<Path>) -> io::Result<()> {
    Ok(())
}

pub(crate) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let data = with(|files| files.file(path.as_ref()))?.ok_or(io::ErrorKind::NotFound)?;
    let data = lock(&data);
    let mut bytes = vec![0; data.now.length as usize];
    data.read(0, &mut bytes)?;
    Ok(bytes)
}

pub(crate) fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    with(|files| files.remove(path.as_ref()))?
}

pub(crate) fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    with(|files| files.remove(path.as_ref()))?
}

pub(crate) fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let from = from.as_ref();
    let to = to.as_ref();
    with(|files| {
        let found = below(&files.names, from);
        for (name, id) in &found {
            let rest = name.strip_prefix(from).unwrap_or(Path::new(""));
            let target = if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) };
            files.names.remove(name);
            files.names.insert(target, *id);
        }
        files.forget();
        if found.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    })?
}

/// A file or a folder.
#[derive(Debug)]
pub(crate) struct File {
    path: PathBuf,
    data: Option<Arc<Mutex<Data>>>,
    at: u64,
}

impl File {
    pub(crate) fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        let data = Arc::new(Mutex::new(Data::default()));
        with(|files| files.add(path.as_ref(), Content::File(data.clone())))?;
        Ok(Self { path: path.as_ref().to_owned(), data: Some(data), at: 0 })
    }

    pub(crate) fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let data = with(|files| files.file(path.as_ref()))?;
        Ok(Self { path: path.as_ref().to_owned(), data, at: 0 })
    }

    pub(crate) fn sync_all(&self) -> io::Result<()> {
        match &self.data {
            Some(data) => lock(data).sync(),
            None => with(|files| files.sync_names(&self.path))?,
        }
        Ok(())
    }
}

impl io::Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let data = self.data.as_ref().ok_or(io::ErrorKind::IsADirectory)?;
        lock(data).write(self.at, bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file under redb.
#[derive(Debug)]
pub(crate) struct Backend(Arc<Mutex<Data>>);

impl Backend {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        with(|files| match files.file(path) {
            Some(data) => Self(data),
            None => {
                let data = Arc::new(Mutex::new(Data::default()));
                files.add(path, Content::File(data.clone()));
                Self(data)
            }
        })
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).now.length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        lock(&self.0).read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        lock(&self.0).set_length(len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        lock(&self.0).sync();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        lock(&self.0).write(offset, data);
        Ok(())
    }
}
