//! A webhook's name, its keys, its method, and whether events are delivered to it.

use super::MAX_NAME;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::json::Members;
use crate::core::webhook::{Method, Plain, secret};

/// Changes of these settings; `None` leaves a setting as it is.
#[derive(Clone, Default, PartialEq)]
pub(super) struct BasicsPatch {
    pub(super) name: Option<Option<String>>,
    pub(super) active: Option<bool>,
    pub(super) secret: Option<String>,
    method: Option<Method>,
    key: Option<Option<String>>,
}

impl BasicsPatch {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        Self {
            name: m.nullable("name", "a string"),
            active: m.take(&["active", "enabled"], "true or false"),
            secret: m.take(&["secret"], "a string"),
            method: m.one_of("method", &Method::NAMES),
            key: m.nullable("key", "a string"),
        }
    }

    /// A patch that sets only `active`.
    pub(super) fn activating(active: Option<bool>) -> Self {
        Self { active, ..Self::default() }
    }

    pub(super) fn apply(&self, plain: &mut Plain, errors: &mut FieldErrors) {
        let webhook = &mut plain.webhook;
        if let Some(name) = &self.name {
            webhook.name = name.clone().unwrap_or_default();
            if webhook.name.chars().count() > MAX_NAME || webhook.name.chars().any(char::is_control) {
                let message =
                    format_args!("must have at most {MAX_NAME} characters and no control characters");
                errors.add("name", FieldCode::Invalid, message);
            }
        }
        if let Some(key) = &self.key {
            webhook.key.clone_from(key);
            let good = |key: &String| {
                (1..=MAX_NAME).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
            };
            if !key.as_ref().is_none_or(good) {
                let message = format_args!("must be 1 to {MAX_NAME} visible ASCII characters");
                errors.add("key", FieldCode::Invalid, message);
            }
        }
        if let Some(secret) = &self.secret {
            if let Some(problem) = secret::problem(secret) {
                errors.add("secret", FieldCode::Invalid, problem);
            }
            plain.private.secret.clone_from(secret);
        }
        webhook.active = self.active.unwrap_or(webhook.active);
        webhook.method = self.method.unwrap_or(webhook.method);
    }
}
