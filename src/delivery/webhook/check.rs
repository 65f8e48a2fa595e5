//! The checks of settings before they are stored: where a target leads, and whether a template can be
//! rendered. They do not resolve names.

use super::dial::describe;
use super::guard::{BadTarget, Forbidden, Guard, LARGEST_URL, Target as Url};
use super::lambda::{self, Account, BadFunction};
use super::render::{CompiledTemplate, dialled};
use crate::core::field_error::{FieldCode, FieldError};
use crate::core::webhook::check::{CheckTarget, CheckTemplate, CheckedTarget};
use crate::core::webhook::{Profile, Target, Template};

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

    /// The URL that requests of that profile to the target go to.
    pub(super) fn url(&self, target: &Target, profile: Profile) -> Result<Url, FieldError> {
        match target {
            Target::Http(url) => self.http(url, profile),
            Target::Lambda(function) => lambda::target(function, self.account, self.guard)
                .map_err(|error| FieldError::new(error.field(), code_of_function(&error), error)),
        }
    }

    fn http(&self, url: &str, profile: Profile) -> Result<Url, FieldError> {
        let refused = |error: BadTarget| {
            FieldError::new("url", code_of_target(&error), &error).in_network(network_of(&error))
        };
        let given = self.guard.target(url).map_err(refused)?;
        let used = dialled(profile, given.as_str());
        if used.len() > LARGEST_URL {
            let name = profile.name();
            let most = LARGEST_URL;
            let added = used.len() - given.as_str().len();
            let message = format_args!(
                "may have at most {} bytes: the profile {name} adds {added}, and {most} are allowed in all",
                most - added
            );
            return Err(FieldError::new("url", FieldCode::OutOfRange, message));
        }
        self.guard.target(&used).map_err(refused)
    }
}

/// The network of an address that was given and that only the operator can open.
fn network_of(error: &BadTarget) -> Option<String> {
    match error {
        BadTarget::Forbidden(Forbidden::NotPublic { net, .. }) => net.map(|net| net.to_string()),
        BadTarget::Inside(name) if name.ends_with("localhost") => Some("127.0.0.0/8".to_owned()),
        _ => None,
    }
}

/// The error of a field whose target has an address that webhooks must not go to.
pub(super) fn forbidden(field: &str, url: &Url, forbidden: &Forbidden) -> FieldError {
    FieldError::new(field, code_of_address(forbidden), describe(url.host(), forbidden))
}

impl CheckTarget for Checks<'_> {
    fn check_target(&self, target: &Target, profile: Profile) -> Result<CheckedTarget, FieldError> {
        let used = self.url(target, profile)?;
        let normal = match target {
            Target::Http(url) => {
                let refused = |error: BadTarget| FieldError::new("url", code_of_target(&error), error);
                Target::Http(Url::parse(url).map_err(refused)?.as_str().to_owned())
            }
            Target::Lambda(_) => target.clone(),
        };
        Ok(CheckedTarget { target: normal, host: used.host().to_string() })
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
        BadTarget::Inside(_) => FieldCode::NotPublic,
        BadTarget::Forbidden(forbidden) => code_of_address(forbidden),
        BadTarget::TooLong(_) => FieldCode::OutOfRange,
        BadTarget::Characters
        | BadTarget::NotUrl(_)
        | BadTarget::Scheme(_)
        | BadTarget::Userinfo
        | BadTarget::Port
        | BadTarget::Name(_) => FieldCode::Invalid,
    }
}

fn code_of_address(forbidden: &Forbidden) -> FieldCode {
    match forbidden {
        Forbidden::NotPublic { .. } => FieldCode::NotPublic,
        Forbidden::Denied { .. } => FieldCode::NotAllowed,
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
        let guard = Guard::default();
        let account = Account { functions: vec!["f".into()], ..Account::default() };
        let error = Checks::new(&guard, &account).check_target(target, Profile::Standard).err().unwrap();
        (error.field, error.code)
    }

    #[test]
    fn the_network_of_an_address_that_is_not_public_is_named() {
        let (guard, account) = (Guard::default(), Account::default());
        let network = |url: &str| {
            let target = Target::Http(url.to_owned());
            Checks::new(&guard, &account).check_target(&target, Profile::Standard).err().unwrap().network
        };
        for (url, net) in [
            ("http://127.0.0.1:3000/", Some("127.0.0.0/8")),
            ("http://localhost:3000/", Some("127.0.0.0/8")),
            ("http://192.168.7.1/", Some("192.168.0.0/16")),
            ("http://[fd00::1]/", Some("fc00::/7")),
            ("http://[::ffff:10.0.0.1]/", Some("10.0.0.0/8")),
            ("http://[64:ff9b::10.0.0.1]/", None),
            ("ftp://example.com/", None),
        ] {
            assert_eq!(network(url).as_deref(), net, "{url}");
        }
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
            let function_name = name.to_owned();
            let region = region.to_owned();
            Target::Lambda(Lambda { function_name, region, invocation: Invocation::Event, qualifier: None })
        };
        let name = "lambda.function_name".to_owned();
        assert_eq!(told(&lambda("g", "us-east-1")), (name, FieldCode::NotAllowed));
        assert_eq!(told(&lambda("f", "r")), ("lambda.region".to_owned(), FieldCode::Invalid));
    }

    #[test]
    fn a_target_is_kept_in_its_normal_form() {
        let guard = Guard::default();
        let account = Account::default();
        let checked = Checks::new(&guard, &account)
            .check_target(&Target::Http("HTTPS://Example.COM:443".into()), Profile::Discord)
            .unwrap();
        assert!(checked.target == Target::Http("https://example.com/".into()));
        assert_eq!(checked.host, "example.com");
    }

    /// Discord's URL gets a pair in its query, so it may be less long than others.
    #[test]
    fn a_url_is_measured_as_it_will_be_used() {
        let guard = Guard::default();
        let account = Account::default();
        let checked = |length: usize, query: &str, profile: Profile| {
            let base = format!("https://discord.com/api/webhooks/1/?{query}");
            let url =
                format!("https://discord.com/api/webhooks/1/{}?{query}", "a".repeat(length - base.len()));
            assert_eq!(url.len(), length);
            Checks::new(&guard, &account).check_target(&Target::Http(url), profile)
        };
        for (length, query, profile, expected) in [
            (2048, "a=b", Profile::Standard, true),
            (2038, "a=b", Profile::Discord, true),
            (2039, "a=b", Profile::Discord, false),
            (2048, "a=b", Profile::Discord, false),
            (2048, "wait=true", Profile::Discord, true),
            (2048, "wait=false", Profile::Discord, true),
            (2048, "wait=1", Profile::Discord, false),
        ] {
            let outcome = checked(length, query, profile);
            assert_eq!(outcome.is_ok(), expected, "{length} {query} {profile:?}");
            if let Err(error) = outcome {
                assert_eq!((&*error.field, error.code), ("url", FieldCode::OutOfRange), "{}", error.message);
            }
        }
    }
}
