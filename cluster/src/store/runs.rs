//! Writes records to the table in ascending order. Neighbours are written together, page by page: that costs
//! about a third of writing each of them by itself.

use std::iter::Peekable;
use std::ops::Bound;

use redb::{CursorError, Table};

use super::failed;
use super::layers::Write;
use crate::error::StoreError;

pub(super) type Data<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// Fewer neighbours are written one by one: a run begins with a search for its place, too.
const SHORTEST: usize = 4;
/// Keys that end in numbers at most so far apart are neighbours. Between two removed neighbours lies little that
/// stays, so that a run reads hardly more than it removes.
const NEAR: u64 = 8;
/// Bytes of the number at the end of a key.
const NUMBER: usize = 8;

/// Writes records by ascending key: a record, or `None` where the key is removed.
pub(super) fn write<'w>(
    table: &mut Data<'_>,
    writes: impl Iterator<Item = Write<'w>>,
) -> Result<(), StoreError> {
    let writes: Vec<Write<'_>> = writes.collect();
    let is_one_run = |one: &Write<'_>, next: &Write<'_>| {
        one.1.is_some() == next.1.is_some() && are_neighbours(one.0, next.0)
    };
    for run in writes.chunk_by(is_one_run) {
        match run {
            [(first, None), .., (last, None)] if run.len() >= SHORTEST => {
                remove_run(table, first, last, run.iter().map(|(key, _)| *key).peekable())?;
            }
            [(_, Some(_)), ..] if run.len() >= SHORTEST => insert_run(table, run)?,
            _ => each(table, run)?,
        }
    }
    Ok(())
}

/// Returns whether the keys differ only in the numbers at their ends, and little there.
fn are_neighbours(one: &[u8], next: &[u8]) -> bool {
    let (Some((one, from)), Some((next, to))) =
        (one.split_last_chunk::<NUMBER>(), next.split_last_chunk::<NUMBER>())
    else {
        return false;
    };
    one == next && u64::from_be_bytes(*to).saturating_sub(u64::from_be_bytes(*from)) <= NEAR
}

fn each(table: &mut Data<'_>, run: &[Write<'_>]) -> Result<(), StoreError> {
    for (key, record) in run {
        match record {
            Some(record) => table.insert(key, record).map(drop).map_err(failed)?,
            None => table.remove(key).map(drop).map_err(failed)?,
        }
    }
    Ok(())
}

/// Inserts new records. From the first one that is there already, or that comes after another record of the
/// table, they are written one by one.
fn insert_run(table: &mut Data<'_>, run: &[Write<'_>]) -> Result<(), StoreError> {
    let Some((first, _)) = run.first() else { return Ok(()) };
    let mut cursor = table.upper_bound_mut(Bound::Excluded(*first)).map_err(failed)?;
    let mut inserted = 0;
    for (key, record) in run {
        match cursor.insert_before(*key, record.unwrap_or_default()) {
            Ok(()) => inserted += 1,
            Err(CursorError::UnorderedKey) => break,
            Err(error) => return Err(failed(error)),
        }
    }
    cursor.close().map_err(failed)?;
    each(table, &run[inserted..])
}

/// Removes the keys of a run. What else lies between the first and the last stays.
fn remove_run<'w>(
    table: &mut Data<'_>,
    first: &'w [u8],
    last: &'w [u8],
    mut run: Peekable<impl Iterator<Item = &'w [u8]>>,
) -> Result<(), StoreError> {
    let stays = |key: &[u8], _: &[u8]| {
        while run.next_if(|removed| *removed < key).is_some() {}
        run.peek().is_none_or(|removed| *removed != key)
    };
    table.retain_in::<&[u8], _>(first..=last, stays).map_err(failed)
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
