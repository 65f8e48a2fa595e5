//! The form of events as frames of live sessions.

use super::frame;
use crate::core::event::Event;
use crate::core::frame::{FormKey, WireForm};
use crate::core::ids::EventId;
use crate::delivery::push_text_frame;

/// Writes the events of a session, or those for all clients.
pub(super) struct LiveForm {
    key: FormKey,
    /// The session's id in JSON, as the client names it.
    session: Option<Box<str>>,
}

impl LiveForm {
    /// The form of the events for all clients.
    pub(super) fn of_all() -> Self {
        Self { key: "live".into(), session: None }
    }

    /// The form of the events of a session, whose id is given in JSON.
    pub(super) fn of_session(id: &str) -> Self {
        Self { key: format!("live/{id}").into(), session: Some(id.into()) }
    }
}

impl WireForm for LiveForm {
    fn key(&self) -> &FormKey {
        &self.key
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        push_text_frame(out, |out| frame::write_event(self.session.as_deref(), event, out));
    }

    fn encode_position(&self, id: EventId, _: u64, out: &mut Vec<u8>) {
        push_text_frame(out, |out| frame::write_position(self.session.as_deref(), id, out));
    }
}
