//! The state machine of nodes with presence: the ledger, and Waypost's own state beside it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use machine::core::command::Change;
use machine::core::state::{Context, State, StateError};
use machine::core::store::{ReadStore, StoreError as CoreError, Visit, WriteStore};
use simulated::{ApplyContext, Load, StateMachine, StoreError, Txn, View};

use super::local::{Local, News};
use crate::ledger::Ledger;

/// The number of commands that Waypost's state has applied.
const COUNT: &[u8] = b"~count";
/// A command of the ledger has this many bytes, and no other command has.
const OF_LEDGER: usize = 8;

/// A command as Waypost's state applied it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The time on the expiry clock.
    pub(crate) expiry_ms: u64,
    /// The command.
    pub(crate) command: Vec<u8>,
}

/// The commands of one run in the order in which all nodes apply them.
#[derive(Default)]
pub(crate) struct Log(Mutex<Vec<Entry>>);

impl Log {
    /// Notes an application. Returns whether other nodes applied the same command at that position.
    fn applied(&self, number: u64, entry: Entry) -> bool {
        let mut all = self.all();
        let at = number as usize - 1;
        if at == all.len() {
            all.push(entry);
            return true;
        }
        all.get(at) == Some(&entry)
    }

    /// All commands so far.
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ledger and Waypost's state.
pub(crate) struct Replica {
    ledger: Ledger,
    state: State,
    local: Arc<Local>,
    log: Arc<Log>,
}

impl Replica {
    /// An empty machine of the process that `local` belongs to.
    pub(crate) fn new(ledger: Ledger, local: Arc<Local>, log: Arc<Log>) -> Self {
        Self { ledger, state: State::default(), local, log }
    }
}

impl StateMachine for Replica {
    fn load(&mut self, view: &View, why: Load) -> Result<(), StoreError> {
        self.state = loaded(view)?;
        if why == Load::Snapshot {
            self.local.hear(News::Skipped);
        }
        self.ledger.load(view, why)
    }

    fn apply(
        &mut self,
        ctx: &mut ApplyContext,
        command: &Bytes,
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        if command.len() == OF_LEDGER {
            return self.ledger.apply(ctx, command, txn);
        }
        let count = txn.get(COUNT)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes) + 1;
        txn.put(COUNT, &count.to_be_bytes())?;
        let entry = Entry { expiry_ms: ctx.expiry_ms(), command: command.to_vec() };
        if !self.log.applied(count, entry) {
            return Err(StoreError::Corrupt(format!("another node applied another command at {count}")));
        }
        self.state.apply(&mut Place(ctx), command, &mut TxnStore(txn)).map_err(of_the_disk)
    }

    fn flush(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        self.state.flush(&mut TxnStore(txn)).map_err(of_the_disk)
    }

    fn committed(&mut self, _applied: u64) {
        for change in self.state.take_changes() {
            match change {
                Change::NodeGone(node) => self.local.hear(News::Gone(node)),
                Change::Begun(node, incarnation) => self.local.hear(News::Begun(node, incarnation)),
                _ => {}
            }
        }
    }
}

/// Waypost's state in a view.
pub(super) fn loaded(view: &View) -> Result<State, StoreError> {
    State::load(&ViewStore(view)).map_err(of_the_disk)
}

fn of_the_disk(error: StateError) -> StoreError {
    match error {
        StateError::Store(CoreError::Failed(cause)) => match cause.downcast::<StoreError>() {
            Ok(cause) => *cause,
            Err(cause) => StoreError::Io(cause.to_string()),
        },
        other => StoreError::Corrupt(other.to_string()),
    }
}

fn of_core(error: StoreError) -> CoreError {
    CoreError::Failed(Box::new(error))
}

struct Place<'a>(&'a mut ApplyContext);

impl Context for Place<'_> {
    fn group(&self) -> u16 {
        self.0.group()
    }
    fn index(&self) -> u64 {
        self.0.index()
    }
    fn time_ms(&self) -> u64 {
        self.0.time_ms()
    }
    fn id_ms(&self) -> u64 {
        self.0.id_ms()
    }
    fn expiry_ms(&self) -> u64 {
        self.0.expiry_ms()
    }
    fn take_slots(&mut self, count: u32) -> u32 {
        self.0.take_slots(count)
    }
}

/// A read transaction as Waypost's state reads it.
pub(super) struct ViewStore<'a>(pub(super) &'a View);

impl ReadStore for ViewStore<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CoreError> {
        self.0.get(key).map_err(of_core)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), CoreError> {
        self.0.scan(from..to, visit).map_err(of_core)
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), CoreError> {
        self.0.scan_back(from..to, visit).map_err(of_core)
    }
}

struct TxnStore<'a, 't>(&'a mut Txn<'t>);

impl ReadStore for TxnStore<'_, '_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, CoreError> {
        self.0.get(key).map_err(of_core)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), CoreError> {
        self.0.scan(from..to, visit).map_err(of_core)
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), CoreError> {
        self.0.scan_back(from..to, visit).map_err(of_core)
    }
}

impl WriteStore for TxnStore<'_, '_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), CoreError> {
        self.0.put(key, value).map_err(of_core)
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), CoreError> {
        self.0.delete(key);
        Ok(())
    }
}
