//! How the dispatcher writes a subscriber's events to the client's socket, without waking the session's task.

use super::Subscriber;
use super::subscription::Take;
use crate::delivery::close::End;
use crate::delivery::doorbell::Bell;
use crate::delivery::serving::{Left, Served};
use crate::delivery::tally::Tally;
use crate::delivery::write_side::{WriteSide, Written};
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;

/// Writes to one client in a turn. Then other clients have their turn.
const WRITES: usize = 4;

/// The dispatcher's way to a client's socket.
pub(in crate::delivery) struct Direct {
    write_side: Rc<WriteSide>,
    /// Rung for the session's own part: what that has to say comes before the events that follow.
    bell: Arc<Bell>,
    tally: Rc<Tally>,
}

impl Direct {
    pub(in crate::delivery) fn new(write_side: Rc<WriteSide>, bell: Arc<Bell>, tally: Rc<Tally>) -> Self {
        Self { write_side, bell, tally }
    }

    fn write(&self, frames: Bytes) -> Written {
        self.tally.count(frames.len());
        self.write_side.write(frames)
    }
}

impl Subscriber {
    /// From now on, the dispatcher writes events to the client's socket whenever it has the write side.
    pub(in crate::delivery) fn set_direct(&self, direct: Direct) {
        // A session has one connection.
        let _ = self.direct.set(direct);
    }

    /// Has the dispatcher write to the client's socket, or wakes the session's task if that has the write
    /// side.
    pub(super) fn offer_direct(self: Rc<Self>) {
        if self.direct.get().is_none_or(|direct| !direct.write_side.is_direct()) {
            self.wake();
        } else if !self.is_about_to_be_served.replace(true) {
            let dispatcher = self.dispatcher.clone();
            dispatcher.serve(self);
        }
    }

    /// The dispatcher's way to the client's socket, if it may write there now. The session's task writes if
    /// it has something of its own to do, and when the session ends.
    fn open_way(&self) -> Option<&Direct> {
        let way = self.direct.get().filter(|direct| direct.write_side.is_direct() && !direct.bell.has_rung());
        way.filter(|_| self.end.get().is_none())
    }
}

impl Served for Subscriber {
    fn serve(&self) -> Left {
        self.is_about_to_be_served.set(false);
        let Some(direct) = self.open_way() else {
            self.wake();
            return Left::Nothing;
        };
        for _ in 0..WRITES {
            match self.take(None) {
                Take::Frames(frames) => {
                    if direct.write(frames) == Written::Part {
                        self.handed_over();
                        self.wake();
                        return Left::Nothing;
                    }
                }
                Take::Nothing | Take::Reading => return Left::Nothing,
                Take::Behind => {
                    self.wake();
                    return Left::Nothing;
                }
                Take::End(end) => {
                    self.finish(end);
                    return Left::Nothing;
                }
            }
        }
        self.is_about_to_be_served.set(true);
        Left::More
    }

    fn give_up(&self) {
        self.finish(End::Failed);
    }
}
