//! The names of nodes, as a caller may see them.

use crate::core::ids::NodeId;
use crate::edge::context::Edge;
use crate::hub::Who;
use waypost_cluster::{MemberStatus, Status};

/// The names of the members. A node is often called as its host is, so whoever comes with a portal link learns
/// none.
pub struct NodeNames(Option<Status>);

impl NodeNames {
    /// The names that the caller may see.
    pub fn seen_by(edge: &Edge, who: &Who) -> Self {
        Self((!who.is_of_link()).then(|| edge.hub.health().status()))
    }

    /// The name of a member. `None` if it has none, or if the caller may not see it.
    pub fn of(&self, node: NodeId) -> Option<&str> {
        self.0.as_ref()?.member(node).and_then(MemberStatus::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waypost_cluster::NAME;

    #[test]
    fn a_member_is_named_to_those_who_may_see_it() {
        let meta = [(NAME.to_owned(), "berlin-2".to_owned())].into();
        let members = vec![MemberStatus { id: 3, meta, ..MemberStatus::default() }];
        let names = NodeNames(Some(Status { members, ..Status::default() }));
        assert_eq!((names.of(3), names.of(4)), (Some("berlin-2"), None));
        assert_eq!(NodeNames(None).of(3), None);
    }
}
