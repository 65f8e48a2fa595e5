//! Where a webhook's requests go, and which profile their bodies and signatures have.

use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::json::Members;
use crate::core::webhook::mask::{is_of_chat, masked_url};
use crate::core::webhook::{Invocation, Lambda, Plain, Private, Profile, Target, TargetKind};
use url::Url;

/// Changes of these settings; `None` leaves a setting as it is.
#[derive(Clone, Default, PartialEq)]
pub(super) struct TargetPatch {
    pub(super) profile: Option<Profile>,
    url: Option<String>,
    lambda: Option<Lambda>,
}

impl TargetPatch {
    pub(super) fn read(m: &mut Members<'_>) -> Self {
        Self {
            profile: m.one_of("profile", &Profile::NAMES),
            url: m.take(&["url"], "a string"),
            lambda: m.object("lambda", read_lambda).flatten(),
        }
    }

    pub(super) fn apply(&self, plain: &mut Plain, errors: &mut FieldErrors) {
        let webhook = &mut plain.webhook;
        let was_chat = webhook.profile.is_chat() && plain.private.has_target();
        webhook.profile = self.profile.unwrap_or(webhook.profile);
        let was_masked = was_chat || matches!(&plain.private.target, Target::Http(own) if is_of_chat(own));
        // A caller may send back the masked URL that an answer shows of a chat. It is no change.
        let url = self.url.as_ref().filter(|url| !(was_masked && is_shown_as(&plain.private, url)));
        if was_chat && !webhook.profile.is_chat() && url.is_none() && self.lambda.is_none() {
            // The URL was masked until now. With the new profile it would be shown.
            let message = "is required again where the profile is no chat's any more";
            errors.add("url", FieldCode::Required, message);
        }
        match (url, &self.lambda) {
            (Some(_), Some(_)) => errors.add("url", FieldCode::Conflict, "give url or lambda, not both"),
            (Some(url), None) => {
                webhook.target = TargetKind::Http;
                plain.private.target = Target::Http(url.clone());
            }
            (None, Some(lambda)) => {
                check_lambda(lambda, errors);
                webhook.target = TargetKind::Lambda;
                plain.private.target = Target::Lambda(lambda.clone());
            }
            (None, None) => {}
        }
        if webhook.target == TargetKind::Lambda && webhook.profile.is_chat() {
            errors.add("profile", FieldCode::Conflict, "a chat is reached by its url, not by a function");
        }
    }
}

/// `None` if a required field is missing or invalid.
fn read_lambda(m: &mut Members<'_>) -> Option<Lambda> {
    let function_name: Option<String> = m.required("function_name", "a string");
    let region: Option<String> = m.required("region", "a string");
    let invocation = m.one_of("invocation_type", &Invocation::NAMES).unwrap_or(Invocation::Event);
    let qualifier = m.nullable("qualifier", "a string").flatten();
    Some(Lambda { function_name: function_name?, region: region?, invocation, qualifier })
}

fn check_lambda(lambda: &Lambda, errors: &mut FieldErrors) {
    let is = |text: &str, most: usize, more: &[u8]| {
        (1..=most).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if !is(&lambda.function_name, 256, b"-_:./$") {
        errors.add("lambda.function_name", FieldCode::Invalid, "must be a function's name or ARN");
    }
    if !is(&lambda.region, 32, b"-") {
        errors.add("lambda.region", FieldCode::Invalid, "must be a region, as in us-east-1");
    }
    if lambda.qualifier.as_ref().is_some_and(|qualifier| !is(qualifier, 128, b"-_$")) {
        errors.add("lambda.qualifier", FieldCode::Invalid, "must be a version or an alias");
    }
}

/// Whether the target is a URL whose masked form is `url`.
fn is_shown_as(private: &Private, url: &str) -> bool {
    matches!(&private.target, Target::Http(own) if masked_url(own) == url)
}

/// The receiver of the requests: scheme, host and port of a URL, or region and name of a function. `None` if
/// there is no target yet.
pub(super) fn receiver(target: &Target) -> Option<String> {
    match target {
        Target::Http(url) if url.is_empty() => None,
        Target::Http(url) => {
            Some(Url::parse(url).map_or_else(|_| url.clone(), |url| url.origin().ascii_serialization()))
        }
        Target::Lambda(Lambda { function_name, region, .. }) => Some(format!("{region} {function_name}")),
    }
}
