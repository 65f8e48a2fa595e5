//! Compression of messages of WebSockets: permessage-deflate, RFC 7692.
//!
//! No message refers to the one before it, in neither direction. So an event is compressed once for all
//! clients that see the same view of a topic and have the same window, a client that is behind reads the same
//! bytes, and a session keeps nothing for it.
//!
//! A window bounds how far back a message may refer. What is compressed is no longer than the window, and a
//! longer message goes as it is; so one compressor does for all windows.

mod codec;
mod form;
mod offer;

pub use codec::{Inflate, inflated};
pub(super) use offer::offered;

use crate::core::frame::WireForm;
use form::DeflatedForm;
use std::sync::Arc;

/// The bit in a frame's first byte that says that its message is compressed.
pub(super) const COMPRESSED: u8 = 0x40;

/// A window that client and server have agreed on: its size as a power of two, from 8 to 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window(u8);

impl Window {
    /// The largest one, which holds where a client names none.
    const LARGEST: Self = Self(15);

    /// Most bytes of a message.
    fn max_bytes(self) -> usize {
        1 << self.0
    }
}

/// What a client agreed to in its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Agreed {
    window: Window,
    /// Whether the client named the window, and so is told of it.
    is_named: bool,
}

impl Agreed {
    /// The server's half of the agreement, as the value of `Sec-WebSocket-Extensions`.
    pub(super) fn answer(self) -> String {
        let mut answer =
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover".to_owned();
        if self.is_named {
            answer += &format!("; server_max_window_bits={}", self.window.0);
        }
        answer
    }
}

/// How the events of a session are compressed, if at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression(Option<Window>);

impl Compression {
    /// The compression of a session whose client agreed to that.
    pub(super) fn of(agreed: Option<Agreed>) -> Self {
        Self(agreed.map(|agreed| agreed.window))
    }

    /// The form with its messages compressed.
    pub fn form(self, form: Arc<dyn WireForm>) -> Arc<dyn WireForm> {
        match self.0 {
            Some(window) => Arc::new(DeflatedForm::new(form, window)),
            None => form,
        }
    }
}
