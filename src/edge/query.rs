//! The query of a request. It has only names that the route takes, each at most once. An unknown name is
//! refused, and the error suggests the name that may have been meant: a misspelt `since` would otherwise
//! start a reader elsewhere. Only pages take every query, and read none.

use crate::core::error_code::Code;
use crate::core::nearest::suggestion;
use crate::edge::error::ApiError;
use crate::edge::given::Given;
use actix_web::HttpRequest;
use std::borrow::Cow;
use std::ops::RangeInclusive;
use url::form_urlencoded;

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
    /// Whether the path is words around one variable, and no other route takes a path of that form. Such a
    /// path is recognised without a look at all routes, which is slow.
    pub alone: bool,
    /// Whether any query is taken. Pages are such routes: links to them may carry anything, and they read
    /// none of it but what somebody else's standard puts there. So are paths where nothing is, which read none.
    pub any: bool,
}

impl Takes {
    /// A route with these names, each at most once.
    pub const fn of(method: &'static str, path: &'static str, names: &'static [&'static str]) -> Self {
        Self { method, path, names, many: &[], told: None, alone: false, any: false }
    }

    /// A page (see [`Takes::any`]).
    pub const fn page(path: &'static str) -> Self {
        Self { any: true, ..Self::of("GET", path, &[]) }
    }

    /// The same route, whose path is like that of no other route (see [`Takes::alone`]).
    pub const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }
}

/// The name and the value of a parameter.
type Pair<'t> = (Cow<'t, str>, Cow<'t, str>);

/// A query whose names were checked against the route's names. It borrows from the request.
#[derive(Debug)]
pub struct Query<'r> {
    pairs: Vec<Pair<'r>>,
    names: &'static [&'static str],
}

impl<'r> Query<'r> {
    /// Reads the query of a request whose route takes `names`. `Err` is 400: an unknown name, a repeated
    /// name, or text that is not UTF-8.
    pub fn of(request: &'r HttpRequest, names: &'static [&'static str]) -> Result<Self, ApiError> {
        Self::read(request.query_string(), names, &[])
    }

    fn read(text: &'r str, names: &'static [&'static str], many: &[&str]) -> Result<Self, ApiError> {
        Ok(Self { pairs: checked(text, names, many)?, names })
    }

    /// Checks a query without keeping its values.
    pub(super) fn check(text: &str, names: &[&str], many: &[&str]) -> Result<(), ApiError> {
        checked(text, names, many).map(drop)
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        debug_assert!(self.names.contains(&name), "{name} is not declared");
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
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
        code: Code,
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
    ApiError::bad_request(Code::InvalidQuery, message)
}

/// The parameters of a query, in their order. `Err` as for [`Query::of`].
fn checked<'t>(text: &'t str, names: &[&str], many: &[&str]) -> Result<Vec<Pair<'t>>, ApiError> {
    let mut pairs: Vec<Pair<'t>> = Vec::with_capacity(names.len());
    for (name, value) in text.split('&').filter_map(pair) {
        if !names.contains(&&*name) {
            return Err(unknown(&name, names));
        }
        if name.contains(char::REPLACEMENT_CHARACTER) || value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(invalid(format!("{name} is not percent-encoded UTF-8")));
        }
        if !many.contains(&&*name) && pairs.iter().any(|(other, _)| *other == name) {
            return Err(invalid(format!("{name} is given twice")));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// The name and the value in a part of a query that has no `&`; `None` if the part is empty. Most parts have
/// no escapes, and are taken as they are.
fn pair(part: &str) -> Option<Pair<'_>> {
    if part.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return form_urlencoded::parse(part.as_bytes()).next();
    }
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    (!part.is_empty()).then(|| (name.into(), value.into()))
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
    use proptest::prelude::*;

    const NAMES: &[&str] = &["token", "since", "limit"];

    #[test]
    fn known_names_are_read_and_others_are_refused() {
        let query = Query::read("since=a%20b+c&limit=7&", NAMES, &[]).unwrap();
        assert_eq!((query.get("since"), query.get("token")), (Some("a b c"), None));
        assert_eq!(query.number("limit", Code::InvalidLimit, 1..=7).unwrap(), Some(7));
        assert!(query.number("limit", Code::InvalidLimit, 1..=6).is_err());
        assert_eq!(
            Query::read("", NAMES, &[]).unwrap().number("limit", Code::InvalidLimit, 1..=6).unwrap(),
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

    proptest! {
        #[test]
        fn a_query_is_read_as_a_form(text in "[ab=&%+2,.é]{0,24}") {
            let read: Vec<Pair<'_>> = text.split('&').filter_map(pair).collect();
            let expected: Vec<Pair<'_>> = form_urlencoded::parse(text.as_bytes()).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
