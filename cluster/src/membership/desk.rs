//! The peer port of a newcomer, which waits for a cluster or for others to found one with.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::founding::{Founding, Step};
use crate::GroupId;
use crate::identity::Layout;
use crate::net::{Asker, Caller, Service, Shown, Standing};
use crate::wire::{Answer, Greeted, JoinReply, NewcomerV1, Request};

/// Answers the greetings of others. What this newcomer holds to is on disk before it says so.
pub(super) struct Desk {
    founding: Mutex<Founding>,
    layout: Layout,
}

impl Desk {
    pub(super) fn new(own: NewcomerV1, layout: Layout) -> Self {
        Self { founding: Mutex::new(Founding(own)), layout }
    }

    fn lock(&self) -> MutexGuard<'_, Founding> {
        self.founding.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This newcomer, with what it holds to.
    pub(super) fn own(&self) -> NewcomerV1 {
        self.lock().0.clone()
    }

    /// Applies a change. If it cannot be written, it is not made.
    fn change<T>(&self, change: impl FnOnce(&mut Founding) -> (T, bool)) -> io::Result<T> {
        let mut founding = self.lock();
        let mut next = founding.clone();
        let (result, has_changed) = change(&mut next);
        if has_changed {
            self.layout.write_newcomer(&next.0)?;
            *founding = next;
        }
        Ok(result)
    }

    /// Decides after a round of greetings, see [`Founding::after_round`].
    pub(super) fn after_round(&self, began: &NewcomerV1, heard: &[NewcomerV1]) -> io::Result<Step> {
        self.change(|founding| {
            let step = founding.after_round(began.agreement.as_ref(), heard);
            let has_changed = step == Step::Changed;
            (step, has_changed)
        })
    }

    fn greeted(&self, by: &NewcomerV1) -> Answer {
        let greeted = self.change(|founding| {
            let has_changed = founding.greeted(by);
            (founding.0.clone(), has_changed)
        });
        match greeted {
            Ok(own) => Answer::GreetedV1(Greeted::Newcomer(own)),
            Err(error) => Answer::FailedV1 { reason: error.to_string() },
        }
    }
}

impl Service for Desk {
    type Session = ();

    fn admit(&self, caller: &Caller) -> Result<(), String> {
        match (caller.shown.admission, caller.hello.to) {
            (Err(why), _) => Err(format!("the caller {why}")),
            (Ok(()), 0) => Ok(()),
            (Ok(()), _) => Err("this node waits to join a cluster".to_owned()),
        }
    }

    fn standing(&self, shown: &Shown) -> Standing {
        // A newcomer knows no members.
        if shown.admission.is_ok() { Standing::Guest } else { Standing::Stranger }
    }

    async fn expelled(&self, _: &Shown) {
        std::future::pending().await
    }

    fn has_group(&self, _: GroupId) -> bool {
        false
    }

    async fn begin(self: &Arc<Self>, _: Asker, request: Request) -> BoxFuture<'static, Answer> {
        let answer = match request {
            Request::GreetV1(by) => self.greeted(&by),
            Request::NewIdV1 { .. } | Request::AnnounceV1(_) => {
                Answer::JoinV1(JoinReply::Elsewhere { addr: String::new() })
            }
            _ => Answer::FailedV1 { reason: "this node waits to join a cluster".to_owned() },
        };
        Box::pin(std::future::ready(answer))
    }

    async fn in_session(self: &Arc<Self>, _: &mut (), request: Request) -> Result<Answer, Request> {
        Err(request)
    }
}
