//! Whatever text a client sends is a template or none; one makes the same body each time, and JSON where it should.
#![no_main]

use waypost::core::event::{Event, MapText, NewEvent};
use waypost::core::ids::{EventId, MapId};
use waypost::core::json::normalise;
use waypost::core::template::{Form, MAX_BODY, Template};

const PAYLOAD: &str = r#"{"value":2000000000,"name":"a","list":[1,"b",{"x":[true,null]}],"o":{"p":0.5}}"#;

libfuzzer_sys::fuzz_target!(|source: &str| {
    let map = MapText::from(MapId::from_bytes([7; 16]));
    let new = NewEvent::new(Default::default(), "a", PAYLOAD);
    let stored = Event::to_stored(EventId::new(1, 2, 3), &new);
    let events = [Event::from_stored(9, stored.into()).expect("what was stored is an event")];
    for form in [Form::Json, Form::Html, Form::Text] {
        let Ok(template) = Template::parse(source, form) else { continue };
        let made = template.render(&map, &events);
        assert_eq!(template.render(&map, &events), made, "{source}");
        let Ok(body) = made else { continue };
        assert!(body.len() <= MAX_BODY, "{source}");
        if form == Form::Json {
            let body = String::from_utf8(body).expect("JSON is text");
            assert_eq!(normalise(&body, 128).as_deref(), Ok(&*body), "{source}");
        }
    }
});
