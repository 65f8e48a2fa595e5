//! What was used up of a consumer's rate before its engine began.

use crate::core::rate::{Rate, Window};

/// What is known of the requests before those of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Used {
    /// None of them counts any more.
    #[default]
    Nothing,
    /// Nobody knows them: up to this time an earlier owner may have made as many as the rate allows.
    Unknown {
        /// The end of that owner's time, in Unix milliseconds.
        until_ms: u64,
    },
    /// An engine of the same owner has counted them, at this rate.
    Counted(Rate, Box<Window>),
}

impl Used {
    /// Returns the window with which an engine of that rate begins. As everywhere, a count at another rate
    /// counts for nothing.
    pub(super) fn window(&self, rate: Option<Rate>) -> Window {
        match (self, rate) {
            (Self::Unknown { until_ms }, Some(rate)) => Window::used_up(rate, *until_ms),
            (Self::Counted(of, window), Some(rate)) if *of == rate => window.as_ref().clone(),
            _ => Window::default(),
        }
    }
}
