//! Tests of requests: when templates wait, which headers are sent, and what answers mean.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::consumer::shares::Speed;
use crate::core::event::NewEvent;
use crate::core::ids::{MapId, WebhookId};

/// A template that waits too long costs its own delivery one attempt, and does not block this thread.
#[actix_web::test]
async fn a_template_that_waits_too_long_is_retried() {
    let work = || Work {
        style: Arc::new(Style {
            profile: Profile::Template,
            map: MapText::from(MapId::from_bytes([1; 16])),
            topic: String::new(),
            key: String::new(),
            template: Some(CompiledTemplate::new("${event.seq}", "text/plain").unwrap()),
        }),
        secrets: Secrets::new("a secret".into()),
        gap: None,
        attempt: 1,
        now_ms: 1,
    };
    let event = NewEvent::new(Default::default(), "x", "{}");
    let events = [Event::from_stored(9, Event::to_stored(EventId::new(1, 7, 0), &event).into()).unwrap()];
    let claim = |map: u8| Claim {
        map: MapId::from_bytes([map; 16]),
        consumer: WebhookId::from_bytes([map; 16]),
        receiver: Target::parse(&format!("http://{map}.example/")).unwrap().receiver(),
    };
    let templates = Permits::new(2);
    let render = |map, limit| work().render(&events, Instant::now() + limit, (&templates, claim(map)));
    let other = templates.take(claim(1), Speed::Quick).await;
    let late = render(1, Duration::from_millis(20)).await;
    assert_eq!(late.map_err(|failure| failure.class).unwrap_err(), Class::Internal);
    let made = render(2, Duration::from_secs(60)).await.unwrap();
    assert_eq!(made.body, "9", "another map does not wait");
    drop(other);
    assert_eq!(render(1, Duration::from_secs(60)).await.unwrap().body, "9");
}

/// As an older release may have stored it, or a webhook that has changed its profile.
#[test]
fn a_stored_header_replaces_none_of_the_profile() {
    let defaults = crate::core::webhook::Defaults {
        timeout_ms: 1000,
        retry_attempts: None,
        retry_delay_ms: None,
        auto_disable_seconds: None,
    };
    let id = WebhookId::from_bytes([1; 16]);
    let map = MapId::from_bytes([1; 16]);
    let origin = crate::core::webhook::Origin::Api;
    let plain = crate::core::webhook::Plain::new(id, map, origin, Profile::Standard, &defaults);
    let own = ["Webhook-Signature", "webhook-id", "Host", "content-type", "X-Own"];
    let private = Private {
        target: Address::Http("https://example.com/".into()),
        headers: own.map(|name| (name.to_owned(), "forged".to_owned())).to_vec(),
        secret: "a secret".into(),
        previous: Vec::new(),
    };
    let guard = Guard::default();
    let account = Account::default();
    let sender = Sender::new(Arc::new(plain.webhook), private, &guard, &account, Permits::new(1)).unwrap();
    let header = |name: &'static str, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers = vec![
        header("webhook-signature", "v1,true"),
        header("webhook-id", "true"),
        header("content-type", "application/json"),
    ];
    let rendered = Rendered { headers, body: Bytes::new() };
    let outgoing = sender.outgoing(rendered, 1, Duration::from_secs(1)).unwrap();
    let forged = outgoing.headers.iter().filter(|(_, value)| value == "forged");
    assert_eq!(forged.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["content-type", "x-own"]);
    assert_eq!(outgoing.headers.len(), 4);
}

#[test]
fn each_answer_has_its_outcome() {
    let by = |profile, status, body: &'static str| {
        let head = Bytes::from_static(body.as_bytes());
        let answer = Answer {
            status,
            retry_after_ms: None,
            ratelimit: None,
            function_error: None,
            location: None,
            head,
            rest: Rest::None,
            ms: 1,
        };
        by_status(profile, &answer, None).0.class
    };
    let refused = r#"{"ok":false,"error":"channel_not_found"}"#;
    for (profile, status, body, class) in [
        (Profile::Slack, 200, "ok", Class::Delivered),
        (Profile::Slack, 200, r#"{"ok":true}"#, Class::Delivered),
        (Profile::Slack, 200, "", Class::Delivered),
        (Profile::Slack, 200, refused, Class::Status),
        (Profile::Slack, 404, "channel_not_found", Class::Status),
        (Profile::Standard, 200, refused, Class::Delivered),
        (Profile::Discord, 204, "", Class::Delivered),
    ] {
        assert_eq!(by(profile, status, body), class, "{profile:?} {status} {body}");
    }
}

#[test]
fn a_function_gets_the_headers_in_their_usual_spelling() {
    let header = |name: &'static str, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers =
        [header("x-pusher-signature", "ab\"c"), header("webhook-id", "1"), header("content-type", "x")];
    let event = lambda_event(&headers, &Bytes::from_static(b"{\"a\":\"\\n\"}"));
    let expected = r#"{"headers":{"X-Pusher-Signature":"ab\"c","webhook-id":"1","Content-Type":"x"},"body":"{\"a\":\"\\n\"}"}"#;
    assert_eq!(std::str::from_utf8(&event).unwrap(), expected);
}
