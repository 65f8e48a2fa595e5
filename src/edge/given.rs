//! Values that callers give by name, in a query or in JSON, and the errors about them.

use crate::core::error_code::Code;
use serde_json::Value;

/// A value as a caller gave it.
#[derive(Clone, Copy, Debug)]
pub enum Given<'v> {
    /// A value of a query, of a header, or of a field that is known to be a string.
    Text(&'v str),
    /// A value of a JSON message.
    Json(&'v Value),
}

impl<'v> Given<'v> {
    /// The text. `None` if the JSON value has another type.
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
    /// A stable code: `invalid_{field}`.
    pub code: Code,
    /// What is wrong with it.
    pub message: String,
    /// What the caller can do about it.
    pub hint: Option<&'static str>,
}

impl BadParameter {
    /// An error about the parameter `field`.
    pub fn new(field: &'static str, code: Code, message: impl Into<String>) -> Self {
        Self { field, code, message: message.into(), hint: None }
    }

    /// Adds what the caller can do about it.
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}
