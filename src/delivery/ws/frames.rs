//! Takes the frames of a client out of a stream of bytes, by RFC 6455, section 5. Pure: no I/O, no clock.
//!
//! A head is checked as soon as its bytes are there, before any payload is gathered: the announced length
//! alone ends a session whose client would fill the memory. The frames before a bad head are handed out
//! first.

use crate::core::limits::LimitName;
use crate::delivery::deflate::COMPRESSED;
use bytes::{Buf, Bytes, BytesMut};
use std::borrow::Cow;

/// What a client did wrong, as a close code and a reason.
pub type Offence = (u16, Cow<'static, str>);

/// The longest payload of a control frame (bytes).
const MAX_CONTROL: u64 = 125;

/// The limit of a message, and of each of its frames.
const FRAME_BYTES: LimitName = LimitName::Setting("limits.frame_bytes");

/// The offence of a message with more than `max_bytes`.
pub(super) fn too_large(max_bytes: usize) -> Offence {
    (1009, format!("a message has at most {max_bytes} bytes; {FRAME_BYTES}").into())
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation,
    /// A text message, or its first fragment.
    Text,
    /// A binary message, or its first fragment.
    Binary,
    /// The client closes.
    Close,
    /// The client asks for a pong.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    fn of(head: u8) -> Option<Self> {
        Some(match head & 0x0f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// One frame of a client, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Whether it ends its message.
    pub is_last: bool,
    /// Its kind.
    pub opcode: Opcode,
    /// Whether it begins a compressed message.
    pub is_compressed: bool,
    /// Its payload.
    pub payload: Bytes,
}

/// The whole head of a frame.
struct Head {
    is_last: bool,
    opcode: Opcode,
    is_compressed: bool,
    mask: [u8; 4],
    /// Bytes of the head and of the payload.
    lengths: (usize, usize),
}

/// The bytes of a client that are not handed out as frames yet.
#[derive(Debug)]
pub struct Frames {
    max_bytes: usize,
    /// Whether messages may be compressed.
    deflate: bool,
    bytes: BytesMut,
}

impl Frames {
    /// Allows frames of at most `max_bytes`, and with `deflate` compressed messages.
    pub fn new(max_bytes: usize, deflate: bool) -> Self {
        Self { max_bytes, deflate, bytes: BytesMut::new() }
    }

    /// The bytes that were not handed out.
    pub fn unread(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes that have arrived. Take all whole frames out first, or add few bytes: then little more than
    /// one frame is kept.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame; `None` until it is whole.
    ///
    /// # Errors
    /// The first head that breaks the rules. The frames before it were handed out.
    pub fn take(&mut self) -> Result<Option<Frame>, Offence> {
        let Some(Head { is_last, opcode, is_compressed, mask, lengths: (head, payload) }) = self.head()?
        else {
            return Ok(None);
        };
        if self.bytes.len() < head + payload {
            self.bytes.reserve(head + payload - self.bytes.len());
            return Ok(None);
        }
        self.bytes.advance(head);
        let mut payload = self.bytes.split_to(payload);
        if self.bytes.is_empty() {
            // A client that is silent keeps no buffer.
            self.bytes = BytesMut::new();
        }
        unmask(&mut payload, mask);
        Ok(Some(Frame { is_last, opcode, is_compressed, payload: payload.freeze() }))
    }

    /// The head at the front; `None` until it is whole. It is checked as far as it has arrived.
    fn head(&self) -> Result<Option<Head>, Offence> {
        let Some(first) = self.bytes.first() else { return Ok(None) };
        let is_compressed = self.deflate && first & 0x70 == COMPRESSED;
        if first & 0x70 != 0 && !is_compressed {
            return Err((1002, "reserved bits without an extension".into()));
        }
        let is_last = first & 0x80 != 0;
        let opcode = Opcode::of(*first).ok_or((1002, "a reserved opcode".into()))?;
        if is_compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err((1002, "compression where no message begins".into()));
        }
        if opcode.is_control() && !is_last {
            return Err((1002, "a control frame in fragments".into()));
        }
        let Some(second) = self.bytes.get(1) else { return Ok(None) };
        if second & 0x80 == 0 {
            return Err((1002, "a frame without a mask".into()));
        }
        let (length_bytes, short) = match second & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, u64::from(short)),
        };
        let Some(long) = self.bytes.get(2..2 + length_bytes) else { return Ok(None) };
        let length = long.iter().fold(short, |length, byte| length << 8 | u64::from(*byte));
        if opcode.is_control() && length > MAX_CONTROL {
            return Err((1002, "a control frame of more than 125 bytes".into()));
        }
        let Some(payload) = usize::try_from(length).ok().filter(|length| *length <= self.max_bytes) else {
            return Err(too_large(self.max_bytes));
        };
        let head = 2 + length_bytes + 4;
        let mask = self.bytes.get(head - 4..head).and_then(|mask| mask.try_into().ok());
        Ok(mask.map(|mask| Head { is_last, opcode, is_compressed, mask, lengths: (head, payload) }))
    }
}

