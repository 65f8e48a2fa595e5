//! Puts a client's frames together into messages, by RFC 6455, sections 5.4 to 5.6, 7.1 and 8.1. Pure: no
//! I/O, no clock.
//!
//! Text that is not UTF-8 is refused with the fragment in which it shows.

use super::frames::{Frame, Frames, Offence, Opcode, too_large};
use crate::delivery::deflate::{Inflate, inflated};
use crate::delivery::protocol::Incoming;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use std::borrow::Cow;

/// How many bytes each compressed byte of a message counts for. A compressor says much with few bytes. Who
/// says little with many has the server build the tables of a block for nearly each of them.
const INFLATING: usize = 8;
const NOT_UTF8: Offence = (1007, Cow::Borrowed("text that is not UTF-8"));

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A whole message.
    Message(Incoming),
    /// A fragment of a message that goes on.
    Fragment,
    /// A ping with its payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// The client closes, with a code unless its frame was empty.
    Close(Option<u16>),
}

impl Received {
    /// The bytes of a message.
    fn len(&self) -> usize {
        match self {
            Self::Message(Incoming::Text(text)) => text.len(),
            Self::Message(Incoming::Binary(bytes)) => bytes.len(),
            Self::Fragment | Self::Ping(_) | Self::Pong | Self::Close(_) => 0,
        }
    }
}

/// The messages of one client. It keeps at most one unfinished message and one unfinished frame.
pub(super) struct Messages {
    frames: Frames,
    max_bytes: usize,
    unfinished: Option<Unfinished>,
}

/// The fragments of a message that is not complete yet.
struct Unfinished {
    is_text: bool,
    /// Then nothing of it is checked before it is whole.
    is_compressed: bool,
    bytes: BytesMut,
    /// How many of the bytes were checked: they are UTF-8.
    checked: usize,
}

impl Messages {
    /// Allows messages of at most `max_bytes`; the fragments of one count together, and what is inflated
    /// counts as it is then.
    pub(super) fn new(max_bytes: usize, deflate: bool) -> Self {
        Self { frames: Frames::new(max_bytes, deflate), max_bytes, unfinished: None }
    }

    /// Adds bytes that have arrived.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.frames.feed(bytes);
    }

    /// The bytes that have arrived and were not handed out.
    pub(super) fn unread(&self) -> usize {
        self.frames.unread()
    }

    /// What the next frame brings, and the bytes that it counts for: those of its payload, inflated, or the
    /// work of inflating them if that is more. `None` until it is whole.
    ///
    /// # Errors
    /// The first frame that breaks the rules, after everything before it was handed out.
    pub(super) fn take(&mut self) -> Result<Option<(Received, usize)>, Offence> {
        let Some(frame) = self.frames.take()? else { return Ok(None) };
        let length = frame.payload.len();
        let work = self.compressed_until(&frame) * INFLATING;
        let received = self.received(frame)?;
        let bytes = received.len().max(length).max(work);
        Ok(Some((received, bytes)))
    }

    /// The bytes of the compressed message that ends with this frame; 0 if none does.
    fn compressed_until(&self, frame: &Frame) -> usize {
        let before = match &self.unfinished {
            Some(unfinished) if frame.opcode == Opcode::Continuation && unfinished.is_compressed => {
                unfinished.bytes.len()
            }
            _ if frame.is_compressed => 0,
            _ => return 0,
        };
        if frame.is_last { before + frame.payload.len() } else { 0 }
    }

    fn received(&mut self, frame: Frame) -> Result<Received, Offence> {
        let Frame { is_last, opcode, is_compressed, payload } = frame;
        match opcode {
            Opcode::Ping => Ok(Received::Ping(payload)),
            Opcode::Pong => Ok(Received::Pong),
            Opcode::Close => close_code(&payload).map(Received::Close),
            Opcode::Continuation => {
                let unfinished = self.unfinished.take().ok_or((1002, "a continuation of nothing".into()))?;
                self.continued(unfinished, &payload, is_last)
            }
            Opcode::Text | Opcode::Binary if self.unfinished.is_some() => {
                Err((1002, "a message began within another".into()))
            }
            Opcode::Text | Opcode::Binary if !is_last => {
                let is_text = opcode == Opcode::Text;
                let began = Unfinished { is_text, is_compressed, bytes: BytesMut::new(), checked: 0 };
                self.continued(began, &payload, false)
            }
            Opcode::Text | Opcode::Binary => self.whole(opcode == Opcode::Text, is_compressed, payload),
        }
    }

    fn whole(&self, is_text: bool, is_compressed: bool, payload: Bytes) -> Result<Received, Offence> {
        let bytes = match is_compressed {
            true => inflated(&payload, self.max_bytes).map_err(|why| match why {
                Inflate::TooLong => too_large(self.max_bytes),
                Inflate::Broken => (1007, why.to_string().into()),
            })?,
            false => payload,
        };
        if is_text { text(bytes) } else { Ok(Received::Message(Incoming::Binary(bytes))) }
    }

    fn continued(
        &mut self,
        mut unfinished: Unfinished,
        more: &[u8],
        is_last: bool,
    ) -> Result<Received, Offence> {
        if unfinished.bytes.len() + more.len() > self.max_bytes {
            return Err(too_large(self.max_bytes));
        }
        unfinished.bytes.extend_from_slice(more);
        if unfinished.is_text && !unfinished.is_compressed {
            unfinished.check()?;
        }
        if !is_last {
            self.unfinished = Some(unfinished);
            return Ok(Received::Fragment);
        }
        let Unfinished { is_text, is_compressed, bytes, .. } = unfinished;
        self.whole(is_text, is_compressed, bytes.freeze())
    }
}

impl Unfinished {
    /// Checks the bytes that were added. The first bytes of a character may stand at their end.
    fn check(&mut self) -> Result<(), Offence> {
        match std::str::from_utf8(&self.bytes[self.checked..]) {
            Ok(_) => self.checked = self.bytes.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(NOT_UTF8),
        }
        Ok(())
    }
}

fn text(bytes: Bytes) -> Result<Received, Offence> {
    let text = ByteString::try_from(bytes).map_err(|_| NOT_UTF8)?;
    Ok(Received::Message(Incoming::Text(text)))
}

/// The code in a close frame. It must be one that a client may send, and the reason must be text.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Offence> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(None) } else { Err((1002, "a close code of one byte".into())) };
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err((1002, "a close code that means nothing".into()));
    }
    std::str::from_utf8(reason).map_err(|_| NOT_UTF8)?;
    Ok(Some(code))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use testkit::ws::client_frame as frame;

    /// The bytes that each of the frames counts for.
    fn counted(frames: &[(u8, &[u8])]) -> Vec<usize> {
        let mut messages = Messages::new(1000, true);
        frames.iter().for_each(|(first, payload)| messages.feed(&frame(*first, payload)));
        std::iter::from_fn(|| messages.take().unwrap()).map(|(_, bytes)| bytes).collect()
    }

    #[test]
    fn inflating_counts_when_the_message_ends() {
        let hello: &[u8] = &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(counted(&[(0x81, b"Hello"), (0xc1, hello)]), [5, 7 * INFLATING]);
        let parts = [(0x41, &hello[..3]), (0x89, &b"hi"[..]), (0x80, &hello[3..])];
        assert_eq!(counted(&parts), [3, 2, 7 * INFLATING]);
        assert_eq!(counted(&[(0x01, b"ab"), (0x80, b"c")]), [2, 3]);
    }
}
