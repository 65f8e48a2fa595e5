//! Makes a damaged log the same as that of a peer.

use super::peers::{Fetched, Others};
use super::{Patch, shared};
use crate::NodeId;
use crate::wire::StoredLogId;

/// What came of making the log the same as a peer's.
pub(super) enum Agreed {
    Yes,
    Lacks,
    StateInstead,
    Nothing,
}

/// Makes this log the same as that of a peer, up to its entry `upto`. `from` is the last entry before that is
/// whole here; the peer may have another one there.
pub(super) async fn agree(
    patch: &Patch,
    others: &Others,
    id: NodeId,
    (from, upto): (u64, StoredLogId),
) -> Agreed {
    let (start, own) = {
        let broken = shared(&patch.broken);
        (broken.start(), broken.id(from))
    };
    // A term has one leader, whose log has both entries. So has each log with the later one, and the peer's may be
    // damaged at the earlier one.
    if own.is_some_and(|own| own.term == upto.term && from < upto.index)
        && let Fetched::Entries(entries) = others.entries(id, from + 1, upto).await
    {
        patch.put(entries);
        return Agreed::Yes;
    }
    let mut from = from.max(start);
    let mut back = 1;
    loop {
        let entries = match others.entries(id, from, upto).await {
            Fetched::Entries(entries) => entries,
            Fetched::Lacks => return Agreed::Lacks,
            Fetched::StateInstead => return Agreed::StateInstead,
            Fetched::Nothing => return Agreed::Nothing,
        };
        let first = entries.first().map(|entry| StoredLogId::from(&entry.log_id));
        let own = shared(&patch.broken).id(from);
        if from == start || (own.is_some() && own == first) {
            patch.put(entries);
            return Agreed::Yes;
        }
        from = from.saturating_sub(back).max(start);
        back *= 2;
    }
}
