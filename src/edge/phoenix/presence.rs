//! Presence as Phoenix shows it: `presence_state` after a join, then a `presence_diff` for each change.
//!
//! Wire source: phoenix.js 1.8 `presence.js` and Phoenix' `Phoenix.Presence`. The members are those that every
//! protocol shows. A member has one meta, because several connections of a user are one member. The meta's
//! `phx_ref` follows from the user and the info, so it is the same on every node, and a client that comes back
//! at another node sees nobody leave who stayed.

use super::frame::{self, Ref, Version};
use crate::core::digest::short;
use crate::core::error_code::Code;
use crate::core::event::push_json_string;
use crate::core::json::normalise;
use crate::edge::given::BadParameter;
use crate::hub::{PresenceNews, PresentMember};
use bytes::Bytes;
use bytestring::ByteString;
use serde_json::Value;

/// Longest id of a user, bytes.
const MAX_USER_LEN: usize = 128;
/// Longest meta of a member, bytes of its JSON.
const MAX_META_LEN: usize = 1024;
/// Deepest nesting of a meta.
const MAX_META_DEPTH: usize = 32;
/// The member of a meta that Phoenix uses.
const PHX_REF: &str = "phx_ref";

/// What a join asks for about presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedPresence {
    /// The client sees the members, and is none itself.
    Watch,
    /// The client's user becomes a member.
    Member {
        /// The user.
        user: ByteString,
        /// What the members see of the user: a JSON object in normal form.
        meta: Bytes,
    },
}

impl WantedPresence {
    /// Reads the parameter `presence` of a join: true, or an object with `user_id` and `meta`.
    pub fn read(given: &Value) -> Result<Self, BadParameter> {
        match given {
            Value::Bool(true) => Ok(Self::Watch),
            Value::Object(members) => {
                if let Some(unknown) = members.keys().find(|name| !["user_id", "meta"].contains(&&***name)) {
                    let shown: String = unknown.chars().take(100).collect();
                    return Err(invalid(format!("presence has no {shown}; it has user_id and meta")));
                }
                Ok(Self::Member {
                    user: read_user(members.get("user_id"))?,
                    meta: read_meta(members.get("meta"))?,
                })
            }
            _ => Err(invalid(
                "presence must be {\"user_id\": …, \"meta\": {…}}, or true to see the members only",
            )),
        }
    }
}

fn read_user(given: Option<&Value>) -> Result<ByteString, BadParameter> {
    let user = match given {
        Some(Value::String(user)) => user.clone(),
        Some(Value::Number(number)) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return Err(invalid("presence needs a user_id: a string, or a whole number")),
    };
    if user.is_empty() || user.len() > MAX_USER_LEN {
        return Err(invalid(format!("a user_id has 1 to {MAX_USER_LEN} bytes")));
    }
    Ok(user.into())
}

fn read_meta(given: Option<&Value>) -> Result<Bytes, BadParameter> {
    let meta = match given {
        None | Some(Value::Null) => "{}".to_owned(),
        Some(Value::Object(meta)) if meta.contains_key(PHX_REF) => {
            return Err(invalid("a meta gets its phx_ref from the server"));
        }
        Some(meta @ Value::Object(_)) => {
            normalise(&meta.to_string(), MAX_META_DEPTH).map_err(|error| invalid(format!("meta: {error}")))?
        }
        Some(_) => return Err(invalid("meta must be an object")),
    };
    if meta.len() > MAX_META_LEN {
        return Err(invalid(format!("a meta may have at most {MAX_META_LEN} bytes")));
    }
    Ok(meta.into())
}

/// An error about the parameter `presence`.
pub(super) fn invalid(message: impl Into<String>) -> BadParameter {
    BadParameter::new("presence", Code::InvalidPresence, message)
}

/// The push that shows all members to the client that joined under `join_ref`.
pub(super) fn state(version: Version, topic: &str, join_ref: &Ref, members: &[PresentMember]) -> String {
    text(version, topic, join_ref, "presence_state", |out| push_members(members, out))
}

/// The push that shows a change of the members.
pub(super) fn diff(version: Version, topic: &str, news: &PresenceNews) -> String {
    let (joins, leaves) = match news {
        PresenceNews::Joined(member) => (std::slice::from_ref(member), &[][..]),
        PresenceNews::Left(member) => (&[][..], std::slice::from_ref(member)),
    };
    text(version, topic, &Ref::default(), "presence_diff", |out| {
        out.extend_from_slice(b"{\"joins\":");
        push_members(joins, out);
        out.extend_from_slice(b",\"leaves\":");
        push_members(leaves, out);
        out.push(b'}');
    })
}

fn text(
    version: Version,
    topic: &str,
    join_ref: &Ref,
    event: &str,
    payload: impl FnOnce(&mut Vec<u8>),
) -> String {
    let mut out = Vec::with_capacity(256);
    frame::encode(version, &mut out, join_ref, &Ref::default(), topic, event, payload);
    String::from_utf8(out).unwrap_or_default()
}

