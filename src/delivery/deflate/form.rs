//! A wire form whose messages are compressed.

use super::{COMPRESSED, Window, codec::deflated};
use crate::core::event::Event;
use crate::core::frame::{FormKey, WireForm};
use crate::core::ids::EventId;
use crate::delivery::framing::{first_message, push_frame};
use std::sync::Arc;

/// Shorter messages go as they are: compressing them saves next to nothing.
const LEAST_BYTES: usize = 200;
/// The bytes of a frame beside an event's payload, about.
const AROUND: usize = 256;

/// Another form, compressed.
pub(super) struct DeflatedForm {
    key: FormKey,
    form: Arc<dyn WireForm>,
    window: Window,
}

impl DeflatedForm {
    pub(super) fn new(form: Arc<dyn WireForm>, window: Window) -> Self {
        // No other form's key begins so.
        Self { key: format!("deflate{}/{}", window.0, form.key()).into(), form, window }
    }
}

impl WireForm for DeflatedForm {
    fn key(&self) -> &FormKey {
        &self.key
    }

    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        let mut plain = Vec::with_capacity(event.payload.len() + AROUND);
        self.form.encode(event, &mut plain);
        compress(&plain, self.window, out);
    }

    /// Positions are short.
    fn encode_position(&self, id: EventId, seq: u64, out: &mut Vec<u8>) {
        self.form.encode_position(id, seq, out);
    }
}

/// Appends these frames, each compressed if that makes it shorter.
fn compress(mut plain: &[u8], window: Window, out: &mut Vec<u8>) {
    while let Some((whole, rest)) = first_message(plain) {
        let is_worth_it = (LEAST_BYTES..=window.max_bytes()).contains(&whole.payload.len());
        match is_worth_it.then(|| deflated(whole.payload)).flatten() {
            Some(short) => push_frame(whole.first | COMPRESSED, out, |out| out.extend_from_slice(&short)),
            None => out.extend_from_slice(whole.frame),
        }
        plain = rest;
    }
    out.extend_from_slice(plain);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::codec::inflated;
    use super::*;
    use crate::delivery::framing::push_text_frame;

    const WINDOW: Window = Window(9);

    fn text(length: usize) -> Vec<u8> {
        (0..length).map(|index| b"{\"a\": 12}"[index % 9]).collect()
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        push_text_frame(&mut frame, |out| out.extend_from_slice(payload));
        frame
    }

    fn compressed(plain: &[u8]) -> Vec<u8> {
        let mut out = b"before".to_vec();
        compress(plain, WINDOW, &mut out);
        out.split_off(6)
    }

    #[test]
    fn messages_between_the_bounds_are_compressed() {
        for length in [LEAST_BYTES, WINDOW.max_bytes()] {
            let short = compressed(&frame(&text(length)));
            assert_eq!(short[0], 0xc1, "the last frame of a compressed text");
            assert_eq!(usize::from(short[1]), short.len() - 2);
            assert_eq!(inflated(&short[2..], length).unwrap(), text(length));
        }
        for length in [0, LEAST_BYTES - 1, WINDOW.max_bytes() + 1, 70_000] {
            assert_eq!(compressed(&frame(&text(length))), frame(&text(length)), "{length}");
        }
    }

    #[test]
    fn every_frame_is_compressed_by_itself() {
        let one = frame(&text(300));
        let tiny = frame(b"{}");
        let all = compressed(&[&one[..], &tiny, &one, b"\x8a\x00"].concat());
        let short = compressed(&one);
        assert!(short.len() < one.len());
        assert_eq!(all, [&short[..], &tiny, &short, b"\x8a\x00"].concat());
    }

    #[test]
    fn each_window_is_a_form_of_its_own() {
        struct Plain(FormKey);
        impl WireForm for Plain {
            fn key(&self) -> &FormKey {
                &self.0
            }
            fn encode(&self, _: &Event, out: &mut Vec<u8>) {
                out.extend(frame(&text(300)));
            }
            fn encode_position(&self, _: EventId, _: u64, out: &mut Vec<u8>) {
                out.extend(frame(&text(300)));
            }
        }
        let plain: Arc<dyn WireForm> = Arc::new(Plain("plain".into()));
        let form = |bits| DeflatedForm::new(plain.clone(), Window(bits));
        assert_eq!((&**form(9).key(), &**form(15).key()), ("deflate9/plain", "deflate15/plain"));
        let mut position = Vec::new();
        form(15).encode_position(EventId::new(1, 1, 0), 1, &mut position);
        assert_eq!(position, frame(&text(300)), "as it is");
    }
}
