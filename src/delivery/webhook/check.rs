//! The checks of settings before they are stored: where a target leads, and whether a template can be
//! rendered. They do not resolve names.

use super::guard::{BadTarget, Guard, Target as Url};
use super::lambda::{self, Account, BadFunction};
use super::render::CompiledTemplate;
use crate::core::field_error::{FieldCode, FieldError};
use crate::core::webhook::check::{CheckTarget, CheckTemplate, CheckedTarget};
use crate::core::webhook::{Target, Template};

/// The checks of a node, with its guard and its AWS account.
#[derive(Clone, Copy)]
pub struct Checks<'a> {
    guard: &'a Guard,
    account: &'a Account,
}

impl<'a> Checks<'a> {
    /// Checks with the networks that may be reached, and the functions that may be invoked.
    pub fn new(guard: &'a Guard, account: &'a Account) -> Self {
        Self { guard, account }
    }

    /// The URL that requests to the target go to.
    pub(super) fn url(&self, target: &Target) -> Result<Url, FieldError> {
        match target {
            Target::Http(url) => {
                self.guard.target(url).map_err(|error| FieldError::new("url", code_of_target(&error), error))
            }
            Target::Lambda(function) => lambda::target(function, self.account, self.guard)
                .map_err(|error| FieldError::new(error.field(), code_of_function(&error), error)),
        }
    }
}

impl CheckTarget for Checks<'_> {
    fn check_target(&self, target: &Target) -> Result<CheckedTarget, FieldError> {
        let url = self.url(target)?;
        let normal = match target {
            Target::Http(_) => Target::Http(url.as_str().to_owned()),
            Target::Lambda(_) => target.clone(),
        };
        Ok(CheckedTarget { target: normal, host: url.host().to_string() })
    }
}

impl CheckTemplate for Checks<'_> {
    fn check_template(&self, template: &Template) -> Result<(), FieldError> {
        CompiledTemplate::new(&template.body, &template.content_type)
            .map(drop)
            .map_err(|error| FieldError::new("template", FieldCode::Invalid, error))
    }
}

fn code_of_target(error: &BadTarget) -> FieldCode {
    match error {
        BadTarget::Inside(_) | BadTarget::NotPublic(_) => FieldCode::NotPublic,
        BadTarget::TooLong(_) => FieldCode::OutOfRange,
        BadTarget::Characters
        | BadTarget::NotUrl(_)
        | BadTarget::Scheme(_)
        | BadTarget::Userinfo
        | BadTarget::Port
        | BadTarget::Name(_) => FieldCode::Invalid,
    }
}

fn code_of_function(error: &BadFunction) -> FieldCode {
    match error {
        BadFunction::NotListed(_) => FieldCode::NotAllowed,
        BadFunction::OtherRegion { .. } => FieldCode::Conflict,
        BadFunction::Target(error) => code_of_target(error),
        BadFunction::Name(_)
        | BadFunction::Region(_)
        | BadFunction::Qualifier(_)
        | BadFunction::Signature(_) => FieldCode::Invalid,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::webhook::{Invocation, Lambda};

    fn told(target: &Target) -> (String, FieldCode) {
        let (guard, account) =
            (Guard::default(), Account { functions: vec!["f".into()], ..Account::default() });
        let error = Checks::new(&guard, &account).check_target(target).err().unwrap();
        (error.field, error.code)
    }

    #[test]
    fn a_target_is_refused_with_its_field_and_the_kind_of_fault() {
        for (url, code) in [
            ("http://10.0.0.1/", FieldCode::NotPublic),
            ("http://localhost/", FieldCode::NotPublic),
            ("ftp://example.com/", FieldCode::Invalid),
            ("nonsense", FieldCode::Invalid),
        ] {
            assert_eq!(told(&Target::Http(url.into())), ("url".to_owned(), code), "{url}");
        }
        let lambda = |name: &str, region: &str| {
            let (function_name, region) = (name.to_owned(), region.to_owned());
            Target::Lambda(Lambda { function_name, region, invocation: Invocation::Event, qualifier: None })
        };
        let name = "lambda.function_name".to_owned();
        assert_eq!(told(&lambda("g", "us-east-1")), (name, FieldCode::NotAllowed));
        assert_eq!(told(&lambda("f", "r")), ("lambda.region".to_owned(), FieldCode::Invalid));
    }

    #[test]
    fn a_target_is_kept_in_its_normal_form() {
        let (guard, account) = (Guard::default(), Account::default());
        let checked = Checks::new(&guard, &account)
            .check_target(&Target::Http("HTTPS://Example.COM:443".into()))
            .unwrap();
        assert!(checked.target == Target::Http("https://example.com/".into()));
        assert_eq!(checked.host, "example.com");
    }
}
