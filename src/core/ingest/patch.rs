//! The settings of a source as callers write them.

use super::mapping::Mapping;
use super::schema::Schema;
use super::secrets::{SourceSecrets, problem};
use super::settings::{Authentication, JwtRules, KeyKind, OnInvalid, Settings, SourceLimits};
use super::verify::Keys;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::json::{Members, is_null};
use crate::core::jwt::Algorithm;
use std::fmt;

/// Longest name, issuer and audience (characters).
const MAX_NAME: usize = 200;
/// Longest name of a header (bytes).
const MAX_HEADER: usize = 64;
/// The most requests a minute that a limit may allow.
const MOST_PER_MINUTE: u32 = 10_000_000;
/// Longest overlap of two secrets (seconds).
const MAX_OVERLAP_SECONDS: u64 = 30 * 86_400;
/// The hash of the HMACs.
const HASHES: [(&str, ()); 1] = [("sha256", ())];

/// Changes of a source's settings. `None` leaves a setting as it is.
#[derive(Clone, Default)]
pub struct SourcePatch {
    name: Option<String>,
    authentication: Option<Authentication>,
    secret: Option<(KeyKind, String)>,
    jwt: Option<JwtPatch>,
    active: Option<bool>,
    mapping: Option<Option<String>>,
    schema: Option<Option<String>>,
    on_invalid: Option<OnInvalid>,
    limits: Option<LimitsPatch>,
    dedupe_header: Option<String>,
    errors: FieldErrors,
}

/// What a caller says of JWTs.
#[derive(Clone, Default)]
struct JwtPatch {
    algorithm: Option<Algorithm>,
    issuer: Option<Option<String>>,
    audience: Option<Option<String>>,
}

/// What a caller says of the limits; `Some(None)` removes one.
#[derive(Clone, Copy, Default)]
struct LimitsPatch {
    per_minute: Option<Option<u32>>,
    per_minute_per_address: Option<Option<u32>>,
}

impl fmt::Debug for SourcePatch {
    /// Shows only the name, because keys are secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourcePatch").field("name", &self.name).finish_non_exhaustive()
    }
}

impl SourcePatch {
    /// Reads a JSON object. [`SourcePatch::apply`] reports its errors together with the others.
    pub fn read(text: &str) -> Self {
        let mut m = Members::of(text);
        let secret = read_secret(&mut m);
        m.one_of("hmacAlgorithm", &HASHES);
        let patch = Self {
            name: m.take(&["name"], "a string"),
            authentication: m.one_of("authentication", &Authentication::NAMES),
            secret,
            jwt: m.object("jwt", JwtPatch::read),
            active: m.take(&["active"], "true or false"),
            mapping: read_text(&mut m, "mapping"),
            schema: read_text(&mut m, "schema"),
            on_invalid: m.one_of("onInvalid", &OnInvalid::NAMES),
            limits: m.object("limits", LimitsPatch::read),
            dedupe_header: m.take(&["dedupeHeader"], "a string"),
            errors: FieldErrors::default(),
        };
        Self { errors: m.finish(), ..patch }
    }

    /// Whether a secret is given.
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// Changes the settings and the secret that are asked for, and returns all errors. If there is an error,
    /// neither must be used. `make` makes a secret where the caller gives none and one is needed.
    pub fn apply(
        &self,
        settings: &mut Settings,
        secrets: &mut SourceSecrets,
        make: impl FnOnce(Authentication) -> String,
    ) -> FieldErrors {
        let mut errors = self.errors.clone();
        let before = settings.authentication;
        self.apply_names(settings, &mut errors);
        self.apply_authentication(settings, &mut errors);
        let is_other = settings.authentication != before;
        self.apply_secret(settings, secrets, is_other, make, &mut errors);
        self.apply_bodies(settings, &mut errors);
        if let Some(limits) = self.limits {
            limits.apply(&mut settings.limits, &mut errors);
        }
        errors
    }

