//! The settings of an app, as callers and configuration files write them.

use super::{App, MAX_NAME_LEN, MAX_ORIGINS, OriginPattern, Secret, is_name, secret_problem};
use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use serde::{Deserialize, Serialize};

/// The settings of an app. `None` leaves the choice to the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppSettings {
    /// The app id.
    pub id: Option<Box<str>>,
    /// The key.
    pub key: Option<Box<str>>,
    /// The secret.
    pub secret: Option<Secret>,
    /// Whether its clients may publish where no channel rule decides it.
    pub client_events: bool,
    /// The origins of pages that may connect; empty: any.
    pub origins: Vec<OriginPattern>,
    /// The most sockets of the key over the cluster; `None` is no limit.
    pub max_connections: Option<u32>,
}

impl AppSettings {
    /// Reads the members of an object. A configuration file may write `id` for `app_id`.
    pub fn read(m: &mut Members<'_>) -> Self {
        Self {
            id: read_name(m, &["app_id", "id"]),
            key: read_name(m, &["key"]),
            secret: read_secret(m),
            client_events: m.take(&["client_events"], "true or false").unwrap_or(false),
            origins: read_origins(m).unwrap_or_default(),
            max_connections: read_max_connections(m, "leave it out").flatten(),
        }
    }
}

/// Changes of an app's settings. `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppPatch {
    /// Whether its clients may publish where no channel rule decides it.
    pub client_events: Option<bool>,
    /// The origins of pages that may connect; empty: any.
    pub origins: Option<Vec<OriginPattern>>,
    /// The most sockets of the key over the cluster; `Some(None)` is no limit.
    pub max_connections: Option<Option<u32>>,
}

impl AppPatch {
    /// Reads the members of an object.
    pub fn read(m: &mut Members<'_>) -> Self {
        Self {
            client_events: m.take(&["client_events"], "true or false"),
            origins: read_origins(m),
            max_connections: read_max_connections(m, "set it to null"),
        }
    }

    /// Changes an app.
    pub fn apply(&self, app: &mut App) {
        let Self { client_events, origins, max_connections } = self;
        if let Some(client_events) = client_events {
            app.client_events = *client_events;
        }
        if let Some(origins) = origins {
            app.origins.clone_from(origins);
        }
        if let Some(max_connections) = max_connections {
            app.max_connections = *max_connections;
        }
    }
}

fn read_name(m: &mut Members<'_>, names: &[&str]) -> Option<Box<str>> {
    let name: String = m.take(names, "a string")?;
    if !is_name(&name) {
        let message = format_args!("must have 1 to {MAX_NAME_LEN} of A-Z a-z 0-9 _ - .");
        m.fault(names[0], FieldCode::Invalid, message);
    }
    Some(name.into())
}

fn read_secret(m: &mut Members<'_>) -> Option<Secret> {
    let secret: String = m.take(&["secret"], "a string")?;
    if let Some(problem) = secret_problem(&secret) {
        m.fault("secret", FieldCode::Invalid, problem);
    }
    Some(Secret::new(&secret))
}

/// `None` if the member is missing, or wrong.
fn read_origins(m: &mut Members<'_>) -> Option<Vec<OriginPattern>> {
    const EXPECTED: &str = "a list of origins or hosts, such as https://*.example.com or localhost:3000";
    let listed: Vec<String> = m.take(&["origins"], EXPECTED)?;
    if listed.len() > MAX_ORIGINS {
        m.fault("origins", FieldCode::OutOfRange, format_args!("has at most {MAX_ORIGINS}"));
        return None;
    }
    let read: Option<Vec<OriginPattern>> = listed.iter().map(|text| OriginPattern::new(text)).collect();
    if read.is_none() {
        m.fault("origins", FieldCode::Invalid, format_args!("must be {EXPECTED}"));
    }
    read
}

/// `unlimited` says what the caller does for no limit.
fn read_max_connections(m: &mut Members<'_>, unlimited: &str) -> Option<Option<u32>> {
    let most: Option<u32> = m.nullable("max_connections", "a whole number")?;
    if most == Some(0) {
        let message = format_args!("must be at least 1; {unlimited} for no limit");
        m.fault("max_connections", FieldCode::OutOfRange, message);
    }
    Some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (AppSettings, Vec<String>) {
        let mut m = Members::of(text);
        let settings = AppSettings::read(&mut m);
        (settings, m.finish().messages())
    }

    #[test]
    fn settings_are_read_strictly() {
        let (settings, faults) = read(
            r#"{"id":"3","key":"k","secret":"a-secret","client_events":true,"origins":["a.example"],"max_connections":7}"#,
        );
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!((settings.id.as_deref(), settings.key.as_deref()), (Some("3"), Some("k")));
        assert_eq!(settings.secret.as_ref().map(Secret::expose), Some("a-secret"));
        assert_eq!((settings.client_events, settings.max_connections), (true, Some(7)));
        assert!(settings.origins.iter().any(|origin| origin.allows("https://a.example")));
        assert_eq!(read("{}"), (AppSettings::default(), Vec::new()));
        assert_eq!(read(r#"{"max_connections":null}"#), (AppSettings::default(), Vec::new()));
        for (bad, field) in [
            (r#"{"app_id":"a b"}"#, "app_id: "),
            (r#"{"key":""}"#, "key: "),
            (r#"{"key":7}"#, "key: "),
            (r#"{"secret":"a b"}"#, "secret: "),
            (r#"{"secret":"short"}"#, "secret: must have 8 to 256 visible ASCII characters"),
            (r#"{"client_events":"yes"}"#, "client_events: "),
            (r#"{"origins":"a"}"#, "origins: "),
            (r#"{"origins":["a b"]}"#, "origins: "),
            (r#"{"max_connections":0}"#, "max_connections: "),
            (r#"{"secrets":"a"}"#, "did you mean secret?"),
        ] {
            let faults = read(bad).1;
            assert!(faults.len() == 1 && faults[0].contains(field), "{bad}: {faults:?}");
        }
    }

    fn read_patch(text: &str) -> (AppPatch, Vec<String>) {
        let mut m = Members::of(text);
        let patch = AppPatch::read(&mut m);
        (patch, m.finish().messages())
    }

    #[test]
    fn changes_are_read_strictly_and_what_is_left_out_stays() {
        let none = || (AppPatch::default(), Vec::new());
        assert_eq!(read_patch("{}"), none());
        let (patch, faults) = read_patch(r#"{"client_events":false,"origins":[],"max_connections":null}"#);
        let all =
            AppPatch { client_events: Some(false), origins: Some(Vec::new()), max_connections: Some(None) };
        assert_eq!((patch, faults), (all, Vec::new()));
        for (bad, field) in [
            (r#"{"client_events":null}"#, "client_events: "),
            (r#"{"origins":null}"#, "origins: "),
            (r#"{"origins":["a b"]}"#, "origins: "),
            (r#"{"max_connections":0}"#, "max_connections: must be at least 1; set it to null for no limit"),
            (r#"{"key":"k"}"#, "key: is not a known field"),
            (r#"{"secret":"a-secret"}"#, "secret: is not a known field"),
            (r#"{"client_event":true}"#, "did you mean client_events?"),
        ] {
            let faults = read_patch(bad).1;
            assert!(faults.len() == 1 && faults[0].contains(field), "{bad}: {faults:?}");
        }
    }
}
