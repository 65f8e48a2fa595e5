//! The query of a request. It has only names that the route takes, each at most once. An unknown name is
//! refused, and the error suggests the name that may have been meant: a misspelt `since` would otherwise
//! start a reader elsewhere.

use crate::core::nearest::suggestion;
use crate::edge::error::ApiError;
use crate::edge::given::Given;
use actix_web::HttpRequest;
use std::ops::RangeInclusive;

/// The query parameters of a route. A route without an entry takes none.
#[derive(Clone, Copy, Debug)]
pub struct Takes {
    /// The method, in capitals.
    pub method: &'static str,
    /// The route's path as it is registered.
    pub path: &'static str,
    /// The names.
    pub names: &'static [&'static str],
    /// The names that may occur more than once.
    pub many: &'static [&'static str],
    /// The status that the body of a refusal carries, for clients that read nothing else.
    pub told: Option<u16>,
}

impl Takes {
    /// A route with these names, each at most once.
    pub const fn of(method: &'static str, path: &'static str, names: &'static [&'static str]) -> Self {
        Self { method, path, names, many: &[], told: None }
    }
}

/// A query whose names were checked against the route's names.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
    names: &'static [&'static str],
}

impl Query {
    /// Reads the query of a request whose route takes `names`. `Err` is 400: an unknown name, a repeated
    /// name, or text that is not UTF-8.
    pub fn of(request: &HttpRequest, names: &'static [&'static str]) -> Result<Self, ApiError> {
        Self::read(request.query_string(), names, &[])
    }

    pub(super) fn read(text: &str, names: &'static [&'static str], many: &[&str]) -> Result<Self, ApiError> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
        for (place, (name, value)) in pairs.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                return Err(unknown(name, names));
            }
            if name.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
                return Err(invalid(format!("{name} is not percent-encoded UTF-8")));
            }
            if !many.contains(&name.as_str()) && pairs[..place].iter().any(|(other, _)| other == name) {
                return Err(invalid(format!("{name} is given twice")));
            }
        }
        Ok(Self { pairs, names })
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(self.names.contains(&name), "{name} is not declared");
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter, for code that reads values of JSON too.
    pub fn given(&self, name: &str) -> Option<Given<'_>> {
        self.get(name).map(Given::Text)
    }

    /// The value of a parameter that is a whole number within `range`. `Err` is 400 with `code`, which is
    /// `invalid_{name}`.
    pub fn number(
        &self,
        name: &str,
        code: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        match self.get(name).map(str::parse) {
            None => Ok(None),
            Some(Ok(number)) if range.contains(&number) => Ok(Some(number)),
            Some(_) => {
                let (least, most) = range.into_inner();
                let bounds =
                    if most == u64::MAX { String::new() } else { format!(" from {least} to {most}") };
                Err(ApiError::bad_request(code, format!("{name} must be a whole number{bounds}")))
            }
        }
    }
}

fn invalid(message: String) -> ApiError {
    ApiError::bad_request("invalid_query", message)
}

fn unknown(name: &str, names: &[&str]) -> ApiError {
    let shown: String = name.chars().take(100).collect();
    let suggestion = suggestion(&shown, names.iter().copied());
    let hint = match names {
        [] => "this path takes no parameters".to_owned(),
        _ => format!("the parameters of this path: {}", names.join(", ")),
    };
    invalid(format!("{shown} is not a parameter that is known here{suggestion}")).hint(hint)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["token", "since", "limit"];

    #[test]
    fn known_names_are_read_and_others_are_refused() {
        let query = Query::read("since=a%20b+c&limit=7&", NAMES, &[]).unwrap();
        assert_eq!((query.get("since"), query.get("token")), (Some("a b c"), None));
        assert_eq!(query.number("limit", "invalid_limit", 1..=7).unwrap(), Some(7));
        assert!(query.number("limit", "invalid_limit", 1..=6).is_err());
        assert_eq!(
            Query::read("", NAMES, &[]).unwrap().number("limit", "invalid_limit", 1..=6).unwrap(),
            None
        );
        for (wrong, told) in [
            ("sinc=1", "did you mean since?"),
            ("Limit=1", "did you mean limit?"),
            ("limit=1&limit=1", "limit is given twice"),
            ("since=%ff", "not percent-encoded"),
            ("colour=1", "colour is not a parameter that is known here"),
            ("=1", "is not a parameter"),
            ("%00=1", "is not a parameter"),
        ] {
            let error = Query::read(wrong, NAMES, &[]).unwrap_err().to_string();
            assert!(error.contains(told), "{wrong}: {error}");
        }
        assert!(Query::read("token=1&token=2", NAMES, &["token"]).is_ok());
    }
}
