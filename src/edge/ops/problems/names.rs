//! Names that several nodes have.

use super::reach::list;
use super::{Known, Problem, problem};
use crate::core::ids::NodeId;
use std::collections::BTreeMap;

/// One problem for each name that several members have.
pub(super) fn problems(known: &[Known<'_>]) -> Vec<Problem> {
    let mut by_name: BTreeMap<&str, Vec<NodeId>> = BTreeMap::new();
    for member in known.iter().map(|known| known.member) {
        if let Some(name) = member.name() {
            by_name.entry(name).or_default().push(member.id);
        }
    }
    by_name.retain(|_, ids| ids.len() > 1);
    let told = |(name, ids): (&str, Vec<NodeId>)| {
        let what = format!(
            "{} have the same name, {name}: a command that is given it is refused",
            list(&ids, known)
        );
        let hint = "set node.name (WAYPOST_NODE_NAME) of each node to a name of its own, and restart it";
        problem("same_name", "info", what, hint)
    };
    by_name.into_iter().map(told).collect()
}
