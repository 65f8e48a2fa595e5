//! Who writes to a client's socket: the task of its connection, or the dispatcher of its worker thread.
//!
//! The task writes whatever its session says. When all of that is written, the task gives the write side over
//! and sleeps, and the dispatcher writes events as they come: a system call for each client, and no wake of a
//! task. Whenever the task runs, it takes the write side back first. A frame for which the socket had no room
//! is left to the task, which ends it before it writes anything else. So frames never mix, and each byte is
//! written once.
//!
//! Task and dispatcher share one thread, and neither runs within the other. So nobody writes between two
//! steps of the other.

use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};

/// A socket to which bytes are written as they are: one without TLS.
pub trait PlainSocket {
    /// Writes as many of the bytes as there is room for, at once.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room, or why the connection is broken.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// The write side of one connection. It may live longer than the connection, and keeps nothing of it open.
pub struct WriteSide {
    socket: Weak<dyn PlainSocket>,
    state: RefCell<State>,
}

/// Whose turn it is to write.
enum State {
    /// The dispatcher may write: nothing that was said before waits to be written.
    Direct,
    /// The task writes, and first of all the rest of what the dispatcher has begun.
    Queued { rest: Bytes },
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All is written.
    All,
    /// The socket had no room for all of it, or is broken. The task has to write the rest.
    Part,
}

impl WriteSide {
    /// The write side of a connection. Its task has it first.
    pub fn new(socket: Weak<dyn PlainSocket>) -> Rc<Self> {
        Rc::new(Self { socket, state: RefCell::new(State::Queued { rest: Bytes::new() }) })
    }

    /// The task writes from now on. Returns what it has to write before anything that comes later.
    #[must_use]
    pub fn take_back(&self) -> Bytes {
        match self.state.replace(State::Queued { rest: Bytes::new() }) {
            State::Direct => Bytes::new(),
            State::Queued { rest } => rest,
        }
    }

    /// The task has written all that waited. The dispatcher may write from now on.
    pub fn give_over(&self) {
        let mut state = self.state.borrow_mut();
        if matches!(&*state, State::Queued { rest } if rest.is_empty()) {
            *state = State::Direct;
        }
    }

    /// Whether the dispatcher may write.
    pub fn is_direct(&self) -> bool {
        matches!(*self.state.borrow(), State::Direct)
    }

    /// Writes whole frames for the dispatcher, which must have the write side. If that does not write all of
    /// them, the write side is the task's again, and the task must be woken: it writes the rest, or meets the
    /// error.
    pub fn write(&self, mut frames: Bytes) -> Written {
        debug_assert!(self.is_direct(), "the task has the write side");
        let written = self.socket.upgrade().and_then(|socket| socket.try_write(&frames).ok());
        frames.advance(written.unwrap_or_default());
        if frames.is_empty() {
            return Written::All;
        }
        *self.state.borrow_mut() = State::Queued { rest: frames };
        Written::Part
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
