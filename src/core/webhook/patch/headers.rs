//! A webhook's own headers. Their values are secret: they are sent only to the receiver that they were given
//! for.

use super::shortened;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::json::{Entries, Members};
use crate::core::webhook::mask::MASK;
use crate::core::webhook::reserved::{is_of_connection, is_reserved};
use crate::core::webhook::{Plain, Profile};

const MAX_HEADERS: usize = 32;
/// Limit of the names and values of all headers together.
const MAX_BYTES: usize = 8 * 1024;

/// The headers that replace all those before; `None` leaves them as they are.
#[derive(Clone, Default, PartialEq)]
pub(super) struct HeadersPatch(Option<Vec<(String, String)>>);

impl HeadersPatch {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        let Some(raw) = m.raw(&["headers"]) else { return Self::default() };
        let Ok(Entries(entries)) = serde_json::from_str(raw.get()) else {
            m.fault("headers", FieldCode::WrongType, "must be an object of names and values");
            return Self::default();
        };
        let mut headers = Vec::new();
        for (name, raw) in entries {
            match serde_json::from_str(raw.get()) {
                Ok(value) => headers.push((name, value)),
                Err(_) => {
                    let message = format_args!("the value of {} must be a string", shortened(&name));
                    m.fault("headers", FieldCode::WrongType, message);
                }
            }
        }
        Self(Some(headers))
    }

    /// `moved` says that the same request changes the receiver, `before` is the profile before it.
    pub(super) fn apply(&self, plain: &mut Plain, moved: bool, before: Profile, errors: &mut FieldErrors) {
        let profile = plain.webhook.profile;
        let Some(headers) = &self.0 else {
            if moved && !plain.private.headers.is_empty() {
                let message = "must be given again, with their values, where the receiver changes";
                errors.add("headers", FieldCode::Required, message);
            }
            if profile != before {
                plain.private.headers.iter().for_each(|(name, _)| check_reserved(name, profile, errors));
            }
            return;
        };
        let old = std::mem::take(&mut plain.private.headers);
        for (name, value) in headers {
            let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
            let kept = old.iter().find(same).map(|(_, value)| value.as_str());
            let Some(value) = meant(name, value, kept, moved, errors) else { continue };
            check_header(name, value, profile, errors);
            if plain.private.headers.iter().any(|header| same(&header)) {
                errors.add(
                    "headers",
                    FieldCode::GivenTwice,
                    format_args!("{} is given twice", shortened(name)),
                );
            }
            plain.private.headers.push((name.clone(), value.to_owned()));
        }
        let bytes: usize = plain.private.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if plain.private.headers.len() > MAX_HEADERS || bytes > MAX_BYTES {
            let message = format_args!("must be at most {MAX_HEADERS}, of at most {MAX_BYTES} bytes in all");
            errors.add("headers", FieldCode::OutOfRange, message);
        }
    }
}

/// The value that the caller means: the given one, or the old one where the mask is given.
fn meant<'v>(
    name: &str,
    value: &'v str,
    kept: Option<&'v str>,
    moved: bool,
    errors: &mut FieldErrors,
) -> Option<&'v str> {
    let name = shortened(name);
    match (value, kept) {
        (MASK, Some(_)) if moved => {
            let message = format_args!("the value of {name} must be given again for another receiver");
            errors.add("headers", FieldCode::Required, message);
            None
        }
        (MASK, Some(kept)) => Some(kept),
        (MASK, None) => {
            let message = format_args!("{name} has no value that {MASK} could stand for");
            errors.add("headers", FieldCode::Conflict, message);
            None
        }
        _ => Some(value),
    }
}

fn check_header(name: &str, value: &str, profile: Profile, errors: &mut FieldErrors) {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_token) {
        errors.add("headers", FieldCode::Invalid, format_args!("{} is not a header name", shortened(name)));
    } else {
        check_reserved(name, profile, errors);
    }
    if !value.bytes().all(|b| matches!(b, b' ' | b'\t') || b.is_ascii_graphic()) || value.trim() != value {
        let name = shortened(name);
        let message = format_args!("the value of {name} must be visible ASCII, without blanks around it");
        errors.add("headers", FieldCode::Invalid, message);
    }
}

fn check_reserved(name: &str, profile: Profile, errors: &mut FieldErrors) {
    if is_of_connection(name) {
        let message = format_args!("{name} belongs to the connection and can't be set");
        errors.add("headers", FieldCode::NotAllowed, message);
    } else if is_reserved(profile, name) {
        let message = format_args!("{name} is made by the profile {} and can't be set", profile.name());
        errors.add("headers", FieldCode::NotAllowed, message);
    }
}
