//! A file that is written behind. What redb writes counts at once and is brought to the disk by a thread of
//! its own: in the same order, with the same syncs between. So a commit takes none of the disk's time,
//! however long a sync takes, and a crash leaves what it would leave without this: the file as of one of
//! redb's syncs, and perhaps some of the writes after it.
//!
//! What follows a hold waits until the hold is released. A checkpoint holds its own writes until the log is
//! on disk.

mod state;

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, DatabaseError, StorageBackend};
use tokio::sync::watch;

use self::state::{BLOCK, Block, State, Step, indexes};
use crate::os::{self, StoreFile};

/// How far the thread is.
#[derive(Debug, Clone, Default)]
struct Progress {
    taken: u64,
    failure: Option<String>,
}

#[derive(Debug)]
struct Shared {
    file: StoreFile,
    state: Mutex<State>,
    changed: Condvar,
    progress: watch::Sender<Progress>,
    /// Whether a thread takes the steps. Otherwise they are taken at once.
    has_thread: bool,
}

/// The file; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Behind {
    shared: Arc<Shared>,
}

impl Behind {
    /// Opens or creates the file.
    pub(super) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let file = os::store_file(path)?;
        let len = file.len()?;
        let shared = Arc::new(Shared {
            file,
            state: Mutex::new(State::new(len)),
            changed: Condvar::new(),
            progress: watch::Sender::default(),
            has_thread: os::HAS_THREADS,
        });
        let thread = shared.clone();
        os::step_through("cluster-store", move || thread.step())?;
        Ok(Self { shared })
    }

    /// Holds everything that is written from now on. Returns the number to release it with.
    pub(super) fn hold(&self) -> u64 {
        let mut state = self.shared.lock();
        state.held = state.add(Step::Hold);
        state.held
    }

    /// The number of the last step so far.
    pub(super) fn last(&self) -> u64 {
        self.shared.lock().last
    }

    /// Releases what was held.
    pub(super) fn release(&self, hold: u64) {
        let mut state = self.shared.lock();
        state.released = state.released.max(hold);
        self.shared.go_on(state);
    }

    /// Takes no further step, as after a crash.
    pub(super) fn give_up(&self, reason: &str) {
        self.shared.fail(&mut self.shared.lock(), reason);
    }

    /// Waits until a step is taken.
    pub(super) async fn taken(&self, number: u64) -> io::Result<()> {
        let mut progress = self.shared.progress.subscribe();
        let reached = progress.wait_for(|now| now.taken >= number || now.failure.is_some()).await;
        match reached.as_deref() {
            Ok(now) if now.taken >= number => Ok(()),
            Ok(now) => Err(io::Error::other(now.failure.clone().unwrap_or_default())),
            Err(_) => Err(io::Error::other("the store is closed")),
        }
    }

    /// Waits until a step is taken. Blocks.
    pub(super) fn wait_taken(&self, number: u64) -> io::Result<()> {
        let mut state = self.shared.lock();
        while state.taken < number && state.failure.is_none() && self.shared.has_thread {
            state = self.shared.wait(state);
        }
        if state.taken >= number { Ok(()) } else { state.check() }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// There may be a step to take.
    fn go_on(&self, state: MutexGuard<'_, State>) {
        let is_held = state.is_held();
        drop(state);
        if is_held {
            return;
        }
        self.changed.notify_all();
        if !self.has_thread {
            while self.step() {}
        }
    }

    fn fail(&self, state: &mut State, reason: &str) {
        let reason = state.failure.get_or_insert_with(|| reason.to_owned()).clone();
        state.steps.clear();
        self.progress.send_modify(|progress| progress.failure = Some(reason));
        self.changed.notify_all();
    }

    /// Takes the next step, waiting for it if a thread does this; false when there is none.
    fn step(&self) -> bool {
        let mut state = self.lock();
        let (number, step) = loop {
            if let Some(next) = state.next() {
                break next;
            }
            if !self.has_thread || state.failure.is_some() || state.is_closing {
                return false;
            }
            state = self.wait(state);
        };
        drop(state);
        let result = match &step {
            Step::Write { at, data } => self.file.write(*at, data),
            Step::SetLen(len) => self.file.set_len(*len),
            Step::Sync => self.file.sync_data(),
            Step::Hold => Ok(()),
        };
        let mut state = self.lock();
        match result {
            Ok(()) => {
                state.took(number, &step);
                self.progress.send_modify(|progress| progress.taken = number);
                self.changed.notify_all();
                true
            }
            Err(error) => {
                self.fail(&mut state, &error.to_string());
                false
            }
        }
    }

    /// Reads from the file, up to where it is valid.
    fn read_file(&self, at: u64, out: &mut [u8], valid: u64) -> io::Result<()> {
        let there = valid.saturating_sub(at).min(out.len() as u64) as usize;
        let (part, rest) = out.split_at_mut(there);
        rest.fill(0);
        if part.is_empty() { Ok(()) } else { self.file.read(at, part) }
    }

    /// The content of a block as it is when all steps so far are taken.
    fn block(&self, state: &State, index: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = state.blocks.get(&index) {
            return Ok(block.bytes().to_vec());
        }
        let mut bytes = vec![0; BLOCK];
        self.read_file(index * BLOCK as u64, &mut bytes, state.valid)?;
        Ok(bytes)
    }

    /// Adds a write.
    fn add_write(&self, state: &mut State, at: u64, data: &[u8]) -> io::Result<()> {
        let step = state.last + 1;
        let data: Arc<[u8]> = data.into();
        let end = at + data.len() as u64;
        for index in indexes(at, data.len()) {
            let begin = index * BLOCK as u64;
            let block = if begin >= at && begin + BLOCK as u64 <= end {
                Block { step, data: data.clone(), from: (begin - at) as usize }
            } else {
                let mut whole = self.block(state, index)?;
                overlay(begin, &mut whole, at, &data);
                Block { step, data: whole.into(), from: 0 }
            };
            state.blocks.insert(index, block);
        }
        state.len = state.len.max(end);
        state.bytes += data.len();
        state.add(Step::Write { at, data });
        Ok(())
    }
}

