//! Phoenix Channels messages as bytes: V2 arrays, V1 objects, and the binary pushes of V2.
//!
//! Wire source: phoenix.js 1.8 `serializer.js` and Phoenix' `V2.JSONSerializer`. Decoding never panics, and it
//! recurses only where it parses a value, to a fixed depth.

use super::plain::Plain;
use crate::core::event::push_json_string;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Longest ref that is echoed. phoenix.js counts its refs from 1.
const MAX_REF_LEN: usize = 64;
/// Longest topic and event name.
const MAX_NAME_LEN: usize = 255;

/// Which serializer the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// JSON objects.
    V1,
    /// JSON arrays.
    V2,
}

impl Version {
    /// Reads the `vsn` query parameter; an absent one means V1. `None` for a version that this server does
    /// not speak.
    pub fn from_query(vsn: Option<&str>) -> Option<Self> {
        match vsn.map(|vsn| vsn.split('.').next().unwrap_or_default()) {
            None | Some("1") => Some(Self::V1),
            Some("2") => Some(Self::V2),
            Some(_) => None,
        }
    }
}

/// A message of a client.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// The join that the message belongs to.
    pub join_ref: Ref,
    /// The client's ref, which the reply repeats.
    pub reference: Ref,
    /// The topic.
    pub topic: String,
    /// The event.
    pub event: String,
    /// The payload of a text message: JSON, exactly as it came. `None` for a binary push, whose bytes the
    /// server does not read.
    pub payload: Option<Box<str>>,
}

impl Message {
    /// The payload as a value.
    pub fn value(&self) -> Result<Value, FrameError> {
        let payload = self.payload.as_deref().ok_or(FrameError("the payload must be JSON"))?;
        let Plain(value) = serde_json::from_str(payload)
            .map_err(|_| FrameError("the payload is not JSON, or nested too deeply"))?;
        Ok(value)
    }
}

/// A ref: a string, or null. It is kept as JSON text, so that it is echoed exactly as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ref(Option<String>);

impl Ref {
    /// A string ref.
    pub fn new(text: &str) -> Self {
        let mut quoted = Vec::new();
        push_json_string(text, &mut quoted);
        Self(String::from_utf8(quoted).ok())
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        self.0.is_none()
    }

    fn json(&self) -> &str {
        self.0.as_deref().unwrap_or("null")
    }

    fn from_value(value: Value) -> Result<Self, FrameError> {
        match value {
            Value::Null => Ok(Self(None)),
            Value::String(text) if text.len() <= MAX_REF_LEN => Ok(Self::new(&text)),
            Value::Number(number) => Ok(Self(Some(number.to_string()))),
            _ => Err(FrameError("a ref must be null or a string of at most 64 bytes")),
        }
    }
}

/// Why the bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FrameError(pub &'static str);

/// A V1 message: a JSON object.
#[derive(serde::Deserialize)]
struct V1<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(rename = "ref", default)]
    reference: Plain,
    #[serde(default)]
    join_ref: Plain,
}

/// A V2 message: a JSON array.
#[derive(serde::Deserialize)]
struct V2<'a>(
    Plain,
    Plain,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] Cow<'a, str>,
    #[serde(borrow)] &'a RawValue,
);

/// Reads a text message.
pub fn decode_text(version: Version, text: &str) -> Result<Message, FrameError> {
    let (join_ref, reference, topic, event, payload) = match version {
        Version::V2 => {
            let V2(join_ref, reference, topic, event, payload) = serde_json::from_str(text)
                .map_err(|_| FrameError("not a V2 message [join_ref, ref, topic, event, payload]"))?;
            (join_ref, reference, topic, event, Some(payload))
        }
        Version::V1 => {
            let V1 { topic, event, payload, reference, join_ref } = serde_json::from_str(text)
                .map_err(|_| FrameError("not a V1 message {topic, event, payload, ref, join_ref}"))?;
            (join_ref, reference, topic, event, payload)
        }
    };
    let payload = payload.map_or("null", RawValue::get);
    checked(Ref::from_value(join_ref.0)?, Ref::from_value(reference.0)?, &topic, &event, Some(payload))
}

