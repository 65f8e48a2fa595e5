//! The attributes of channels that a caller asks for by `info`.

use crate::core::access::Map;
use crate::core::channel::Channel;
use crate::core::error_code::Code;
use crate::edge::error::ApiError;
use crate::edge::pusher::alias::subject_of;
use crate::hub::Counts;
use serde_json::{Map as Object, Value};

/// The attributes of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// How many users are members. Only presence channels have it.
    pub(super) user_count: bool,
    /// How many subscriptions the channel has.
    pub(super) subscription_count: bool,
    /// The last event. Only cache channels have it.
    pub(super) cache: bool,
}

/// `info` names something that is no attribute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an attribute of channels: there are user_count, subscription_count and cache")]
pub(super) struct UnknownAttribute(String);

impl Attributes {
    /// Reads a list with commas.
    pub(super) fn read(text: &str) -> Result<Self, UnknownAttribute> {
        let mut attributes = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "user_count" => attributes.user_count = true,
                "subscription_count" => attributes.subscription_count = true,
                "cache" => attributes.cache = true,
                other => return Err(UnknownAttribute(other.chars().take(40).collect())),
            }
        }
        Ok(attributes)
    }

    /// Whether counts of subscriptions or users are asked for.
    pub(super) fn has_counts(self) -> bool {
        self.user_count || self.subscription_count
    }

    /// The counts that are asked for, as members of an object.
    pub(super) fn counts(self, counts: Counts) -> Object<String, Value> {
        let mut object = Object::new();
        if self.user_count {
            object.insert("user_count".to_owned(), counts.users.into());
        }
        if self.subscription_count {
            object.insert("subscription_count".to_owned(), counts.subscriptions.into());
        }
        object
    }
}

impl From<UnknownAttribute> for ApiError {
    fn from(error: UnknownAttribute) -> Self {
        Self::bad_request(Code::InvalidInfo, error.to_string())
    }
}

/// Whether the channel has members.
pub(super) fn has_members(map: &Map, channel: &Channel) -> bool {
    map.rules.facts_of(subject_of(map, channel).as_str()).presence
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_are_a_list_with_commas() {
        let none = Attributes::default();
        assert_eq!(Attributes::read("").unwrap(), none);
        assert_eq!(Attributes::read("user_count").unwrap(), Attributes { user_count: true, ..none });
        let both = Attributes { subscription_count: true, cache: true, ..none };
        assert_eq!(Attributes::read("subscription_count, cache,").unwrap(), both);
        for wrong in ["users", "user_count,count", "User_Count", &"x".repeat(10_000)] {
            let error = Attributes::read(wrong).unwrap_err().to_string();
            assert!(error.contains("is not an attribute") && error.len() < 200, "{error}");
        }
    }

    #[test]
    fn only_what_was_asked_for_is_told() {
        let counts = Counts { subscriptions: 3, users: 2 };
        let told = |info| Value::from(Attributes::read(info).unwrap().counts(counts));
        assert_eq!(told(""), json!({}));
        assert_eq!(told("user_count"), json!({"user_count": 2}));
        assert_eq!(told("subscription_count"), json!({"subscription_count": 3}));
        assert_eq!(told("user_count,subscription_count"), json!({"user_count": 2, "subscription_count": 3}));
        assert!(!Attributes::read("cache").unwrap().has_counts());
    }
}
