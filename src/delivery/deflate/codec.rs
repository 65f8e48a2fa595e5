//! Compresses one message, and inflates one, by RFC 7692, sections 7.2.1 and 7.2.2. A thread has one
//! compressor and one decompressor, which forget everything between two messages.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use std::cell::RefCell;

/// What a compressed message ends with, and what is left out of the frame.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// How many bytes are made room for at first.
const STEP: usize = 4096;

thread_local! {
    static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::default(), false));
    static DECOMPRESS: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// The message compressed; `None` if that does not make it shorter.
pub(super) fn deflated(message: &[u8]) -> Option<Vec<u8>> {
    // There is room for no more than what is shorter than the message.
    let mut out = Vec::with_capacity(message.len());
    COMPRESS.with_borrow_mut(|compress| {
        // Without this it would refer to the message before.
        compress.reset();
        let status = compress.compress_vec(message, &mut out, FlushCompress::Sync);
        let had_room = matches!(status, Ok(Status::Ok)) && out.len() < out.capacity();
        (had_room && out.ends_with(&TAIL)).then_some(())
    })?;
    out.truncate(out.len() - TAIL.len());
    (out.len() < message.len()).then_some(out)
}

/// Why a message can't be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inflate {
    /// It is not what a compressor makes.
    #[error("the message is not compressed as its frame says")]
    Broken,
    /// It is longer than it may be.
    #[error("the message is too long")]
    TooLong,
}

/// A compressed message of a client, inflated. However little it says, no more than about `max_bytes` are
/// made of it.
///
/// # Errors
/// It is broken, or has more than `max_bytes`.
pub fn inflated(message: &[u8], max_bytes: usize) -> Result<Bytes, Inflate> {
    let mut out = Vec::new();
    DECOMPRESS.with_borrow_mut(|decompress| {
        decompress.reset(false);
        for piece in [message, &TAIL[..]] {
            inflate(decompress, piece, &mut out, max_bytes)?;
        }
        Ok::<(), Inflate>(())
    })?;
    Ok(out.into())
}

/// Inflates all of `input`.
fn inflate(
    decompress: &mut Decompress,
    mut input: &[u8],
    out: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(), Inflate> {
    loop {
        if out.len() == out.capacity() {
            // One byte more than it may have shows that it is too long.
            let most = max_bytes.saturating_add(1) - out.len();
            out.reserve_exact(out.len().max(STEP).min(most));
        }
        let before = (decompress.total_in(), out.len());
        let status = decompress.decompress_vec(input, out, FlushDecompress::Sync);
        let status = status.map_err(|_| Inflate::Broken)?;
        let taken = usize::try_from(decompress.total_in() - before.0).map_err(|_| Inflate::Broken)?;
        if out.len() > max_bytes {
            return Err(Inflate::TooLong);
        }
        input = input.get(taken..).ok_or(Inflate::Broken)?;
        let has_moved = taken > 0 || out.len() > before.1;
        if !has_moved {
            // All that could be made of the input was made.
            return if input.is_empty() { Ok(()) } else { Err(Inflate::Broken) };
        }
        if status == Status::StreamEnd {
            // The compressor has ended its stream within the message, which it may, and begins another.
            decompress.reset(false);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 1 << 16;

    /// Section 7.2.3 of the RFC has these messages, which all say `Hello`.
    #[test]
    fn the_examples_of_the_rfc_are_inflated() {
        for message in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            // In a block that is not compressed.
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            // In a block that ends the stream.
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
            // In two blocks.
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflated(message, MAX).unwrap(), "Hello", "{message:x?}");
        }
        assert_eq!(inflated(&[0], MAX).unwrap(), "", "an empty message");
    }

    #[test]
    fn what_is_broken_is_refused() {
        // A block of a kind that is none, and one whose length contradicts itself.
        for message in [&[0xff][..], &[0x00, 0x05, 0x00, 0x05, 0x00]] {
            assert_eq!(inflated(message, MAX), Err(Inflate::Broken), "{message:x?}");
        }
        // The thread goes on after it.
        assert_eq!(inflated(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], MAX).unwrap(), "Hello");
    }

    #[test]
    fn a_bomb_is_cut_off() {
        let bomb = deflated(&vec![b'x'; 64 * MAX]).unwrap();
        assert!(bomb.len() < MAX);
        assert_eq!(inflated(&bomb, MAX), Err(Inflate::TooLong));
        let just = deflated(&vec![b'x'; MAX]).unwrap();
        assert_eq!(inflated(&just, MAX).unwrap().len(), MAX);
        assert_eq!(inflated(&just, MAX - 1), Err(Inflate::TooLong));
        assert_eq!(inflated(&[0, 0, 0, 0xff, 0xff].repeat(1000), 0), Ok(Bytes::new()), "empty blocks");
    }

    #[test]
    fn what_does_not_get_shorter_goes_as_it_is() {
        let noise: Vec<u8> = (0..300_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        assert!(deflated(&noise).is_none_or(|short| short.len() < noise.len()));
        assert_eq!(deflated(b""), None);
        assert_eq!(deflated(b"ab"), None);
    }

    #[test]
    fn a_message_says_nothing_of_the_one_before() {
        let (one, other) = (json(700), json(5_000));
        let alone = deflated(&one).unwrap();
        for before in [&one[..], &other, b"", &[7; 40_000]] {
            deflated(before);
            assert_eq!(deflated(&one).unwrap(), alone, "behind {} bytes", before.len());
        }
        assert_eq!(inflated(&alone, one.len()).unwrap(), one);
    }

    fn json(length: usize) -> Vec<u8> {
        (0..length).flat_map(|n| format!("{{\"n\":{}}}", n * n % 977).into_bytes()).take(length).collect()
    }

    proptest! {
        #[test]
        fn what_is_deflated_is_inflated(words in prop::collection::vec("[a-f]{1,8}", 0..2000)) {
            let message = words.join(" ");
            if let Some(short) = deflated(message.as_bytes()) {
                prop_assert_eq!(inflated(&short, message.len()), Ok(Bytes::from(message)));
            }
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..512), max in 0_usize..4096) {
            if let Ok(message) = inflated(&bytes, max) {
                prop_assert!(message.len() <= max);
            }
        }
    }
}
