//! What a client pushes on a joined subject: it becomes an event of the subject, if the token and the map's
//! channel rules allow that.

use super::frame::Message;
use super::settings::EventLimits;
use crate::core::access::Scopes;
use crate::core::channel::Kind;
use crate::core::channel_rules::ChannelRules;
use crate::core::client_kind::is_client_kind;
use crate::core::data::text_of;
use crate::core::error_code::Code;
use crate::core::event::{NewEvent, Sender};
use crate::core::ids::MapId;
use crate::core::json;
use crate::core::lifecycle::Lifecycle;
use crate::core::limits::LimitName;
use crate::core::subject::{Subject, SubjectError};
use crate::edge::error::{ApiError, forbidden_subject};
use crate::edge::refused::Refused;
use crate::hub::{Grant, Hub, HubError, Placed, Via, Who};
use actix_web::http::StatusCode;

/// An event that a client wants to publish.
pub(super) struct Push {
    map: MapId,
    event: NewEvent,
    sender: Sender,
}

/// Reads a push on a channel of the map. `subject` is the channel's one subject, if it has one.
pub(super) fn read(
    message: &Message,
    (map, subject): (MapId, Option<&Subject>),
    sender: Sender,
    limits: EventLimits,
) -> Result<Push, ApiError> {
    let subject = subject.ok_or_else(|| {
        ApiError::bad_request(Code::SeveralSubjects, "the channel has several subjects")
            .hint("publish on a channel of one subject, such as events:map:{map}:{subject}")
    })?;
    if subject.is_reserved() {
        return Err(ApiError::bad_request(Code::InvalidSubject, SubjectError::Reserved.to_string()));
    }
    if !is_client_kind(&message.event) {
        return Err(ApiError::bad_request(
            Code::InvalidType,
            "a client can't publish an event of this type: it is malformed, or kept for the server",
        ));
    }
    let payload = payload_of(message, limits)?;
    let event = NewEvent {
        sender: Some(sender.clone()),
        ..NewEvent::new(subject.clone(), message.event.clone(), payload)
    };
    Ok(Push { map, event, sender })
}

/// The payload in normal form.
fn payload_of(message: &Message, limits: EventLimits) -> Result<String, ApiError> {
    let Some(payload) = message.payload.as_deref() else {
        return Err(ApiError::bad_request(
            Code::InvalidJson,
            "the payload of an event must be JSON, not binary",
        ));
    };
    if payload.len() > limits.bytes {
        return Err(ApiError::too_large(format!("a payload may have at most {} bytes", limits.bytes))
            .of_limit(LimitName::Setting("limits.event_bytes"), limits.bytes as u64));
    }
    Ok(json::normalise(payload, limits.depth)?)
}

impl Push {
    /// Publishes the event with the right of `who`, as it is now.
    pub(super) async fn publish(self, hub: &Hub, who: Who) -> Result<Placed, ApiError> {
        let Self { map, event, sender } = self;
        hub.access().know_revokes().await;
        let known = hub.access().known().map(map).cloned();
        let grant = Grant { map: known.ok_or(Refused::NotFound)?, who };
        if !hub.access().still_granted(&grant, Scopes::PUBLISH) {
            return Err(Refused::Forbidden(Scopes::PUBLISH).into());
        }
        if !grant.who.allows(&event.subject) {
            return Err(forbidden_subject(&event.subject));
        }
        if !lets_clients_publish(&grant.map.rules, &event.subject) {
            return Err(no_client_events(&event.subject));
        }
        let fact = Lifecycle::ClientEvent {
            channel: event.subject.clone(),
            event: event.kind.as_str().into(),
            data: text_of(&event.payload).into_owned().into(),
            socket: sender.socket,
            user: sender.user,
        };
        let (by, events) = (grant.who.by(), vec![event]);
        let placed = hub.publisher().publish_channel(&grant.map, by, events, Via::Phoenix).await?;
        hub.presence().note(map, fact);
        let missing = || HubError::Internal("an event was published without a place".to_owned());
        Ok(placed.into_iter().next().ok_or_else(missing)?)
    }
}

