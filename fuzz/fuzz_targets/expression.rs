//! Whatever text a client sends is an expression or none, and one means the same each time it is evaluated.
#![no_main]

use waypost::core::event::{Event, MapText, NewEvent};
use waypost::core::expression::{Expression, Subject};
use waypost::core::ids::{EventId, MapId};
use waypost::core::json::normalise;

/// What is looked at when the input brings no payload of its own.
const PAYLOAD: &str = r#"{"value":2000000000,"name":"a","list":[1,"b",{"x":[true,null]}],"o":{"p":0.5}}"#;

// An expression, then a zero and a payload.
libfuzzer_sys::fuzz_target!(|input: &str| {
    let (text, payload) = input.split_once('\0').unwrap_or((input, PAYLOAD));
    let Ok(expression) = Expression::key(text) else {
        assert!(Expression::condition(text).is_err());
        return;
    };
    let payload = normalise(payload, 64).unwrap_or_else(|_| PAYLOAD.to_owned()).into_bytes();
    let new = NewEvent::new(Default::default(), "a", payload);
    let stored = Event::to_stored(EventId::new(1, 2, 3), &new);
    let event = Event::from_stored(9, stored.into()).expect("what was stored is an event");
    let map = MapText::from(MapId::from_bytes([7; 16]));
    let subject = Subject::new(&event, &map);
    let value = expression.value(&subject);
    assert_eq!(expression.value(&Subject::new(&event, &map)), value, "{text}");
    assert_eq!(expression.matches(&subject), value.as_deref() == Some("true"), "{text}");
});
