//! The form of events as the subscribers of a Pusher channel get them.

use super::frame;
use crate::core::event::Event;
use crate::core::frame::{FormKey, WireForm};
use crate::core::ids::EventId;
use crate::delivery::push_text_frame;

/// Writes the events of one channel.
pub(super) struct PusherForm {
    key: FormKey,
    channel: Box<str>,
}

impl PusherForm {
    /// The form for a channel of that name.
    pub(super) fn new(channel: &str) -> Self {
        // A key has no line break, and the id of a user may have one.
        Self { key: format!("pusher/{channel:?}").into(), channel: channel.into() }
    }
}

impl WireForm for PusherForm {
    fn key(&self) -> &FormKey {
        &self.key
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        push_text_frame(out, |out| frame::write_event(&self.channel, event, out));
    }

    fn encode_position(&self, id: EventId, seq: u64, out: &mut Vec<u8>) {
        push_text_frame(out, |out| frame::write_position(&self.channel, id, seq, out));
    }
}
