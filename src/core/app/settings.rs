//! The settings of an app, as callers and configuration files write them.

use super::{MAX_NAME_LEN, MAX_ORIGINS, OriginPattern, Secret, is_name, secret_problem};
use crate::core::field_error::FieldCode;
use crate::core::json::Members;

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
            origins: read_origins(m),
            max_connections: read_max_connections(m),
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

fn read_origins(m: &mut Members<'_>) -> Vec<OriginPattern> {
    const EXPECTED: &str = "a list of origins or hosts, such as https://*.example.com or localhost:3000";
    let listed: Vec<String> = m.take(&["origins"], EXPECTED).unwrap_or_default();
    if listed.len() > MAX_ORIGINS {
        m.fault("origins", FieldCode::OutOfRange, format_args!("has at most {MAX_ORIGINS}"));
        return Vec::new();
    }
    let read: Option<Vec<OriginPattern>> = listed.iter().map(|text| OriginPattern::new(text)).collect();
    read.unwrap_or_else(|| {
        m.fault("origins", FieldCode::Invalid, format_args!("must be {EXPECTED}"));
        Vec::new()
    })
}

fn read_max_connections(m: &mut Members<'_>) -> Option<u32> {
    let most: u32 = m.nullable("max_connections", "a whole number").flatten()?;
    if most == 0 {
        m.fault("max_connections", FieldCode::OutOfRange, "must be at least 1; leave it out for no limit");
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
}
