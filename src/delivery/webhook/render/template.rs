//! The `template` profile: the webhook defines the body.
//!
//! [`crate::core::template`] defines templates. Here a template is combined with its content type.

use super::RenderError;
use crate::core::event::{Event, MapText};
use crate::core::template::{Form, RenderFailure, Template, TemplateError};
use http::header::HeaderValue;

/// A template with the content type of its bodies.
#[derive(Debug)]
pub struct CompiledTemplate {
    template: Template,
    content_type: HeaderValue,
}

/// Why a webhook's template can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// The template is at fault.
    #[error(transparent)]
    Source(#[from] TemplateError),
    /// The content type is at fault.
    #[error("the content type must be like application/json")]
    ContentType,
}

impl CompiledTemplate {
    /// Parses `source`. With `application/json` (or `…+json`) the template is a JSON document. With any other
    /// `content_type` it is a single text, and values are escaped if the type is `text/html`.
    pub fn new(source: &str, content_type: &str) -> Result<Self, BadTemplate> {
        let form = Form::of(content_type).ok_or(BadTemplate::ContentType)?;
        let header = HeaderValue::from_str(content_type).map_err(|_| BadTemplate::ContentType)?;
        Ok(Self { template: Template::parse(source, form)?, content_type: header })
    }

    /// The content type of the bodies.
    pub fn content_type(&self) -> &HeaderValue {
        &self.content_type
    }

    /// Makes the body for `events`.
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
    fn a_content_type_is_valid_in_a_header() {
        for bad in ["", "json", "a/", "text/plain\n"] {
            assert_eq!(CompiledTemplate::new("x", bad).err(), Some(BadTemplate::ContentType), "{bad:?}");
        }
        assert!(CompiledTemplate::new("x", "text/plain; charset=utf-8").is_ok());
        assert!(matches!(CompiledTemplate::new("x", "application/x+json"), Err(BadTemplate::Source(_))));
    }
}