/// Writes `{user: {"metas": [meta]}}`.
fn push_members(members: &[PresentMember], out: &mut Vec<u8>) {
    out.push(b'{');
    for (place, member) in members.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        push_json_string(&member.user, out);
        out.extend_from_slice(b":{\"metas\":[");
        push_meta(member, out);
        out.extend_from_slice(b"]}");
    }
    out.push(b'}');
}

/// Writes a meta: the members of the info, if it is an object, or else the info as one member; then the
/// `phx_ref`. It stands last, because of two members with one name JavaScript takes the last.
fn push_meta(member: &PresentMember, out: &mut Vec<u8>) {
    let info = &member.info[..];
    out.push(b'{');
    match info {
        b"" | b"null" | b"{}" => {}
        [b'{', members @ .., b'}'] => {
            out.extend_from_slice(members);
            out.push(b',');
        }
        other => {
            out.extend_from_slice(b"\"info\":");
            out.extend_from_slice(other);
            out.push(b',');
        }
    }
    let phx_ref = short(&[member.user.as_bytes(), info]);
    out.extend_from_slice(format!("\"{PHX_REF}\":\"{phx_ref:016x}\"}}").as_bytes());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    const TOPIC: &str = "events:map:home:room-1";

    fn member(user: &str, info: &str) -> PresentMember {
        PresentMember { user: user.into(), info: Bytes::copy_from_slice(info.as_bytes()) }
    }

    fn ref_of(user: &str, info: &str) -> String {
        format!("{:016x}", short(&[user.as_bytes(), info.as_bytes()]))
    }

    #[test]
    fn golden_state() {
        let members = [member("7", r#"{"name":"Ada"}"#), member("é\"", "{}"), member("x", "[1]")];
        let refs = members.each_ref().map(|m| ref_of(&m.user, std::str::from_utf8(&m.info).unwrap()));
        let [ada, plain, list] = refs;
        let payload = format!(
            r#"{{"7":{{"metas":[{{"name":"Ada","phx_ref":"{ada}"}}]}},"é\"":{{"metas":[{{"phx_ref":"{plain}"}}]}},"x":{{"metas":[{{"info":[1],"phx_ref":"{list}"}}]}}}}"#
        );
        assert_eq!(
            state(Version::V2, TOPIC, &Ref::new("3"), &members),
            format!(r#"["3",null,"{TOPIC}","presence_state",{payload}]"#)
        );
        assert_eq!(
            state(Version::V1, TOPIC, &Ref::new("3"), &[]),
            format!(
                r#"{{"topic":"{TOPIC}","event":"presence_state","payload":{{}},"ref":null,"join_ref":"3"}}"#
            )
        );
    }

    #[test]
    fn golden_diffs() {
        let info = r#"{"name":"Ada"}"#;
        let shown = format!(r#"{{"7":{{"metas":[{{"name":"Ada","phx_ref":"{}"}}]}}}}"#, ref_of("7", info));
        assert_eq!(
            diff(Version::V2, TOPIC, &PresenceNews::Joined(member("7", info))),
            format!(r#"[null,null,"{TOPIC}","presence_diff",{{"joins":{shown},"leaves":{{}}}}]"#)
        );
        assert_eq!(
            diff(Version::V2, TOPIC, &PresenceNews::Left(member("7", info))),
            format!(r#"[null,null,"{TOPIC}","presence_diff",{{"joins":{{}},"leaves":{shown}}}]"#)
        );
    }

    #[test]
    fn a_ref_differs_with_the_user_and_the_info() {
        let same = ref_of("7", "{}");
        assert_eq!(same.len(), 16);
        assert_eq!(same, ref_of("7", "{}"));
        assert!(same != ref_of("8", "{}") && same != ref_of("7", r#"{"a":1}"#));
    }

    #[test]
    fn the_parameter_is_read_strictly() {
        assert_eq!(WantedPresence::read(&json!(true)), Ok(WantedPresence::Watch));
        for (given, user, meta) in [
            (json!({"user_id": "a"}), "a", "{}"),
            (json!({"user_id": 7, "meta": null}), "7", "{}"),
            (json!({"user_id": "é", "meta": {"n": 1.0, "a": [1]}}), "é", r#"{"a":[1],"n":1}"#),
        ] {
            let expected =
                WantedPresence::Member { user: user.into(), meta: meta.as_bytes().to_vec().into() };
            assert_eq!(WantedPresence::read(&given), Ok(expected), "{given}");
        }
        for bad in [
            json!(false),
            json!([]),
            json!("7"),
            json!({}),
            json!({"user_id": ""}),
            json!({"user_id": 1.5}),
            json!({"user_id": "a".repeat(129)}),
            json!({"user_id": "a", "meta": []}),
            json!({"user_id": "a", "meta": {"phx_ref": "1"}}),
            json!({"user_id": "a", "meta": {"long": "x".repeat(1024)}}),
            json!({"user_id": "a", "mta": {}}),
        ] {
            assert_eq!(WantedPresence::read(&bad).unwrap_err().code, Code::InvalidPresence, "{bad}");
        }
    }
}
