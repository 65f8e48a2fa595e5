//! What a node that repairs its data waits for, in words for operators.

use super::broken::Need;
use crate::wire::StoredLogId;

/// What a node waits for, and what is lost if it goes on without it, in one sentence for operators.
/// `alone`: no other node voted, so that none can say what this one had acknowledged.
pub(super) fn reason(
    need: Need,
    last: Option<StoredLogId>,
    (answer, all): (usize, usize),
    alone: bool,
) -> String {
    let voter = if alone { ", and this node was the only voter" } else { "" };
    let who = match (answer, all) {
        (0, 1) => "the other node does not answer".to_owned(),
        (1, 1) => "the other node answers".to_owned(),
        (1, _) => format!("1 of {all} other nodes answers"),
        _ => format!("{answer} of {all} other nodes answer"),
    } + voter;
    let lost = "if you let it go on without them and everything after them (waypost repair --go-on), what was \
                acknowledged there is lost where no other node has it";
    match need {
        Need::Nothing => String::new(),
        Need::State { at_least } => format!(
            "the store of this node is damaged, and its log begins after entry {at_least}: it waits for a \
             node that sends its state; {who}"
        ),
        Need::Records { from, upto } => format!(
            "entries of this node's log before entry {} of term {} are damaged, after entry {from}, and no \
             node that answers has them whole: it waits for one; {who}; {lost}",
            upto.index, upto.term
        ),
        Need::End => {
            let last = last.map_or("none".to_owned(), |id| format!("{} of term {}", id.index, id.term));
            format!(
                "entries after the last whole one of this node's log ({last}) are damaged: it waits for a \
                 node that leads, or for all others to say where their logs end; {who}; {lost}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_is_not_spoken_of_as_several() {
        let who = |answer| reason(Need::State { at_least: 7 }, None, answer, false);
        assert!(who((0, 1)).ends_with("sends its state; the other node does not answer"));
        assert!(who((1, 1)).ends_with("; the other node answers"));
        assert!(who((1, 2)).ends_with("; 1 of 2 other nodes answers"));
        assert!(who((2, 2)).ends_with("; 2 of 2 other nodes answer"));
        let alone = reason(Need::State { at_least: 7 }, None, (2, 2), true);
        assert!(alone.ends_with("; 2 of 2 other nodes answer, and this node was the only voter"));
    }
}
