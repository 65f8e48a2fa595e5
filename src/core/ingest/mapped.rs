//! What a body gives: events, or the reason why there are none.

use crate::core::error_code::Code;
use crate::core::subject::Subject;
use crate::core::text::counted;

/// An event as a body gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// The type.
    pub kind: String,
    /// The subject.
    pub subject: Subject,
    /// The time that its sender states (Unix milliseconds).
    pub time_ms: Option<u64>,
    /// The id that its sender gives it.
    pub id: Option<String>,
    /// The payload, JSON in normal form.
    pub payload: String,
}

/// Why a body gives no events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Bad {
    /// A stable code.
    pub code: Code,
    /// What is wrong, as a text for people.
    pub message: String,
    /// The index of the bad event in a batch.
    pub index: Option<usize>,
    /// How many events a request may have, if it has more.
    pub most: Option<usize>,
    /// Whether the media type is not one that is read.
    pub is_media: bool,
}

impl Bad {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), index: None, most: None, is_media: false }
    }

    /// A request has more events than it may.
    pub(super) fn too_many(most: usize) -> Self {
        let message = format!("a request may have at most {}", counted(most, "event", "events"));
        Self { most: Some(most), ..Self::new(Code::TooManyEvents, message) }
    }

    pub(super) fn media(message: impl Into<String>) -> Self {
        Self { is_media: true, ..Self::new(Code::UnsupportedMediaType, message) }
    }

    /// Names the bad event of a batch, unless it is named already.
    pub(super) fn at(self, index: usize) -> Self {
        Self { index: self.index.or(Some(index)), ..self }
    }
}
