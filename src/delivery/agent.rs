//! What clients call themselves (`User-Agent`). Many say the same, so a worker thread keeps each text once.

use actix_web::http::header::{HeaderMap, USER_AGENT};
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;

/// The most of a text that is kept (bytes).
const MOST_BYTES: usize = 120;
/// Texts that sessions share. Beyond them, a session has a copy of its own.
const MOST_SHARED: usize = 256;

/// What the client of a request calls itself, cut to its beginning. `None` if it does not say.
pub fn agent_of(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?.trim();
    let text = &text[..text.floor_char_boundary(MOST_BYTES)];
    (!text.is_empty()).then_some(text)
}

/// The texts that the sessions of one thread share.
#[derive(Default)]
pub(super) struct Agents(RefCell<HashSet<Rc<str>>>);

impl Agents {
    /// The text as it is kept for a session.
    pub(super) fn shared(&self, text: &str) -> Rc<str> {
        let mut known = self.0.borrow_mut();
        if let Some(known) = known.get(text) {
            return known.clone();
        }
        if known.len() >= MOST_SHARED {
            // What no session has any more makes room.
            known.retain(|text| Rc::strong_count(text) > 1);
        }
        let text: Rc<str> = text.into();
        if known.len() < MOST_SHARED {
            known.insert(text.clone());
        }
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn agent(text: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_bytes(text).unwrap());
        agent_of(&headers).map(str::to_owned)
    }

    #[test]
    fn a_name_is_short_and_can_be_read() {
        assert_eq!(agent(b" curl/8.5.0 ").as_deref(), Some("curl/8.5.0"));
        assert_eq!(agent(&[b'x'; 5000]).map(|text| text.len()), Some(MOST_BYTES));
        assert_eq!(agent(b"  "), None);
        assert_eq!(agent(b"\xff\xfe"), None, "it is no text");
        assert_eq!(agent_of(&HeaderMap::new()), None);
    }

    #[test]
    fn sessions_share_a_name_and_their_number_is_bounded() {
        let agents = Agents::default();
        let (one, two) = (agents.shared("a"), agents.shared("a"));
        assert!(Rc::ptr_eq(&one, &two));
        let many: Vec<Rc<str>> = (0..2 * MOST_SHARED).map(|n| agents.shared(&n.to_string())).collect();
        assert_eq!(agents.0.borrow().len(), MOST_SHARED);
        assert_eq!(&*many[MOST_SHARED + 7], (MOST_SHARED + 7).to_string(), "it has a copy of its own");
        drop(many);
        agents.shared("b");
        assert_eq!(agents.0.borrow().len(), 2, "those that are gone have made room");
    }
}