    fn apply_names(&self, settings: &mut Settings, errors: &mut FieldErrors) {
        if let Some(name) = &self.name {
            if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
                let message =
                    format_args!("must have at most {MAX_NAME} characters and no control characters");
                errors.add("name", FieldCode::Invalid, message);
            }
            settings.name = name.as_str().into();
        }
        if let Some(header) = &self.dedupe_header {
            let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            if !(1..=MAX_HEADER).contains(&header.len()) || !header.bytes().all(is_good) {
                errors.add("dedupeHeader", FieldCode::Invalid, "must be the name of a header");
            }
            settings.dedupe_header = header.to_ascii_lowercase().into();
        }
        settings.active = self.active.unwrap_or(settings.active);
    }

    fn apply_authentication(&self, settings: &mut Settings, errors: &mut FieldErrors) {
        settings.authentication = self.authentication.unwrap_or(settings.authentication);
        if settings.authentication != Authentication::Jwt {
            if self.jwt.is_some() {
                errors.add("jwt", FieldCode::Conflict, "is only for the authentication jwt");
            }
            settings.jwt = None;
            return;
        }
        let old = settings.jwt.take();
        let patch = self.jwt.clone().unwrap_or_default();
        let Some(algorithm) = patch.algorithm.or(old.as_ref().map(|old| old.algorithm)) else {
            if !errors.concern("jwt") {
                errors.require("jwt.algorithm");
            }
            return;
        };
        let usual = if algorithm == Algorithm::Hs256 { KeyKind::Secret } else { KeyKind::Pem };
        let given = self.secret.as_ref().map(|(kind, _)| *kind);
        let key = given.or(old.as_ref().map(|old| old.key)).unwrap_or(usual);
        let (issuer, audience) = old.map_or((None, None), |old| (old.issuer, old.audience));
        settings.jwt = Some(JwtRules {
            algorithm,
            key,
            issuer: claim("jwt.issuer", patch.issuer, issuer, errors),
            audience: claim("jwt.audience", patch.audience, audience, errors),
        });
    }

    fn apply_secret(
        &self,
        settings: &Settings,
        secrets: &mut SourceSecrets,
        is_other: bool,
        make: impl FnOnce(Authentication) -> String,
        errors: &mut FieldErrors,
    ) {
        let key = settings.jwt.as_ref().map(|rules| rules.key);
        if settings.authentication == Authentication::Jwt && key.is_none() {
            // There is an error already: it is not known which key is needed.
            return;
        }
        let field = match key {
            Some(KeyKind::Pem) => "publicKey",
            Some(KeyKind::Jwks) => "jwks",
            _ if settings.authentication == Authentication::ApiKey => "apiKey",
            _ => "secretKey",
        };
        match &self.secret {
            Some(_) if settings.authentication == Authentication::None => {
                errors.add(field, FieldCode::Conflict, "the authentication none has no secret");
            }
            Some((kind, _)) if key.is_none() && *kind != KeyKind::Secret => {
                errors.add("publicKey", FieldCode::Conflict, "is only for the authentication jwt");
            }
            Some((_, secret)) => {
                if let Some(problem) = problem(settings.authentication, key, secret) {
                    errors.add(field, FieldCode::Invalid, problem);
                }
                *secrets = SourceSecrets::new(secret.clone());
            }
            None if settings.authentication == Authentication::None => *secrets = SourceSecrets::new(""),
            None if is_other || secrets.current.is_empty() => {
                if is_made_by_the_sender(settings.authentication) || key.is_some() {
                    errors.require(field);
                } else {
                    *secrets = SourceSecrets::new(make(settings.authentication));
                }
            }
            None => {}
        }
        if errors.is_empty()
            && let Err(error) = Keys::read(settings, secrets)
        {
            errors.add(field, FieldCode::Invalid, error);
        }
    }

    fn apply_bodies(&self, settings: &mut Settings, errors: &mut FieldErrors) {
        if let Some(mapping) = &self.mapping {
            if let Some(Err(faults)) = mapping.as_deref().map(|text| Mapping::parse("mapping", text)) {
                errors.append(faults);
            }
            settings.mapping = mapping.as_deref().map(Into::into);
        }
        if let Some(schema) = &self.schema {
            if let Some(Err(bad)) = schema.as_deref().map(Schema::compile) {
                errors.add("schema", FieldCode::Invalid, bad);
            }
            settings.schema = schema.as_deref().map(Into::into);
        }
        settings.on_invalid = self.on_invalid.unwrap_or(settings.on_invalid);
    }
}

/// What a caller asks for to replace a secret.
#[derive(Clone, Debug)]
pub struct Rotation {
    patch: SourcePatch,
    /// For how long both secrets are valid.
    overlap_seconds: Option<u64>,
}

impl Rotation {
    /// Reads a JSON object. [`Rotation::apply`] reports its errors together with the others.
    pub fn read(text: &str) -> Self {
        let mut m = Members::of(text);
        let secret = read_secret(&mut m);
        let overlap_seconds = m.take(&["overlapSeconds"], "a whole number of seconds");
        let patch = SourcePatch { secret, errors: m.finish(), ..SourcePatch::default() };
        Self { patch, overlap_seconds }
    }

