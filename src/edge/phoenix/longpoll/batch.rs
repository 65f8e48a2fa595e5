//! The numbered answers of a long poll's session. At most one of them may not have arrived.
//!
//! A poll names the last batch that its client has, so the session knows what arrived. After an answer was
//! lost (by a client, a proxy or a relaying node) the next poll gets the same batch again. Pure: no I/O, no
//! clock.

use std::rc::Rc;

/// Messages that one answer carries: JSON strings, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Its number, from 1.
    pub(super) number: u64,
    /// The messages.
    pub(super) messages: Rc<str>,
}

/// What a poll must get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The next batch: all batches before it have arrived.
    Next,
    /// The batch whose answer was lost, unchanged.
    Again(Batch),
    /// A batch that is not kept any more, or never was. The client has to resume in a new session.
    Gone,
}

/// The batches of one session. It keeps the last one until a poll shows that the client has it.
#[derive(Debug, Default)]
pub(super) struct Batches {
    last: u64,
    unacknowledged: Option<Batch>,
}

impl Batches {
    /// Handles a poll of a client that has the batches up to `seen`.
    pub(super) fn poll(&mut self, seen: u64) -> Due {
        if seen == self.last {
            self.unacknowledged = None;
            return Due::Next;
        }
        match &self.unacknowledged {
            Some(batch) if seen.checked_add(1) == Some(batch.number) => Due::Again(batch.clone()),
            _ => Due::Gone,
        }
    }

    /// Makes the next batch, for the poll that must get it.
    pub(super) fn answer(&mut self, messages: String) -> Batch {
        self.last += 1;
        let batch = Batch { number: self.last, messages: messages.into() };
        self.unacknowledged = Some(batch.clone());
        batch
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What happens to a request or its answer on the way.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        /// Both arrive.
        Well,
        /// The answer is lost: the client asks again.
        AnswerLost,
        /// A proxy repeats the request, and passes on only the second answer.
        Repeated,
        /// A copy of an earlier request arrives first, and its answer is not read.
        Straggler(u64),
    }

    fn fate() -> impl Strategy<Value = Fate> {
        prop_oneof![
            Just(Fate::Well),
            Just(Fate::AnswerLost),
            Just(Fate::Repeated),
            (0u64..20).prop_map(Fate::Straggler)
        ]
    }

    /// The server's side: each new batch carries the next message.
    #[derive(Default)]
    struct Server {
        batches: Batches,
        sent: u64,
    }

    impl Server {
        fn ask(&mut self, seen: u64) -> Option<Batch> {
            match self.batches.poll(seen) {
                Due::Next => {
                    self.sent += 1;
                    Some(self.batches.answer(self.sent.to_string()))
                }
                Due::Again(batch) => Some(batch),
                Due::Gone => None,
            }
        }
    }

    proptest! {
        /// Whatever is lost or repeated, the client gets every message once and in order.
        #[test]
        fn every_message_arrives_once(fates in prop::collection::vec(fate(), 0..200)) {
            let mut server = Server::default();
            let mut seen = 0;
            let mut got = Vec::new();
            for fate in fates {
                match fate {
                    Fate::Well => {}
                    Fate::AnswerLost => {
                        server.ask(seen).unwrap();
                        continue;
                    }
                    Fate::Repeated => drop(server.ask(seen).unwrap()),
                    // A client never presents a number that it was not given.
                    Fate::Straggler(back) => drop(server.ask(seen.saturating_sub(back + 1))),
                }
                let batch = server.ask(seen).unwrap();
                seen = batch.number;
                got.push(batch.messages.parse::<u64>().unwrap());
            }
            prop_assert!(got.iter().copied().eq(1..=got.len() as u64), "{got:?}");
        }
    }

    #[test]
    fn numbers_that_were_never_given_are_gone() {
        let mut batches = Batches::default();
        assert_eq!(batches.poll(1), Due::Gone);
        assert_eq!(batches.poll(u64::MAX), Due::Gone);
        assert_eq!(batches.poll(0), Due::Next);
        let batch = batches.answer("x".to_owned());
        assert_eq!(batches.poll(0), Due::Again(batch.clone()));
        assert_eq!(batches.poll(0), Due::Again(batch));
        assert_eq!(batches.poll(1), Due::Next);
        assert_eq!(batches.poll(0), Due::Gone);
    }
}
