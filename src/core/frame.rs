//! Wire forms: how a protocol writes an event of one topic, as the bytes of a whole transport frame.
//!
//! The hub encodes each event once for every form in use and knows no protocol; the edges implement the trait.

use super::event::Event;
use std::sync::Arc;

/// Names a wire form. Two forms of a topic with the same key write the same bytes.
pub type FormKey = Arc<str>;

/// A way to write events.
pub trait WireForm: Send + Sync + 'static {
    /// The form's name.
    fn key(&self) -> &FormKey;

    /// Appends the whole frame of `event`, headers of the transport included.
    fn encode(&self, event: &Event, out: &mut Vec<u8>);
}
