//! Gathers proposals into log entries. What waits is bounded in bytes and in number, and flows take turns:
//! `shares` says what may wait, `turns` what goes next. `gatherer` sends it, as often as necessary; `numbers`
//! and `retries` keep what it sends in order.

mod batch;
mod gatherer;
mod numbers;
mod retries;
mod shares;
mod turns;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::batch::Group;
pub(crate) use self::batch::{Origin, Outcome, Ticket};
pub(crate) use self::gatherer::Gatherer;
pub(crate) use self::shares::Full;
use self::shares::{Held, Shares};
pub(crate) use self::turns::Line;
use self::turns::Turns;
use crate::config::Config;

/// Hands groups to the gathering task.
#[derive(Clone)]
pub(crate) struct Proposer {
    submitted: mpsc::UnboundedSender<Group>,
    /// The bounds of what is submitted.
    shares: Arc<Shares>,
}

impl Proposer {
    /// A proposer and the queue that its task reads.
    pub(crate) fn new(config: &Config) -> (Self, Queue) {
        let most = Held { bytes: config.max_queued_bytes, groups: config.max_queued_proposals };
        let (shares, answered) = Shares::new(most);
        let (sender, submitted) = mpsc::unbounded_channel();
        (Self { submitted: sender, shares }, Queue { submitted, answered })
    }

    /// Queues commands, which are proposed together.
    pub(crate) fn submit(
        &self,
        line: Line,
        commands: Vec<Bytes>,
        origin: Origin,
        deadline: Instant,
    ) -> Result<(Arc<Ticket>, oneshot::Receiver<Outcome>), Full> {
        let share = self.shares.take(line, commands.iter().map(Bytes::len).sum())?;
        let (done, outcome) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let group = Group { commands, origin, deadline, ticket: ticket.clone(), done, share };
        // If the task has ended, the group is dropped, and `outcome` says so.
        let _ = self.submitted.send(group);
        Ok((ticket, outcome))
    }
}

/// The queue's reading end.
pub(crate) struct Queue {
    submitted: mpsc::UnboundedReceiver<Group>,
    /// Lines whose groups were answered, with the bytes.
    answered: mpsc::UnboundedReceiver<(Line, usize)>,
}

impl Queue {
    /// Moves what came into the lines.
    fn sort_into(&mut self, turns: &mut Turns<Group>) {
        while let Ok((line, bytes)) = self.answered.try_recv() {
            turns.answered(line, bytes);
        }
        while let Ok(group) = self.submitted.try_recv() {
            turns.push(group);
        }
    }
}
