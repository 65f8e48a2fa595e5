//! The limits of a map. One table has their names, their values for new maps, and their bounds. The
//! configuration, the API and the command line all use the table. A new limit needs one more entry in it, and
//! the code that enforces the limit.

use crate::core::json::Members;
use crate::core::rate::PublishRates;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One limit, as people set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Its name in a map's `limits`.
    pub name: &'static str,
    /// The path of the setting for new maps, as in `limits.map_connections`.
    pub setting: &'static str,
    /// The greatest value of the setting.
    pub most: u32,
    /// What it counts, as a text for people.
    pub unit: &'static str,
}

/// A limit as errors name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitName {
    /// A limit that each map has for itself.
    OfMap(&'static Limit),
    /// A limit that is the same for all: the path of its setting.
    Setting(&'static str),
    /// A limit that a map's channel rules set: the name of the member of a rule.
    OfRule(&'static str),
    /// A limit that an issuer of client tokens sets, or the token itself: the name of the member.
    OfIssuer(&'static str),
    /// A limit that is the same for all and that no setting changes.
    Fixed,
}

impl LimitName {
    /// The name in a map's `limits`. `None` if the limit is the same for all maps.
    pub fn of_map(self) -> Option<&'static str> {
        match self {
            Self::OfMap(limit) => Some(limit.name),
            Self::Setting(_) | Self::OfRule(_) | Self::OfIssuer(_) | Self::Fixed => None,
        }
    }

    /// The path of the setting: for a limit of a map, the one of new maps. `None` if no setting changes it.
    pub fn setting(self) -> Option<&'static str> {
        match self {
            Self::OfMap(limit) => Some(limit.setting),
            Self::Setting(setting) => Some(setting),
            Self::OfRule(_) | Self::OfIssuer(_) | Self::Fixed => None,
        }
    }

    /// The command that raises the limit. `MAP` stands for the map and `N` for the new value. A setting is
    /// raised on every node. `None` if no command raises it.
    pub fn raise(self) -> Option<String> {
        match self {
            Self::OfMap(limit) => Some(raise_of_map(limit.name)),
            Self::Setting(setting) => Some(format!("waypost serve --{} N", setting.replace(['.', '_'], "-"))),
            Self::OfRule(_) | Self::OfIssuer(_) | Self::Fixed => None,
        }
    }
}

/// The command that raises the limit of that name of a map.
fn raise_of_map(name: &str) -> String {
    format!("waypost map update MAP --{} N", name.replace('_', "-"))
}

/// Says where the limit is set.
impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfMap(Limit { name, setting, .. }) => {
                let command = raise_of_map(name);
                write!(f, "the limit is `{name}` of the map, which the admin raises with `{command}`; ")?;
                write!(f, "new maps get the setting {setting}")
            }
            Self::Setting(setting) => write!(f, "the limit is the setting {setting}"),
            Self::OfRule(member) => write!(f, "the limit is `{member}` of the subject's channel rule"),
            Self::OfIssuer(member) => {
                write!(f, "the limit is `{member}` of the client token, or else of its issuer")
            }
            Self::Fixed => f.write_str("the limit is fixed"),
        }
    }
}

macro_rules! limits {
    ($($constant:ident = $name:ident: $unit:literal; new maps: $setting:ident = $default:literal, most $most:literal;)+) => {
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
        pub const LIMITS: &[Limit] = &[$(Limit::$constant),+];

        impl Limit {
            $(#[doc = concat!("Most ", $unit, ".")]
            pub const $constant: Self = Self {
                name: stringify!($name),
                setting: concat!("limits.", stringify!($setting)),
                most: $most,
                unit: $unit,
            };)+
        }

        impl Limits {
            /// No limit at all.
            pub const NONE: Self = Self { $($name: None),+ };
        }

        impl LimitsPatch {
            /// Reads the changes that an object asks for.
            pub fn read(m: &mut Members<'_>) -> Self {
                Self { $($name: read_one(m, stringify!($name))),+ }
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
    CONNECTIONS = connections: "sockets joined to the map at once, over the cluster";
        new maps: map_connections = 1000, most 1_000_000;
    WEBHOOKS = webhooks: "webhooks of the map";
        new maps: map_webhooks = 5, most 1000;
    REQUESTS_PER_MINUTE = requests_per_minute: "API requests a minute for each token, publishing aside";
        new maps: requests_per_minute = 1000, most 1_000_000;
    PUBLISHES_PER_SECOND = publishes_per_second: "events a second into the map, also at once";
        new maps: publishes_per_second = 0, most 1_000_000;
    SUBJECTS = subjects: "subjects that have events at once, the map's own not counted";
        new maps: map_subjects = 1_000_000, most 100_000_000;
    PUBLISH_BYTES_PER_SECOND = publish_bytes_per_second: "bytes of events a second into the map, also at once";
        new maps: publish_bytes_per_second = 0, most 1_000_000_000;
    IDEMPOTENCY_KEYS = idempotency_keys: "idempotency keys that are remembered at once";
        new maps: map_idempotency_keys = 1_000_000, most 100_000_000;
    JOINS_PER_MINUTE = joins_per_minute: "sockets that each token joins to the map in a minute, on each node";
        new maps: joins_per_minute = 6000, most 1_000_000;
}

impl Limits {
    /// How fast the map may publish.
    pub fn publish_rates(&self) -> PublishRates {
        PublishRates { events: self.publishes_per_second, bytes: self.publish_bytes_per_second }
    }
}

/// Reads one limit; 0 and null are no limit, as 0 is in the configuration.
fn read_one(m: &mut Members<'_>, name: &str) -> Option<Option<u32>> {
    let limit: Option<u32> = m.nullable(name, "a whole number")?;
    Some(limit.filter(|limit| *limit > 0))
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
        let (patch, errors) = read(r#"{"connections":7,"webhooks":null,"subjects":9}"#);
        assert_eq!(errors, Vec::<String>::new());
        let new = Limits::from(&NewMapLimits::default());
        let changed = patch.over(&new);
        let expected = Limits { connections: Some(7), webhooks: None, subjects: Some(9), ..new };
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
                "limits.publishes_per_second: must be a whole number or null",
                "limits.subject: is not a known field; did you mean subjects?",
            ]
        );
    }

    #[test]
    fn zero_is_no_limit_in_the_configuration_and_in_the_api() {
        let new = NewMapLimits { map_connections: 0, ..NewMapLimits::default() };
        let limits = Limits::from(&new);
        assert_eq!((limits.connections, limits.webhooks, limits.publishes_per_second), (None, Some(5), None));
        for limit in LIMITS {
            let [zero, null] = ["0", "null"].map(|value| read(&format!("{{\"{}\":{value}}}", limit.name)));
            assert_eq!(zero, null, "{}", limit.name);
            assert_ne!(zero.0, LimitsPatch::default(), "{}", limit.name);
        }
    }

    #[test]
    fn a_limit_says_where_it_is_set() {
        let told = LimitName::OfMap(&Limit::CONNECTIONS).to_string();
        assert!(told.contains("`connections`") && told.contains("limits.map_connections"), "{told}");
        let raise = |name: LimitName| name.raise().unwrap_or_default();
        assert_eq!(
            raise(LimitName::OfMap(&Limit::REQUESTS_PER_MINUTE)),
            "waypost map update MAP --requests-per-minute N"
        );
        assert_eq!(
            raise(LimitName::Setting("limits.sockets_per_token")),
            "waypost serve --limits-sockets-per-token N"
        );
        assert_eq!((LimitName::OfIssuer("connections").raise(), LimitName::Fixed.raise()), (None, None));
    }
}
