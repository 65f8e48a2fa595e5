//! Speeds: what a consumer's requests have shown of its receiver.

/// How fast a consumer's receiver is, as far as that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Speed {
    /// The last request went well and fast.
    Quick,
    /// No request has ended yet.
    #[default]
    Unknown,
    /// The last request failed or took long, or one has been under way for long.
    Slow,
}

impl Speed {
    /// All speeds; whoever waits under the first one goes first.
    pub const ORDER: [Self; 3] = [Self::Quick, Self::Unknown, Self::Slow];
}

/// What was observed of a consumer's requests on this node.
#[derive(Debug, Default)]
pub struct Observed {
    /// The number of requests that have been under way for long.
    slow: usize,
    last: Speed,
}

impl Observed {
    /// Begins with what is known from elsewhere.
    pub fn new(last: Speed) -> Self {
        Self { slow: 0, last }
    }

    /// Returns the consumer's speed now.
    pub fn speed(&self) -> Speed {
        if self.slow > 0 { Speed::Slow } else { self.last }
    }

    /// Records that a request has been under way for long.
    pub fn turned_slow(&mut self) {
        self.slow += 1;
    }

    /// Records the end of a request. `was_slow` says that it was recorded by [`Observed::turned_slow`];
    /// `speed` is what it showed, `None` if it showed nothing.
    pub fn ended(&mut self, was_slow: bool, speed: Option<Speed>) {
        self.slow -= usize::from(was_slow && self.slow > 0);
        self.last = speed.unwrap_or(self.last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_request_decides_unless_one_takes_long() {
        let mut observed = Observed::default();
        assert_eq!(observed.speed(), Speed::Unknown);
        observed.ended(false, Some(Speed::Quick));
        assert_eq!(observed.speed(), Speed::Quick);
        observed.turned_slow();
        observed.ended(false, Some(Speed::Quick));
        assert_eq!(observed.speed(), Speed::Slow, "one is still under way");
        observed.ended(true, Some(Speed::Slow));
        assert_eq!(observed.speed(), Speed::Slow);
        observed.ended(false, None);
        assert_eq!(observed.speed(), Speed::Slow, "nothing new is known");
        observed.ended(false, Some(Speed::Quick));
        assert_eq!(observed.speed(), Speed::Quick);
        assert_eq!(Observed::new(Speed::Slow).speed(), Speed::Slow);
    }

    #[test]
    fn a_speed_is_the_index_of_its_line() {
        assert!(Speed::ORDER.into_iter().enumerate().all(|(index, speed)| speed as usize == index));
    }
}
