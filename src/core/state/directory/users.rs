//! Commands on the users of a map's clients.

use super::Directory;
use crate::core::access::Scopes;
use crate::core::app::TerminateUser;
use crate::core::command::{Change, Reply};
use crate::core::state::rights::Rights;

impl Directory {
    /// Has every node end the connections of the user. Nothing is stored: a node that skips this entry of the
    /// log knows that it may have missed such commands.
    pub(super) fn terminate_user(&mut self, terminate: TerminateUser) -> Reply {
        let TerminateUser { map, by, user } = terminate;
        if let Err(refusal) = self.check(map, by, Scopes::PUBLISH) {
            return Reply::Refused(refusal);
        }
        self.changes.push(Change::UserTerminated(map, user.into()));
        Reply::Done
    }
}
