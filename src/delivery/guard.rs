//! Checks the heads of a client's WebSocket frames before any payload is gathered.
//!
//! The frame decoder waits for a whole frame before it checks the size. A head that announces 2^62 bytes
//! would let a client fill the memory. Here the announced length alone ends the session. Payloads pass
//! unchanged.

use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// What a client did wrong, as a close code and a reason.
pub type Offence = (u16, &'static str);

/// Longest head: two bytes, eight of length, four of mask.
const MAX_HEAD: usize = 14;

/// Follows the frames in a stream of bytes.
#[derive(Debug)]
pub struct Heads {
    max_bytes: u64,
    head: [u8; MAX_HEAD],
    head_len: usize,
    /// Bytes of the current frame's payload that are still to come.
    payload_left: u64,
}

impl Heads {
    /// Allows frames of at most `max_bytes`.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes: max_bytes as u64, head: [0; MAX_HEAD], head_len: 0, payload_left: 0 }
    }

    /// Follows the frames in `bytes`. `Err` at the first head that breaks the rules.
    pub fn follow(&mut self, mut bytes: &[u8]) -> Result<(), Offence> {
        while !bytes.is_empty() {
            if self.payload_left > 0 {
                let skip = self.payload_left.min(bytes.len() as u64);
                self.payload_left -= skip;
                bytes = &bytes[skip as usize..];
                continue;
            }
            self.head[self.head_len] = bytes[0];
            self.head_len += 1;
            bytes = &bytes[1..];
            self.check()?;
        }
        Ok(())
    }

    /// Checks the part of the head that has arrived. After a complete head the payload begins.
    fn check(&mut self) -> Result<(), Offence> {
        if self.head[0] & 0x70 != 0 {
            return Err((1002, "reserved bits without an extension"));
        }
        if self.head_len < 2 {
            return Ok(());
        }
        let (len_bytes, short) = match self.head[1] & 0x7f {
            126 => (2, 0),
            127 => (8, 0),
            len => (0, u64::from(len)),
        };
        if self.head_len < 2 + len_bytes {
            return Ok(());
        }
        let long = self.head[2..2 + len_bytes].iter().fold(0, |len: u64, byte| len << 8 | u64::from(*byte));
        let len = if len_bytes == 0 { short } else { long };
        if len > self.max_bytes {
            return Err((1009, "message too large"));
        }
        let mask_bytes = if self.head[1] & 0x80 == 0 { 0 } else { 4 };
        if self.head_len == 2 + len_bytes + mask_bytes {
            self.payload_left = len;
            self.head_len = 0;
        }
        Ok(())
    }
}

/// A payload stream whose frames are followed. It ends at the first offence, and stores the offence in the
/// cell.
pub(super) struct Guarded<S> {
    payload: S,
    heads: Heads,
    offence: Rc<Cell<Option<Offence>>>,
}

impl<S> Guarded<S> {
    pub(super) fn new(payload: S, max_bytes: usize, offence: Rc<Cell<Option<Offence>>>) -> Self {
        Self { payload, heads: Heads::new(max_bytes), offence }
    }
}

impl<S: Stream<Item = Result<Bytes, PayloadError>> + Unpin> Stream for Guarded<S> {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let piece = match Pin::new(&mut this.payload).poll_next(cx) {
            Poll::Ready(Some(Ok(piece))) => piece,
            other => return other,
        };
        if let Err(offence) = this.heads.follow(&piece) {
            this.offence.set(Some(offence));
            return Poll::Ready(Some(Err(PayloadError::Overflow)));
        }
        Poll::Ready(Some(Ok(piece)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(len: usize) -> Vec<u8> {
        let mut frame = vec![0x81];
        match len {
            0..=125 => frame.push(0x80 | len as u8),
            126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(len as u16).to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[1, 2, 3, 4]);
        // A payload that looks like bad heads must not be taken for heads.
        frame.resize(frame.len() + len, 0xff);
        frame
    }

    #[test]
    fn an_announced_length_alone_is_an_offence() {
        assert_eq!(Heads::new(100).follow(&[0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0]).unwrap_err().0, 1009);
        assert_eq!(Heads::new(100).follow(&[0x81, 0x80 | 101]).unwrap_err().0, 1009);
        assert_eq!(Heads::new(100).follow(&[0xf1]).unwrap_err().0, 1002);
    }

    proptest! {
        #[test]
        fn good_frames_pass_however_they_are_cut(lens in prop::collection::vec(0usize..70_000, 1..6), cut in 1usize..4096) {
            let bytes: Vec<u8> = lens.iter().flat_map(|len| frame(*len)).collect();
            let mut heads = Heads::new(70_000);
            for piece in bytes.chunks(cut) {
                prop_assert!(heads.follow(piece).is_ok());
            }
            prop_assert_eq!((heads.payload_left, heads.head_len), (0, 0));
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..256), max in 0usize..1000) {
            let _ = Heads::new(max).follow(&bytes);
        }
    }
}
