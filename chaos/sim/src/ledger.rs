//! The state machine that simulated nodes replicate: a list of commands. The history sees each application of
//! a command.

use std::sync::Arc;

use bytes::Bytes;
use simulated::{ApplyContext, Load, StateMachine, StoreError, Txn, View};

use crate::history::{Applied, History};

const LENGTH: &[u8] = b"length";
const ITEMS: &[u8] = b"item/";
const AFTER_ITEMS: &[u8] = b"item0";

/// Appends each command to a list and answers with its number, from 1.
pub(crate) struct Ledger {
    length: u64,
    host: usize,
    history: Arc<History>,
}

fn key(number: u64) -> Vec<u8> {
    [ITEMS, &number.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

impl Ledger {
    /// An empty ledger on `host`.
    pub(crate) fn new(host: usize, history: Arc<History>) -> Self {
        Self { length: 0, host, history }
    }

    /// How many commands a view has.
    pub(crate) fn length(view: &View) -> Result<u64, StoreError> {
        Ok(view.get(LENGTH)?.map_or(0, |v| number(&v)))
    }

    /// The command with that number.
    pub(crate) fn command(view: &View, n: u64) -> Result<Option<u64>, StoreError> {
        Ok(view.get(&key(n))?.map(|v| number(v.get(16..24).unwrap_or_default())))
    }

    /// All commands of a view, in order.
    pub(crate) fn all(view: &View) -> Result<Vec<Applied>, StoreError> {
        let mut all = Vec::new();
        view.scan(ITEMS..AFTER_ITEMS, &mut |key, value| {
            let part = |from: usize| number(value.get(from..from + 8).unwrap_or_default());
            let number = number(key.get(ITEMS.len()..).unwrap_or_default());
            all.push(Applied {
                number,
                index: part(0),
                time_ms: part(8),
                command: part(16),
                id_ms: part(24),
                expiry_ms: part(32),
            });
            true
        })?;
        Ok(all)
    }
}

impl StateMachine for Ledger {
    fn load(&mut self, view: &View, _why: Load) -> Result<(), StoreError> {
        self.length = Self::length(view)?;
        Ok(())
    }

    fn apply(
        &mut self,
        ctx: &mut ApplyContext,
        command: &Bytes,
        txn: &mut Txn<'_>,
    ) -> Result<Vec<u8>, StoreError> {
        self.length += 1;
        let applied = Applied {
            number: self.length,
            index: ctx.index(),
            time_ms: ctx.time_ms(),
            id_ms: ctx.id_ms(),
            expiry_ms: ctx.expiry_ms(),
            command: number(command),
        };
        self.history.applied(self.host, applied);
        let Applied { index, time_ms, command, id_ms, expiry_ms, .. } = applied;
        let value = [index, time_ms, command, id_ms, expiry_ms].map(u64::to_be_bytes).concat();
        txn.put(&key(self.length), &value)?;
        txn.put(LENGTH, &self.length.to_be_bytes())?;
        Ok(self.length.to_be_bytes().to_vec())
    }

    fn committed(&mut self, _applied: u64) {}
}
