//! What a person may do, by the claims of an ID token.

use super::OidcSettings;
use crate::core::access::Scopes;
use crate::core::jwt::Claims;
use serde_json::Value;

/// The most maps that one person may use in a session. A claim that names more is read up to here.
pub const MAX_MAPS: usize = 16;

/// What a person may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Everything, as the admin.
    pub admin: bool,
    /// Maps by id or slug, with the most that the person may do there.
    pub maps: Vec<(Box<str>, Scopes)>,
}

/// Reads what a person with these claims may do.
pub fn admission(settings: &OidcSettings, claims: &Claims) -> Admission {
    let admits = |text: &str| settings.admin.as_ref().is_some_and(|admin| admin.admits(text));
    let admin = admits(&Value::from(claims.object().clone()).to_string());
    Admission { admin, maps: maps(settings, claims) }
}

fn maps(settings: &OidcSettings, claims: &Claims) -> Vec<(Box<str>, Scopes)> {
    let Some(rule) = &settings.maps else { return Vec::new() };
    let named = rule.claim.find(claims.object()).map(texts).unwrap_or_default();
    let mut found: Vec<(&str, Vec<&str>)> = Vec::new();
    for text in named.into_iter().filter_map(|text| text.strip_prefix(&*rule.prefix)) {
        let (map, scopes) = match text.split_once(':') {
            // A scope that is not known gives nothing.
            Some((map, scope)) if Scopes::from_names(&[scope]).is_some() => (map, vec![scope]),
            Some(_) => continue,
            None => (text, Scopes::ALL.names()),
        };
        if let Some((_, known)) = found.iter_mut().find(|(known, _)| *known == map) {
            known.extend(scopes);
        } else if found.len() < MAX_MAPS && !map.is_empty() {
            found.push((map, scopes));
        }
    }
    let scoped = |(map, names): (&str, Vec<&str>)| Some((map.into(), Scopes::from_names(&names)?));
    found.into_iter().filter_map(scoped).collect()
}

/// The texts of a list, or of a text with spaces between them.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => text.split(' ').filter(|text| !text.is_empty()).collect(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}
