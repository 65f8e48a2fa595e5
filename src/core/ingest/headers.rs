//! The headers of a request, by their names in small letters.

use super::denied::Denied;

/// Headers that prove who the sender is by themselves. Mappings never see them.
const SECRET: [&str; 5] = ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-gitlab-token"];

/// The headers of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Box<str>, Box<str>)>);

impl Headers {
    /// Keeps headers with their names in small letters.
    pub fn new<'h>(headers: impl IntoIterator<Item = (&'h str, &'h str)>) -> Self {
        let kept = headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase().into(), value.into()));
        Self(kept.collect())
    }

    /// Returns the value of a header, which must not be given twice.
    ///
    /// # Errors
    /// It is given twice.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, Denied> {
        let mut found = self.named(name);
        let first = found.next();
        if found.next().is_some() { Err(Denied::Twice(name)) } else { Ok(first) }
    }

    /// Returns the value of a header, which must be given once.
    ///
    /// # Errors
    /// It is missing or given twice.
    pub fn need(&self, name: &'static str) -> Result<&str, Denied> {
        self.one(name)?.map(str::trim).filter(|value| !value.is_empty()).ok_or(Denied::Missing(name))
    }

    /// Returns the value of a header if it is given once.
    pub fn only(&self, name: &str) -> Option<&str> {
        let mut found = self.named(name);
        found.next().filter(|_| found.next().is_none())
    }

    /// Returns the names and values that are no secrets.
    pub fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value)).filter(|(name, _)| !SECRET.contains(name))
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| **known == *name).map(|(_, value)| &**value)
    }
}