/// Whether clients may publish to the subject. Nobody but a back end can encrypt, or speak to a user.
fn lets_clients_publish(rules: &ChannelRules, subject: &Subject) -> bool {
    let is_of_back_end = matches!(Kind::of(subject.as_str()), Kind::Encrypted | Kind::ServerToUser);
    !is_of_back_end && rules.facts_of(subject.as_str()).client_events
}

fn no_client_events(subject: &Subject) -> ApiError {
    let name = subject.as_str();
    let message = format!("the map's channel rules let clients publish nothing to the subject {name:?}");
    ApiError::new(StatusCode::FORBIDDEN, Code::NoClientEvents, message)
        .hint("a rule such as {\"match\": \"chat-*\", \"client_events\": true} lets them")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::frame::{Version, decode_binary, decode_text};
    use super::*;
    use crate::core::channel_rules::ChannelRule;
    use crate::core::ids::SocketId;
    use crate::core::subject::SubjectPattern;

    const LIMITS: EventLimits = EventLimits { bytes: 100, depth: 3 };

    fn pushed(message: &Message, subject: Option<&str>) -> Result<Push, ApiError> {
        let subject = subject.map(|name| Subject::parse_any(name).unwrap());
        let sender = Sender { socket: SocketId::new(1, 2), user: Some("7".into()) };
        read(message, (MapId::from_bytes([1; 16]), subject.as_ref()), sender, LIMITS)
    }

    fn message(event: &str, payload: &str) -> Message {
        decode_text(Version::V2, &format!(r#"["1","2","events:map:home:chat","{event}",{payload}]"#)).unwrap()
    }

    #[test]
    fn a_push_is_an_event_of_the_subject() {
        let push = pushed(&message("said", r#"{ "text": "a", "2": 1.0, "1": 0 }"#), Some("chat")).unwrap();
        assert_eq!((push.event.subject.as_str(), &*push.event.kind), ("chat", "said"));
        assert_eq!(&push.event.payload[..], br#"{"1":0,"2":1,"text":"a"}"#);
        assert_eq!(push.event.sender, Some(push.sender));
        let own = pushed(&message("said", "null"), Some("")).unwrap();
        assert!(own.event.subject.is_own());
    }

    #[test]
    fn clients_publish_where_a_rule_lets_them() {
        let all =
            ChannelRule { client_events: Some(true), ..ChannelRule::of(SubjectPattern::new("*").unwrap()) };
        let rules = ChannelRules::new(vec![all]).unwrap();
        let lets = |rules: &ChannelRules, name| lets_clients_publish(rules, &Subject::parse(name).unwrap());
        for name in ["", "chat", "private-chat", "presence-chat", "cache-chat"] {
            assert!(lets(&rules, name) && !lets(&ChannelRules::default(), name), "{name}");
        }
        for name in ["private-encrypted-chat", "private-encrypted-cache-chat", "#server-to-user-7"] {
            assert!(!lets(&rules, name), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_published_is_refused_with_a_code() {
        let binary = decode_binary(b"\x00\x01\x01\x01\x0412tsaid\x01\x02").unwrap();
        let long = format!(r#"{{"text":"{}"}}"#, "x".repeat(100));
        for (message, subject, code) in [
            (message("said", "{}"), None, "several_subjects"),
            (message("said", "{}"), Some("$sys"), "invalid_subject"),
            (message("presence_diff", "{}"), Some("chat"), "invalid_type"),
            (message("a,b", "{}"), Some("chat"), "invalid_type"),
            (binary, Some("chat"), "invalid_json"),
            (message("said", &long), Some("chat"), "too_large"),
            (message("said", "[[[[1]]]]"), Some("chat"), "too_deep"),
            (message("said", "12345678901234567890123"), Some("chat"), "unsafe_integer"),
        ] {
            let refused = pushed(&message, subject).map(|push| push.event).unwrap_err();
            assert!(refused.to_string().starts_with(&format!("{code}: ")), "{refused} is not {code}");
        }
    }
}
