//! The subjects that a change of a stream concerns.

use super::subject::{Selector, Subject};

/// The largest number of subjects that one change names. More subjects are split over several changes.
pub const MAX_TOUCHED: usize = 64;

/// The subjects that a change of a stream concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// These subjects, each once.
    These(Vec<Subject>),
    /// Possibly every subject of the stream.
    Many,
}

impl Touched {
    /// Returns whether the change may concern a reader of these subjects.
    pub fn concerns(&self, selector: &Selector) -> bool {
        match self {
            Self::These(subjects) => subjects.iter().any(|subject| selector.matches(subject.as_str())),
            Self::Many => true,
        }
    }

    /// Adds a subject, unless there are too many. Returns whether the subject is included now.
    pub fn add(&mut self, subject: &Subject) -> bool {
        let Self::These(subjects) = self else { return true };
        // Consecutive events often have the same subject.
        if subjects.last() == Some(subject) || subjects.contains(subject) {
            return true;
        }
        let has_room = subjects.len() < MAX_TOUCHED;
        if has_room {
            subjects.push(subject.clone());
        }
        has_room
    }
}

impl Default for Touched {
    /// No subject.
    fn default() -> Self {
        Self::These(Vec::new())
    }
}
