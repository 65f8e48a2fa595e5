//! The checks of targets, templates and expressions. Delivery knows which targets and which templates are
//! valid, and implements the two traits for them. Expressions are checked here.

use super::{Ordering, Plain, Profile, Target, Template};
use crate::core::expression::Expression;
use crate::core::field_error::{FieldCode, FieldError, FieldErrors};

/// A target that webhooks may have, as far as that is known without resolving its name.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckedTarget {
    /// In its normal form.
    pub target: Target,
    /// Its host, to be shown to people.
    pub host: String,
}

/// Checks targets, as requests of a profile use them. Names are not resolved.
pub trait CheckTarget {
    /// # Errors
    /// The error of `url` or of a field of `lambda`.
    fn check_target(&self, target: &Target, profile: Profile) -> Result<CheckedTarget, FieldError>;
}

/// Checks templates.
pub trait CheckTemplate {
    /// # Errors
    /// The error of `template` or `content_type`.
    fn check_template(&self, template: &Template) -> Result<(), FieldError>;
}

impl FieldErrors {
    /// Whether `url` or `lambda` has an error.
    pub fn concern_target(&self) -> bool {
        self.concern("url") || self.concern("lambda")
    }
}

impl Plain {
    /// Checks the target, the template and the expressions, and puts the target into its normal form. It
    /// skips a target or template that has an error already.
    pub fn check(&mut self, checks: &(impl CheckTarget + CheckTemplate), errors: &mut FieldErrors) {
        let Self { webhook, private } = self;
        if private.has_target() && !errors.concern_target() {
            match checks.check_target(&private.target, webhook.profile) {
                Ok(checked) => {
                    private.target = checked.target;
                    webhook.host = checked.host;
                }
                Err(error) => errors.push(error),
            }
        }
        if let Some(template) = &webhook.template
            && !errors.concern("template")
            && let Err(error) = checks.check_template(template)
        {
            errors.push(error);
        }
        if let Some(condition) = &webhook.filter.expression
            && let Err(error) = Expression::condition(condition)
        {
            errors.add("filter.expression", FieldCode::Invalid, error);
        }
        if let Ordering::Key(key) = &webhook.ordering
            && let Err(error) = Expression::key(key)
        {
            errors.add("ordering_key", FieldCode::Invalid, error);
        }
    }
}
