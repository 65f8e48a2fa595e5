//! What a client is on a presence channel: its user, as the application's back end has signed it.

use crate::core::json::normalise;
use crate::core::lease::{MAX_INFO_LEN, MAX_MEMBER_LEN};
use crate::hub::{self, PresenceWatch};
use bytes::Bytes;
use bytestring::ByteString;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// Levels of nested JSON that are known of a user.
const INFO_DEPTH: usize = 32;
/// Longest data of a member that others are told of (bytes).
const MAX_DATA_LEN: usize = 2 * MAX_INFO_LEN;

/// A user, as the back end has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The user's id.
    pub(super) user: ByteString,
    /// What is known of the user: JSON in normal form, or nothing.
    pub(super) info: Bytes,
}

/// The client's membership of a channel.
pub(super) struct Membership {
    pub(super) user: ByteString,
    pub(super) membership: hub::Membership,
    pub(super) _watch: PresenceWatch,
}

/// Why the data of a member is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MemberError {
    /// There is none, or it is not the JSON of a member.
    #[error("a presence channel needs channel_data with a user_id")]
    Data,
    /// The user's id is empty or too long.
    #[error("user_id must have 1 to {MAX_MEMBER_LEN} bytes")]
    User,
    /// There is too much about the user, or not JSON.
    #[error("user_info must be JSON of at most {MAX_INFO_LEN} bytes")]
    Info,
}

#[derive(Deserialize)]
struct ChannelData<'t> {
    user_id: Value,
    #[serde(borrow)]
    user_info: Option<&'t RawValue>,
}

impl Member {
    /// Reads the data of a subscription to a presence channel. A number becomes a text.
    pub(super) fn read(channel_data: Option<&str>) -> Result<Self, MemberError> {
        let data: ChannelData<'_> =
            channel_data.and_then(|data| serde_json::from_str(data).ok()).ok_or(MemberError::Data)?;
        let user = match data.user_id {
            Value::String(user) => user,
            Value::Number(number) => number.to_string(),
            _ => return Err(MemberError::Data),
        };
        if user.is_empty() || user.len() > MAX_MEMBER_LEN {
            return Err(MemberError::User);
        }
        let info = data.user_info.map(|info| normal(info.get(), MAX_INFO_LEN).ok_or(MemberError::Info));
        let info = info.transpose()?;
        Ok(Self { user: user.into(), info: info.unwrap_or_default() })
    }
}

/// JSON in normal form; `None` if it has more than `most` bytes, or is no JSON.
fn normal(json: &str, most: usize) -> Option<Bytes> {
    let json = normalise(json, INFO_DEPTH).ok().filter(|json| json.len() <= most)?;
    Some(json.into())
}

/// What members know of a user who has signed in: nothing if there is too much of it.
pub(super) fn info_of(json: &str) -> Bytes {
    normal(json, MAX_INFO_LEN).unwrap_or_default()
}

/// The data of a member as others are told of it: nothing if there is too much of it.
pub(super) fn told_data(channel_data: &str) -> Bytes {
    normal(channel_data, MAX_DATA_LEN).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(data: &str) -> Result<(String, String), MemberError> {
        let member = Member::read(Some(data))?;
        Ok((member.user.to_string(), String::from_utf8(member.info.to_vec()).unwrap()))
    }

    #[test]
    fn a_member_has_an_id_and_perhaps_more() {
        for (data, user, info) in [
            (r#"{"user_id":"ada"}"#, "ada", ""),
            (r#"{"user_id":669,"user_info":null}"#, "669", ""),
            (r#"{"user_id":"ada","user_info":{ "name": "Ada" },"more":1}"#, "ada", r#"{"name":"Ada"}"#),
            (r#"{"user_info":"x","user_id":"é"}"#, "é", r#""x""#),
        ] {
            assert_eq!(read(data), Ok((user.to_owned(), info.to_owned())), "{data}");
        }
    }

    #[test]
    fn what_is_no_member_is_refused() {
        let long = "u".repeat(MAX_MEMBER_LEN + 1);
        let much = "x".repeat(MAX_INFO_LEN);
        for (data, error) in [
            ("", MemberError::Data),
            ("{}", MemberError::Data),
            (r#"{"user_id":null}"#, MemberError::Data),
            (r#"{"user_id":{}}"#, MemberError::Data),
            (r#"{"user_id":""}"#, MemberError::User),
            (&format!(r#"{{"user_id":"{long}"}}"#), MemberError::User),
            (&format!(r#"{{"user_id":"a","user_info":"{much}"}}"#), MemberError::Info),
            (r#"{"user_id":"a","user_info":1e999}"#, MemberError::Info),
        ] {
            assert_eq!(read(data), Err(error), "{data}");
        }
        assert_eq!(Member::read(None), Err(MemberError::Data));
    }
}
