//! A subscriber as the audiences of topic views see it. What comes for a subscription stirs that one alone, and
//! always before anybody is woken or the dispatcher is to write: whoever looks then finds it.

use super::Subscriber;
use super::subscription::Behind;
use crate::delivery::audience::{Quiet, Reader};
use std::rc::Rc;

impl Reader for Subscriber {
    fn wake(&self, place: usize) {
        self.subscriptions.borrow_mut().stir(place);
        self.wake();
    }

    fn offer(self: Rc<Self>, place: usize) {
        self.subscriptions.borrow_mut().stir(place);
        self.offer_direct();
    }

    fn pass(&self, place: usize, quiet: Quiet) {
        if let Some(passing) = self.subscriptions.borrow_mut().get_mut(place) {
            passing.pass(quiet);
        }
    }

    fn forget_page(&self, place: usize) {
        if let Some(reading) = self.subscriptions.borrow_mut().get_mut(place) {
            reading.behind = Behind::No;
        }
    }

    fn waits_for(&self, place: usize, seq: u64) -> bool {
        self.subscriptions.borrow_mut().get_mut(place).is_some_and(|reading| reading.waits_for(seq))
    }
}