/// Reads a binary push: `0`, the lengths of join_ref, ref, topic and event, these four, and the data.
pub fn decode_binary(bytes: &[u8]) -> Result<Message, FrameError> {
    const SHORT: FrameError = FrameError("a binary push that is cut short");
    let [0, lengths @ ..] = bytes else { return Err(FrameError("not a binary push")) };
    let (lengths, mut rest) = lengths.split_at_checked(4).ok_or(SHORT)?;
    let mut parts = [""; 4];
    for (part, len) in parts.iter_mut().zip(lengths) {
        let (bytes, tail) = rest.split_at_checked(usize::from(*len)).ok_or(SHORT)?;
        *part =
            std::str::from_utf8(bytes).map_err(|_| FrameError("a binary push whose head is not UTF-8"))?;
        rest = tail;
    }
    let [join_ref, reference, topic, event] = parts;
    let as_ref = |text: &str| Ref::from_value(if text.is_empty() { Value::Null } else { text.into() });
    checked(as_ref(join_ref)?, as_ref(reference)?, topic, event, None)
}

fn checked(
    join_ref: Ref,
    reference: Ref,
    topic: &str,
    event: &str,
    payload: Option<&str>,
) -> Result<Message, FrameError> {
    if topic.len() > MAX_NAME_LEN || event.len() > MAX_NAME_LEN {
        return Err(FrameError("topic and event may have at most 255 bytes"));
    }
    let payload = payload.map(Box::from);
    Ok(Message { join_ref, reference, topic: topic.to_owned(), event: event.to_owned(), payload })
}

/// Writes a message of the server. `payload` appends its JSON.
pub fn encode(
    version: Version,
    out: &mut Vec<u8>,
    join_ref: &Ref,
    reference: &Ref,
    topic: &str,
    event: &str,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    match version {
        Version::V2 => {
            out.push(b'[');
            out.extend_from_slice(join_ref.json().as_bytes());
            out.push(b',');
            out.extend_from_slice(reference.json().as_bytes());
            out.push(b',');
            push_json_string(topic, out);
            out.push(b',');
            push_json_string(event, out);
            out.push(b',');
            payload(out);
            out.push(b']');
        }
        Version::V1 => {
            out.extend_from_slice(b"{\"topic\":");
            push_json_string(topic, out);
            out.extend_from_slice(b",\"event\":");
            push_json_string(event, out);
            out.extend_from_slice(b",\"payload\":");
            payload(out);
            out.extend_from_slice(b",\"ref\":");
            out.extend_from_slice(reference.json().as_bytes());
            out.extend_from_slice(b",\"join_ref\":");
            out.extend_from_slice(join_ref.json().as_bytes());
            out.push(b'}');
        }
    }
}

