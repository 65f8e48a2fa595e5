//! Files that lose data: when the power is cut, some or all of the data that was not synced is gone.
//!
//! Contents are synced by file, names by directory, as in POSIX. What a killed process wrote stays readable,
//! but need not be on disk. Writes through a handle from before a crash do not reach anything that is read
//! later.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

pub(crate) use std::fs::TryLockError;

use super::journal::Journal;
use super::names::Names;
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

    /// The content after the end of a process: what was not synced stays readable, but is not on disk.
    fn killed(&self) -> Self {
        Self { now: self.now.clone(), synced: self.synced.clone(), dirty: self.dirty.clone() }
    }

    /// The content after a power cut: everything that was synced, and the pages of the rest that `survives`
    /// selects.
    fn cut(&self, survives: &mut impl FnMut() -> bool) -> Self {
        let mut left = self.synced.clone();
        for page in &self.dirty {
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

impl Content {
    /// What a process that starts later finds. Handles from before lead elsewhere.
    fn killed(&self) -> Self {
        match self {
            Self::File(data) => Self::File(Arc::new(Mutex::new(lock(data).killed()))),
            Self::Journal(journal) => Self::Journal(Arc::new(Mutex::new(lock(journal).killed()))),
        }
    }

    /// The same after a power cut.
    fn cut(&self, survives: &mut impl FnMut() -> bool) -> Self {
        match self {
            Self::File(data) => Self::File(Arc::new(Mutex::new(lock(data).cut(survives)))),
            Self::Journal(journal) => Self::Journal(Arc::new(Mutex::new(lock(journal).cut(survives)))),
        }
    }
}

/// The disks of all hosts of the world; the first component of a path names the host.
#[derive(Default)]
pub(crate) struct Files {
    names: Names,
    contents: HashMap<u64, Content>,
    next: u64,
}

impl Files {
    fn add(&mut self, path: &Path, content: Content) {
        self.next += 1;
        self.contents.insert(self.next, content);
        self.names.set(path, self.next);
    }

    fn file(&self, path: &Path) -> Option<Arc<Mutex<Data>>> {
        match self.contents.get(&self.names.get(path)?)? {
            Content::File(data) => Some(data.clone()),
            Content::Journal(_) => None,
        }
    }

    /// The journal at `path`, which is made if there is none. One that repairs another is the same for
    /// witnesses.
    fn journal(&mut self, path: &Path) -> Arc<Mutex<Journal>> {
        if let Some(Content::Journal(journal)) =
            self.names.get(path).and_then(|number| self.contents.get(&number))
        {
            return journal.clone();
        }
        let repairs = path.extension().and_then(|_| self.names.get(&path.with_extension("")));
        let serial = match repairs.and_then(|number| self.contents.get(&number)) {
            Some(Content::Journal(damaged)) => lock(damaged).serial,
            _ => self.next,
        };
        let journal = Arc::new(Mutex::new(Journal::new(serial)));
        self.add(path, Content::Journal(journal.clone()));
        journal
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let found = self.names.remove(path);
        self.forget();
        if found { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    /// Drops contents without a name.
    fn forget(&mut self) {
        let named = self.names.all();
        self.contents.retain(|number, _| named.contains(number));
    }

    /// Replaces all contents of a host by what is left of each.
    fn replace(&mut self, root: &Path, mut left: impl FnMut(&Content) -> Content) {
        for number in self.names.of_host(root) {
            if let Some(content) = self.contents.get_mut(&number) {
                *content = left(content);
            }
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
    let root = root(host);
    if !power {
        return lock(&world.files).replace(&root, Content::killed);
    }
    // Of what was not synced, either nothing survives, or some parts in no particular order.
    let torn = world.below(2) == 0;
    let mut survives = || torn && world.below(2) == 0;
    let kept = |changes: usize| if torn { world.below(changes as u64 + 1) as usize } else { 0 };
    let mut files = lock(&world.files);
    files.names.cut(&root, kept);
    files.replace(&root, |content| content.cut(&mut survives));
}

impl World {
    /// Removes everything from a host's disk.
    pub fn wipe(&self, host: usize) {
        let mut files = lock(&self.files);
        files.names.wipe(&root(host));
        files.forget();
    }
}

/// The journal of the log of a host, if it has one.
pub(super) fn journal_of(world: &World, host: usize) -> Option<Arc<Mutex<Journal>>> {
    let files = lock(&world.files);
    match files.contents.get(&files.names.get(&root(host).join("raft"))?)? {
        Content::Journal(journal) => Some(journal.clone()),
        Content::File(_) => None,
    }
}

/// Makes the store of a host unreadable, if it has one.
pub(super) fn ruin_store(world: &World, host: usize) {
    let store = lock(&world.files).file(&root(host).join("state.redb"));
    if let Some(store) = store {
        let mut data = Data::default();
        data.write(0, &[9; 512]);
        data.sync();
        *lock(&store) = data;
    }
}

/// The journal at `path`.
pub(crate) fn journal(path: &Path) -> io::Result<Arc<Mutex<Journal>>> {
    with(|files| files.journal(path))
}

pub(crate) fn exists(path: impl AsRef<Path>) -> io::Result<bool> {
    with(|files| files.names.exists(path.as_ref()))
}

pub(crate) fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    create_dir_all(path)
}

pub(crate) fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    with(|files| files.names.make_folders(path.as_ref()))
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
    with(|files| {
        let found = files.names.rename(from.as_ref(), to.as_ref());
        files.forget();
        if found { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
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
            None => with(|files| files.names.sync(&self.path))?,
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