    /// Replaces the secret at that reading of the expiry clock. The old one stays valid for the overlap, and for
    /// `usual_seconds` if the caller names none. If there is an error, the secrets must not be used.
    pub fn apply(
        &self,
        settings: &Settings,
        secrets: &mut SourceSecrets,
        (usual_seconds, expiry_ms): (u64, u64),
        make: impl FnOnce(Authentication) -> String,
    ) -> FieldErrors {
        let mut changed = settings.clone();
        let mut new = SourceSecrets::new("");
        let mut errors = self.patch.apply(&mut changed, &mut new, make);
        if settings.authentication == Authentication::None {
            errors.add("secretKey", FieldCode::Conflict, "the authentication none has no secret");
        }
        if changed.jwt.map(|rules| rules.key) != settings.jwt.as_ref().map(|rules| rules.key) {
            errors.add("secretKey", FieldCode::Conflict, "must be of the same kind as the present key");
        }
        let overlap = self.overlap_seconds.unwrap_or(usual_seconds);
        errors.check_range("overlapSeconds", overlap, 0..=MAX_OVERLAP_SECONDS);
        secrets.rotate(new.current, expiry_ms.saturating_add(overlap.saturating_mul(1000)));
        errors
    }
}

impl JwtPatch {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            algorithm: m.one_of("algorithm", &Algorithm::NAMES),
            issuer: m.nullable("issuer", "a string"),
            audience: m.nullable("audience", "a string"),
        }
    }
}

impl LimitsPatch {
    fn read(m: &mut Members<'_>) -> Self {
        Self {
            per_minute: m.nullable("requestsPerMinute", "a whole number"),
            per_minute_per_address: m.nullable("requestsPerMinutePerAddress", "a whole number"),
        }
    }

    fn apply(self, limits: &mut SourceLimits, errors: &mut FieldErrors) {
        let mut change = |field: &str, limit: &mut Option<u32>, new: Option<Option<u32>>| {
            let Some(new) = new else { return };
            if let Some(new) = new {
                errors.check_range(field, new, 1..=MOST_PER_MINUTE);
            }
            *limit = new;
        };
        change("limits.requestsPerMinute", &mut limits.per_minute, self.per_minute);
        change(
            "limits.requestsPerMinutePerAddress",
            &mut limits.per_minute_per_address,
            self.per_minute_per_address,
        );
    }
}

/// Reads the secret under the names that it has for the different authentications.
fn read_secret(m: &mut Members<'_>) -> Option<(KeyKind, String)> {
    let text = m.take::<String>(&["secretKey", "apiKey"], "a string");
    let pem = m.take::<String>(&["publicKey"], "a key in PEM form");
    let jwks = m.raw(&["jwks"]).map(|raw| {
        // A document may be given as an object, or as a text that has it.
        serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
    });
    let given = [(KeyKind::Secret, text), (KeyKind::Pem, pem), (KeyKind::Jwks, jwks)];
    let mut given = given.into_iter().filter_map(|(kind, text)| Some((kind, text?)));
    let first = given.next();
    if given.next().is_some() {
        m.fault("secretKey", FieldCode::Conflict, "give one of secretKey, publicKey and jwks");
    }
    first
}

/// The text of a member that is a document; `Some(None)` if it is `null`.
fn read_text(m: &mut Members<'_>, name: &str) -> Option<Option<String>> {
    let raw = m.raw(&[name])?;
    Some((!is_null(raw)).then(|| raw.get().to_owned()))
}

/// Returns whether the sender makes the secret, so that nobody can choose another one.
fn is_made_by_the_sender(authentication: Authentication) -> bool {
    matches!(
        authentication,
        Authentication::Stripe
            | Authentication::Shopify
            | Authentication::Slack
            | Authentication::Twilio
            | Authentication::Jwt
    )
}

fn claim(
    field: &str,
    given: Option<Option<String>>,
    old: Option<Box<str>>,
    errors: &mut FieldErrors,
) -> Option<Box<str>> {
    let Some(given) = given else { return old };
    let text = given?;
    if text.is_empty() || text.chars().count() > MAX_NAME {
        errors.add(field, FieldCode::Invalid, format_args!("must have 1 to {MAX_NAME} characters"));
    }
    Some(text.into())
}

#[cfg(test)]
mod tests;