/// Writes a message of the server as text.
pub fn encode_text(
    version: Version,
    join_ref: &Ref,
    reference: &Ref,
    topic: &str,
    event: &str,
    payload: &Value,
) -> String {
    let mut out = Vec::with_capacity(128);
    encode(version, &mut out, join_ref, reference, topic, event, |out| {
        out.extend_from_slice(payload.to_string().as_bytes());
    });
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn joined(version: Version, text: &str) -> Message {
        decode_text(version, text).unwrap()
    }

    #[test]
    fn golden_messages_in() {
        let expected = Message {
            join_ref: Ref::new("3"),
            reference: Ref::new("4"),
            topic: "events:map:M".into(),
            event: "phx_join".into(),
            payload: Some(r#"{"events":"*"}"#.into()),
        };
        assert_eq!(joined(Version::V2, r#"["3","4","events:map:M","phx_join",{"events":"*"}]"#), expected);
        let v1 = r#"{"topic":"events:map:M","event":"phx_join","payload":{"events":"*"},"ref":"4","join_ref":"3"}"#;
        assert_eq!(joined(Version::V1, v1), expected);
        assert_eq!(expected.value(), Ok(json!({"events": "*"})));
        let binary = decode_binary(b"\x00\x01\x01\x0c\x0834events:map:Mphx_join\x01\x02").unwrap();
        assert_eq!(binary, Message { payload: None, ..expected });
        let heartbeat = joined(Version::V2, r#"[null,"5","phoenix","heartbeat",{}]"#);
        assert!(heartbeat.join_ref.is_null());
    }

    #[test]
    fn golden_messages_out() {
        let reply = json!({"status": "ok", "response": {}});
        assert_eq!(
            encode_text(Version::V2, &Ref::new("3"), &Ref::new("3"), "events:map:M", "phx_reply", &reply),
            r#"["3","3","events:map:M","phx_reply",{"response":{},"status":"ok"}]"#
        );
        assert_eq!(
            encode_text(Version::V1, &Ref::default(), &Ref::new("4"), "phoenix", "phx_reply", &reply),
            r#"{"topic":"phoenix","event":"phx_reply","payload":{"response":{},"status":"ok"},"ref":"4","join_ref":null}"#
        );
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "null",
            "[1,2]",
            r#"["1","1","t","e"]"#,
            r#"["1","1","t","e",{},1]"#,
            r#"["1","1",7,"e",{}]"#,
            r#"[{},"1","t","e",{}]"#,
        ] {
            assert!(decode_text(Version::V2, text).is_err(), "{text}");
        }
        for bytes in [
            &b""[..],
            b"\x00",
            b"\x01\x01\x01\x01\x01",
            b"\x00\x01\x01\x01\x01abc",
            b"\x00\xff\xff\xff\xff",
            b"\x00\x01\x01\x01\x01\xffbcd",
            &[&b"\x00\x00\x41\x01\x01"[..], &[b'1'; 67]].concat(),
        ] {
            assert!(decode_binary(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_payload_stays_as_it_came_and_is_parsed_to_a_fixed_depth() {
        let text = r#"["1","1","t","e",{"n": 12345678901234567890123}]"#;
        assert_eq!(joined(Version::V2, text).payload.as_deref(), Some(r#"{"n": 12345678901234567890123}"#));
        let deep = format!(r#"["1","1","t","e",{}{}]"#, "[".repeat(10_000), "]".repeat(10_000));
        assert!(joined(Version::V2, &deep).value().is_err());
        let absent = joined(Version::V1, r#"{"topic":"t","event":"e"}"#);
        assert_eq!(absent.value(), Ok(Value::Null));
    }

    /// The key by which serde_json passes raw JSON around, sent by a client.
    #[test]
    fn raw_json_in_a_string_stays_a_string() {
        let raw = "$serde_json::private::RawValue";
        let text = format!(r#"["1","1","t","e",{{"{raw}":"[1]"}}]"#);
        assert_eq!(joined(Version::V2, &text).value(), Ok(json!({raw: "[1]"})));
        let mut nested = "1".to_owned();
        for _ in 0..60 {
            let escaped = nested.replace('\\', "\\u005c").replace('"', "\\u0022");
            nested = format!("{}{{\"{raw}\":\"{escaped}\"}}{}", "[".repeat(110), "]".repeat(110));
        }
        assert!(nested.len() < 65_536);
        assert!(joined(Version::V2, &format!(r#"["1","1","t","e",{nested}]"#)).value().is_ok());
        assert!(decode_text(Version::V2, &format!(r#"[{nested},"1","t","e",{{}}]"#)).is_err());
        assert!(decode_text(Version::V1, &format!(r#"{{"topic":"t","event":"e","ref":{nested}}}"#)).is_err());
    }

    proptest! {
        #[test]
        fn any_text_and_bytes_are_safe(text in ".*", bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = (decode_text(Version::V1, &text), decode_text(Version::V2, &text), decode_binary(&bytes));
        }

        #[test]
        fn written_messages_are_read_back(join_ref in prop::option::of("[0-9]{1,4}"), topic in ".{1,20}", event in ".{1,20}", v2 in any::<bool>()) {
            let version = if v2 { Version::V2 } else { Version::V1 };
            let join_ref = join_ref.map_or(Ref::default(), |text| Ref::new(&text));
            let text = encode_text(version, &join_ref, &Ref::new("9"), &topic, &event, &json!({"a": 1}));
            let back = decode_text(version, &text).unwrap();
            prop_assert_eq!(back, Message { join_ref, reference: Ref::new("9"), topic, event, payload: Some(r#"{"a":1}"#.into()) });
        }
    }
}
