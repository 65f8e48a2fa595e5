//! What callers give by name, in a query or in JSON, and what is wrong with it.

use serde_json::Value;

/// A value as a caller gave it.
#[derive(Clone, Copy, Debug)]
pub enum Given<'v> {
    /// Of a query, a header, or a field that is known to be a string.
    Text(&'v str),
    /// Of a JSON message.
    Json(&'v Value),
}

impl<'v> Given<'v> {
    /// The text; `None` where JSON has another type there.
    pub fn text(self) -> Option<&'v str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(value) => value.as_str(),
        }
    }

    /// A whole number: digits in a text, a number in JSON.
    pub fn number(self) -> Option<u64> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Json(value) => value.as_u64(),
        }
    }
}

/// Why a parameter is refused. Its text is a sentence that names the parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadParameter {
    /// The parameter.
    pub field: &'static str,
    /// Stable: `invalid_{field}`.
    pub code: &'static str,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

impl BadParameter {
    /// What is wrong with a parameter.
    pub fn new(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { field, code, message: message.into(), hint: None }
    }

    /// What to do about it.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}
