//! The limits of a map. One table has their names, their values for new maps, and their bounds. The
//! configuration, the API and the command line all use the table. A new limit needs one more entry in it, and
//! the code that enforces the limit.

use crate::core::field_error::FieldCode;
use crate::core::json::Members;
use serde::{Deserialize, Serialize};

/// One limit, as people set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in a map's `limits`.
    pub name: &'static str,
    /// The path of the setting for new maps, as in `limits.map_connections`. In the setting, 0 is no limit.
    pub setting: &'static str,
    /// The least value of a map's own limit.
    pub least: u32,
    /// The greatest value of the setting.
    pub most: u32,
    /// What it counts, as a text for people.
    pub unit: &'static str,
}

macro_rules! limits {
    ($($name:ident: $unit:literal, least $least:literal; new maps: $setting:ident = $default:literal, most $most:literal;)+) => {
        /// The limits of a map; `None` means no limit. They are replicated: the order of the fields is a wire format.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Limits {
            $(#[doc = concat!($unit, ".")] pub $name: Option<u32>,)+
        }

        /// Changes of some limits: `None` leaves a limit as it is, `Some(None)` removes it. The state machine
        /// merges the changes, so that two concurrent ones don't undo each other.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct LimitsPatch {
            $(#[doc = concat!("See [`Limits::", stringify!($name), "`].")] pub $name: Option<Option<u32>>,)+
        }

        /// The limits of new maps, from the configuration; 0 is no limit.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub struct NewMapLimits {
            $(#[doc = concat!("New maps: ", $unit, ".")] pub $setting: u32,)+
        }

        /// All limits, in their order.
        pub const LIMITS: &[Limit] = &[$(Limit {
            name: stringify!($name),
            setting: concat!("limits.", stringify!($setting)),
            least: $least,
            most: $most,
            unit: $unit,
        }),+];

        impl Limits {
            /// No limit at all.
            pub const NONE: Self = Self { $($name: None),+ };
        }

        impl LimitsPatch {
            /// Reads the changes that an object asks for.
            pub fn read(m: &mut Members<'_>) -> Self {
                Self { $($name: read_one(m, stringify!($name), $least)),+ }
            }

            /// The limits `base` with the changes.
            pub fn over(&self, base: &Limits) -> Limits {
                Limits { $($name: self.$name.unwrap_or(base.$name)),+ }
            }
        }

        impl Default for NewMapLimits {
            fn default() -> Self {
                Self { $($setting: $default),+ }
            }
        }

        impl From<&NewMapLimits> for Limits {
            fn from(new: &NewMapLimits) -> Self {
                Self { $($name: Some(new.$setting).filter(|limit| *limit > 0)),+ }
            }
        }
    };
}

limits! {
    connections: "sockets joined to the map at once, over the cluster", least 0;
        new maps: map_connections = 10, most 1_000_000;
    webhooks: "webhooks of the map", least 0;
        new maps: map_webhooks = 5, most 1000;
    requests_per_minute: "API requests a minute for each token, publishing aside", least 1;
        new maps: requests_per_minute = 100, most 1_000_000;
    publishes_per_second: "events a second into the map, also at once", least 1;
        new maps: publishes_per_second = 0, most 1_000_000;
    subjects: "subjects that have events at once, the map's own not counted", least 0;
        new maps: map_subjects = 1_000_000, most 100_000_000;
}

fn read_one(m: &mut Members<'_>, name: &str, least: u32) -> Option<Option<u32>> {
    let limit = m.nullable(name, "a whole number")?;
    if limit.is_some_and(|limit| limit < least) {
        m.fault(name, FieldCode::OutOfRange, format_args!("must be at least {least}; null is no limit"));
    }
    Some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (LimitsPatch, Vec<String>) {
        let mut m = Members::at("limits", text);
        let patch = LimitsPatch::read(&mut m);
        (patch, m.finish().messages())
    }

    #[test]
    fn limits_that_are_not_asked_for_stay() {
        let (patch, errors) = read(r#"{"connections":7,"webhooks":null,"subjects":0}"#);
        assert_eq!(errors, Vec::<String>::new());
        let new = Limits::from(&NewMapLimits::default());
        let changed = patch.over(&new);
        let expected = Limits { connections: Some(7), webhooks: None, subjects: Some(0), ..new };
        assert_eq!(changed, expected);
    }

    #[test]
    fn all_errors_are_reported() {
        let told =
            read(r#"{"connections":-1,"requests_per_minute":0,"publishes_per_second":"5","subject":1}"#).1;
        assert_eq!(
            told,
            [
                "limits.connections: must be a whole number or null",
                "limits.requests_per_minute: must be at least 1; null is no limit",
                "limits.publishes_per_second: must be a whole number or null",
                "limits.subject: is not a known field; did you mean subjects?",
            ]
        );
    }

    #[test]
    fn zero_in_the_configuration_is_no_limit() {
        let new = NewMapLimits { map_connections: 0, ..NewMapLimits::default() };
        let limits = Limits::from(&new);
        assert_eq!((limits.connections, limits.webhooks, limits.publishes_per_second), (None, Some(5), None));
    }
}