/// Copies to `out`, which begins at `begin`, the part of `data`, which begins at `at`, that is in both.
fn overlay(begin: u64, out: &mut [u8], at: u64, data: &[u8]) {
    let to = at.saturating_sub(begin) as usize;
    let from = begin.saturating_sub(at) as usize;
    let (Some(out), Some(data)) = (out.get_mut(to..), data.get(from..)) else { return };
    let len = out.len().min(data.len());
    out[..len].copy_from_slice(&data[..len]);
}

impl StorageBackend for Behind {
    fn len(&self) -> io::Result<u64> {
        Ok(self.shared.lock().len)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let wanted = indexes(at, out.len());
        let (found, valid) = {
            let state = self.shared.lock();
            if at + out.len() as u64 > state.len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let indexes = if state.blocks.is_empty() { 0..0 } else { wanted.clone() };
            let found = indexes.filter_map(|index| {
                state.blocks.get(&index).map(|block| (index, block.data.clone(), block.from))
            });
            (found.collect::<Vec<_>>(), state.valid)
        };
        if found.len() as u64 != wanted.end - wanted.start {
            self.shared.read_file(at, out, valid)?;
        }
        for (index, data, from) in found {
            let block = data.get(from..from + BLOCK).unwrap_or_default();
            overlay(at, out, index * BLOCK as u64, block);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.check()?;
        // Bytes behind the end are zero when the file grows again.
        let cut = len / BLOCK as u64;
        let kept = (len % BLOCK as u64) as usize;
        state.blocks.retain(|index, _| *index < len.div_ceil(BLOCK as u64));
        if kept > 0 && state.blocks.contains_key(&cut) {
            let mut whole = self.shared.block(&state, cut)?;
            whole[kept..].fill(0);
            let step = state.last + 1;
            state.blocks.insert(cut, Block { step, data: whole.into(), from: 0 });
        }
        state.valid = state.valid.min(len);
        state.len = len;
        state.add(Step::SetLen(len));
        self.shared.go_on(state);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.shared.lock();
        state.check()?;
        state.add(Step::Sync);
        self.shared.go_on(state);
        Ok(())
    }

    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.shared.lock();
        while self.shared.has_thread && state.is_full() {
            state = self.shared.wait(state);
        }
        state.check()?;
        self.shared.add_write(&mut state, at, data)?;
        self.shared.go_on(state);
        Ok(())
    }

    /// Takes the steps that are left. What is still held is given up.
    fn close(&self) -> io::Result<()> {
        let result = {
            let mut state = self.shared.lock();
            state.is_closing = true;
            while self.shared.has_thread && state.taken < state.last && state.failure.is_none() {
                // Whoever opens the file next must not meet a step that is under way.
                if state.is_held() && !state.is_taking() {
                    self.shared.fail(&mut state, "the store was closed");
                } else {
                    self.shared.changed.notify_all();
                    state = self.shared.wait(state);
                }
            }
            state.check()
        };
        self.shared.changed.notify_all();
        self.shared.file.close()?;
        result
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.query_lock_range(start, end)
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
