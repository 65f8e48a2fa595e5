//! What the maker of a portal link asks for.

use super::{LinkScopes, MAX_ORIGINS, ORIGIN_FORM, Origin, Theme};
use crate::core::field_error::FieldCode;
use crate::core::json::Members;

/// How long a link may live (minutes): a week.
pub const MAX_MINUTES: u64 = 7 * 24 * 60;
/// How long it lives unless its maker says something else (minutes).
pub const USUAL_MINUTES: u64 = 60;

/// A link as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How long it lives.
    pub minutes: u64,
    /// What it opens.
    pub scopes: LinkScopes,
    /// How its pages look.
    pub theme: Theme,
    /// The origins of pages that may show it in a frame.
    pub origins: Vec<Origin>,
}

impl Asked {
    /// Reads a body.
    pub fn read(m: &mut Members<'_>) -> Self {
        Self {
            minutes: minutes(m),
            scopes: scopes(m),
            theme: m.object("theme", Theme::read).unwrap_or_default(),
            origins: origins(m),
        }
    }
}

fn minutes(m: &mut Members<'_>) -> u64 {
    let minutes: u64 = m.take(&["minutes"], "a whole number of minutes").unwrap_or(USUAL_MINUTES);
    if !(1..=MAX_MINUTES).contains(&minutes) {
        m.fault("minutes", FieldCode::OutOfRange, format_args!("must be from 1 to {MAX_MINUTES}"));
    }
    minutes
}

/// Reads the scopes. There are none if there is a fault.
fn scopes(m: &mut Members<'_>) -> LinkScopes {
    let known = LinkScopes::NAMES.map(|(name, _)| name).join(", ");
    let names: Option<Vec<String>> = m.required("scopes", &format!("a list of {known}"));
    let Some(names) = names else { return LinkScopes::NONE };
    LinkScopes::from_names(&names).unwrap_or_else(|| {
        m.fault("scopes", FieldCode::Invalid, format_args!("must be a list of {known}, at least one"));
        LinkScopes::NONE
    })
}

fn origins(m: &mut Members<'_>) -> Vec<Origin> {
    let names: Vec<String> = m.take(&["origins"], "a list of origins").unwrap_or_default();
    if names.len() > MAX_ORIGINS {
        m.fault("origins", FieldCode::OutOfRange, format_args!("may have at most {MAX_ORIGINS} origins"));
        return Vec::new();
    }
    let origins: Option<Vec<Origin>> = names.iter().map(|name| Origin::new(name)).collect();
    if origins.is_none() {
        m.fault("origins", FieldCode::Invalid, format_args!("each must be {ORIGIN_FORM}"));
    }
    origins.unwrap_or_default()
}
