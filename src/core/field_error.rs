//! The errors of a body, field by field.
//!
//! Every body that is refused is answered with these errors, on every route. All errors are collected before
//! the body is refused, so that a caller sees all of them at once. Programs read `field` and `code`; people
//! read `message`.

use serde::Serialize;
use std::fmt::{self, Display};
use std::ops::RangeInclusive;

/// The name of the body itself, for errors that belong to no field.
pub const BODY: &str = "body";

/// One error of one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// Path of the field, with dots, as in `retry.delay_ms`; [`BODY`] for the whole body.
    pub field: String,
    /// The kind of error, for programs.
    pub code: FieldCode,
    /// The error as a text for people. It never has the value, which may be secret.
    pub message: String,
    /// The network of an address that is not public, for the hint that says what the operator can open.
    #[serde(skip)]
    pub network: Option<String>,
}

/// Kinds of errors of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldCode {
    /// The text is not JSON.
    NotJson,
    /// The value has another JSON type than the field takes.
    WrongType,
    /// There is no such field.
    UnknownField,
    /// The field is given twice.
    GivenTwice,
    /// The field must be given.
    Required,
    /// The number, length or count is beyond a bound.
    OutOfRange,
    /// The value is not one of the known ones, or does not have the form that is needed.
    Invalid,
    /// The value contradicts another field, or what is stored.
    Conflict,
    /// The address is not public, and the operator has not opened its network.
    NotPublic,
    /// The operator has not allowed this value.
    NotAllowed,
}

impl FieldError {
    /// An error of that field.
    pub fn new(field: impl Into<String>, code: FieldCode, message: impl Display) -> Self {
        Self { field: field.into(), code, message: message.to_string(), network: None }
    }

    /// The same error, of an address in that network.
    pub fn in_network(self, network: Option<String>) -> Self {
        Self { network, ..self }
    }
}

impl Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// All errors of one body, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    /// Adds an error.
    pub fn add(&mut self, field: impl Into<String>, code: FieldCode, message: impl Display) {
        self.0.push(FieldError::new(field, code, message));
    }

    /// Adds the error that the field is required.
    pub fn require(&mut self, field: impl Into<String>) {
        self.add(field, FieldCode::Required, "is required");
    }

    /// Adds an error unless the value is within the range.
    pub fn check_range<T: PartialOrd + Display>(&mut self, field: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            let message = format_args!("must be from {} to {}", range.start(), range.end());
            self.add(field, FieldCode::OutOfRange, message);
        }
    }

    /// Adds an error that was made elsewhere.
    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Adds all errors of another part of the body.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether there is no error.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All errors.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &FieldError> {
        self.0.iter()
    }

    /// Whether that field, or a field inside it, has an error.
    pub fn concern(&self, field: &str) -> bool {
        let inside = |path: &str| {
            path.strip_prefix(field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.iter().any(|error| inside(&error.field))
    }

    /// Whether there is an error of that kind.
    pub fn have(&self, code: FieldCode) -> bool {
        self.iter().any(|error| error.code == code)
    }

    /// Each error as `field: message`.
    pub fn messages(&self) -> Vec<String> {
        self.iter().map(ToString::to_string).collect()
    }

    /// The value, unless there is an error.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

impl Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_collected_and_shown_with_their_fields() {
        let mut errors = FieldErrors::default();
        errors.require("url");
        errors.check_range("retry.delay_ms", 5, 10..=20);
        errors.check_range("timeout_ms", 10, 10..=20);
        assert_eq!(errors.to_string(), "url: is required; retry.delay_ms: must be from 10 to 20");
        let shown = serde_json::json!([
            {"field": "url", "code": "required", "message": "is required"},
            {"field": "retry.delay_ms", "code": "out_of_range", "message": "must be from 10 to 20"},
        ]);
        assert_eq!(serde_json::to_value(&errors).ok(), Some(shown));
        assert_eq!(FieldErrors::default().into_result(1), Ok(1));
        assert_eq!(errors.clone().into_result(1), Err(errors));
    }

    #[test]
    fn errors_concern_their_field_and_the_fields_around_it() {
        let errors =
            FieldErrors::from(FieldError::new("lambda.region", FieldCode::Invalid, "must be a region"));
        assert!(errors.concern("lambda") && errors.concern("lambda.region"));
        assert!(!errors.concern("lamb") && !errors.concern("lambda.r") && !errors.concern("region"));
        assert!(errors.have(FieldCode::Invalid) && !errors.have(FieldCode::Required));
    }
}