/// Removes a frame's mask, which is XORed onto the payload four bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let (words, rest) = payload.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(mask)).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use testkit::ws::client_frame as frame;

    fn all(frames: &mut Frames, found: &mut Vec<Frame>) -> Result<(), Offence> {
        while let Some(frame) = frames.take()? {
            found.push(frame);
        }
        Ok(())
    }

    /// The frames in `bytes` that arrive in pieces of `cut` bytes, up to the first offence.
    fn cut(bytes: &[u8], cut: usize, max_bytes: usize) -> (Vec<Frame>, Result<(), Offence>) {
        let mut frames = Frames::new(max_bytes, false);
        let mut found = Vec::new();
        for piece in bytes.chunks(cut) {
            frames.feed(piece);
            if let Err(offence) = all(&mut frames, &mut found) {
                return (found, Err(offence));
            }
        }
        (found, Ok(()))
    }

    #[test]
    fn a_head_alone_is_an_offence() {
        for (head, code) in [
            (&[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0][..], 1009),
            (&[0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1009),
            (&[0x81, 0x80 | 101], 1009),
            (&[0xf1], 1002),
            (&[0x83], 1002),
            (&[0x8b], 1002),
            (&[0x09], 1002),
            (&[0x89, 0x80 | 126, 0, 126], 1002),
            (&[0x81, 5], 1002),
        ] {
            assert_eq!(cut(head, 1, 100).1.unwrap_err().0, code, "{head:?}");
        }
    }

    #[test]
    fn only_the_first_frame_of_a_message_may_be_compressed() {
        let first = |byte: u8, deflate| {
            let mut frames = Frames::new(100, deflate);
            frames.feed(&frame(byte, b"x"));
            frames.take().map(|frame| frame.map(|frame| frame.is_compressed)).map_err(|offence| offence.0)
        };
        assert_eq!((first(0xc1, true), first(0x42, true)), (Ok(Some(true)), Ok(Some(true))));
        assert_eq!((first(0x81, true), first(0x00, true)), (Ok(Some(false)), Ok(Some(false))));
        for byte in [0xc0, 0x40, 0xc8, 0xc9, 0xca, 0xe1, 0xd1, 0xa1, 0x91] {
            assert_eq!(first(byte, true), Err(1002), "{byte:x}");
        }
        assert_eq!(first(0xc1, false), Err(1002));
    }

    #[test]
    fn the_frames_before_an_offence_are_handed_out() {
        let bytes = [frame(0x81, b"one"), frame(0x82, b"two"), vec![0xf1, 0x81], frame(0x81, b"x")].concat();
        for size in 1..bytes.len() {
            let (found, offence) = cut(&bytes, size, 100);
            let payloads: Vec<_> = found.iter().map(|frame| &frame.payload[..]).collect();
            assert_eq!(payloads, [b"one", b"two"], "in pieces of {size}");
            assert_eq!(offence.unwrap_err().0, 1002);
        }
    }

    proptest! {
        #[test]
        fn frames_come_out_whole_however_they_are_cut(
            payloads in prop::collection::vec((0usize..70_000, any::<u8>()), 1..6), size in 1usize..4096,
        ) {
            let payloads: Vec<Vec<u8>> = payloads
                .into_iter()
                .map(|(len, seed)| (0..len).map(|index| (index as u8).wrapping_mul(7) ^ seed).collect())
                .collect();
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(0x82, payload)).collect();
            let (found, offence) = cut(&bytes, size, 70_000);
            prop_assert_eq!(offence, Ok(()));
            prop_assert!(found.iter().map(|frame| &frame.payload[..]).eq(payloads.iter().map(|p| &p[..])));
        }

        #[test]
        fn any_bytes_are_safe_and_cuts_change_nothing(
            bytes in prop::collection::vec(any::<u8>(), 0..256), max in 0usize..1000, size in 1usize..64,
        ) {
            prop_assert_eq!(cut(&bytes, size, max), cut(&bytes, 256, max));
        }
    }
}
