//! The template of a webhook's bodies. Delivery checks its contents (see
//! [`CheckTemplate`](crate::core::webhook::check::CheckTemplate)).

use super::MAX_NAME;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::json::Members;
use crate::core::webhook::{MAX_TEMPLATE, Plain, Profile, Template};

/// The media type of a template's bodies if the caller gives none.
const USUAL_TYPE: &str = "application/json";

/// Changes of these settings; `None` leaves a setting as it is.
#[derive(Clone, Default, PartialEq)]
pub(super) struct TemplatePatch {
    template: Option<Option<String>>,
    content_type: Option<Option<String>>,
}

impl TemplatePatch {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        Self {
            template: m.nullable("template", "a string"),
            content_type: m.nullable("content_type", "a string"),
        }
    }

    pub(super) fn apply(&self, plain: &mut Plain, errors: &mut FieldErrors) {
        let webhook = &mut plain.webhook;
        let old = webhook.template.take();
        let (old_body, old_type) = old.map(|old| (old.body, old.content_type)).unzip();
        let body = self.template.clone().unwrap_or(old_body);
        let content_type = self.content_type.clone().unwrap_or(old_type);
        if let Some(kind) = &content_type
            && (kind.is_empty()
                || kind.len() > MAX_NAME
                || !kind.bytes().all(|b| b == b' ' || b.is_ascii_graphic()))
        {
            let message = "must be a media type, as in text/plain; charset=utf-8";
            errors.add("content_type", FieldCode::Invalid, message);
        }
        if webhook.profile != Profile::Template {
            for (field, given) in [("template", &self.template), ("content_type", &self.content_type)] {
                if matches!(given, Some(Some(_))) {
                    errors.add(field, FieldCode::Conflict, "is only for the profile template");
                }
            }
            return;
        }
        let Some(body) = body.filter(|body| !body.is_empty()) else {
            errors.add("template", FieldCode::Required, "is required by the profile template");
            return;
        };
        if body.len() > MAX_TEMPLATE {
            let message = format_args!("may have at most {MAX_TEMPLATE} bytes");
            errors.add("template", FieldCode::OutOfRange, message);
        }
        let content_type = content_type.unwrap_or_else(|| USUAL_TYPE.to_owned());
        webhook.template = Some(Box::new(Template { body, content_type }));
    }
}
