//! The `template` profile: a body of the webhook's own making.
//!
//! What templates are, [`crate::core::template`] says; here one is bound to the type of its content.

use super::RenderError;
use crate::core::event::{Event, MapText};
use crate::core::template::{Form, RenderFailure, Template, TemplateError};
use http::header::HeaderValue;

/// A template with the type of the bodies that it makes.
#[derive(Debug)]
pub struct CompiledTemplate {
    template: Template,
    content_type: HeaderValue,
}

/// Why a webhook's template can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// The template itself.
    #[error(transparent)]
    Source(#[from] TemplateError),
    /// The type of its content.
    #[error("the content type must be like application/json")]
    ContentType,
}

impl CompiledTemplate {
    /// Parses `source`. With `application/json` (and `…+json`) it is a JSON document, with any other
    /// `content_type` one text, in which values are escaped for `text/html`.
    pub fn new(source: &str, content_type: &str) -> Result<Self, BadTemplate> {
        let form = Form::of(content_type).ok_or(BadTemplate::ContentType)?;
        let header = HeaderValue::from_str(content_type).map_err(|_| BadTemplate::ContentType)?;
        Ok(Self { template: Template::parse(source, form)?, content_type: header })
    }

    /// Of the bodies.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// The body for `events`.
    pub(super) fn render(&self, map: &MapText, events: &[Event]) -> Result<Vec<u8>, RenderError> {
        self.template.render(map, events).map_err(|failure| match failure {
            RenderFailure::TooLarge(what) => RenderError::TooLarge(what),
            other => RenderError::Template(other.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_type_is_one_and_can_stand_in_a_header() {
        for bad in ["", "json", "a/", "text/plain\n"] {
            assert_eq!(CompiledTemplate::new("x", bad).err(), Some(BadTemplate::ContentType), "{bad:?}");
        }
        assert!(CompiledTemplate::new("x", "text/plain; charset=utf-8").is_ok());
        assert!(matches!(CompiledTemplate::new("x", "application/x+json"), Err(BadTemplate::Source(_))));
    }
}
