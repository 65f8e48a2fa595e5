//! Frames of a server, by RFC 6455, section 5.2: unfragmented and unmasked.

/// The first byte of a text message.
const TEXT: u8 = 0x81;
/// The first byte of a binary message.
const BINARY: u8 = 0x82;

/// A close frame. The reason is cut to fit a control frame: 123 bytes.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason.as_bytes()[..reason.len().min(123)];
    let mut frame = vec![0x88, 2 + reason.len() as u8];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason);
    frame
}

/// Appends a text frame. `write` appends its payload.
pub fn push_text_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    push_frame(TEXT, out, write);
}

/// Appends a binary frame. `write` appends its payload.
pub fn push_binary_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    push_frame(BINARY, out, write);
}

/// Appends a frame with that first byte. `write` appends its payload.
pub(super) fn push_frame(first: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    // Most frames need four bytes of head. The payload of the others is moved once.
    out.extend_from_slice(&[first, 126, 0, 0]);
    let body = out.len();
    write(out);
    let len = out.len() - body;
    match len {
        0..=125 => {
            out[head + 1] = len as u8;
            out.drain(head + 2..body);
        }
        126..=0xffff => out[head + 2..body].copy_from_slice(&(len as u16).to_be_bytes()),
        _ => {
            out[head + 1] = 127;
            out.splice(head + 2..body, (len as u64).to_be_bytes());
        }
    }
}

/// A message that one frame holds.
pub(super) struct Whole<'a> {
    /// The frame's first byte.
    pub(super) first: u8,
    pub(super) frame: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// The first frame of `bytes`, if it is a whole message, and the bytes behind it.
pub(super) fn first_message(bytes: &[u8]) -> Option<(Whole<'_>, &[u8])> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    if !matches!(first, TEXT | BINARY) {
        return None;
    }
    let (length, body) = match second {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let (frame, rest) = bytes.split_at_checked(length.checked_add(body)?)?;
    Some((Whole { first, frame, payload: &frame[body..] }, rest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_shortest_head() {
        for (len, head) in [
            (0, vec![0]),
            (125, vec![125]),
            (126, vec![126, 0, 126]),
            (0xffff, vec![126, 0xff, 0xff]),
            (0x10000, vec![127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let mut text = b"before".to_vec();
            let mut binary = b"before".to_vec();
            push_text_frame(&mut text, |out| out.resize(out.len() + len, b'x'));
            push_binary_frame(&mut binary, |out| out.resize(out.len() + len, b'x'));
            for (first, frame) in [(0x81, text), (0x82, binary)] {
                let expected = [&b"before"[..], &[first], &head, &vec![b'x'; len]].concat();
                assert_eq!(frame, expected, "{len}");
            }
        }
    }

    #[test]
    fn close_frames() {
        assert_eq!(close_frame(1012, "bye"), b"\x88\x05\x03\xf4bye");
        assert_eq!(close_frame(1012, &"x".repeat(200)).len(), 127);
    }

    #[test]
    fn messages_are_found_again() {
        let mut frames = Vec::new();
        for len in [0, 125, 126, 0xffff, 0x10000] {
            push_text_frame(&mut frames, |out| out.resize(out.len() + len, b'x'));
        }
        frames.extend_from_slice(&close_frame(1000, ""));
        let mut rest = &frames[..];
        let mut lengths = Vec::new();
        while let Some((whole, behind)) = first_message(rest) {
            assert_eq!((whole.first, whole.frame.len() + behind.len()), (0x81, rest.len()));
            lengths.push(whole.payload.len());
            rest = behind;
        }
        assert_eq!(lengths, [0, 125, 126, 0xffff, 0x10000]);
        assert_eq!(rest, close_frame(1000, ""), "a control frame is no message");
        assert!(first_message(&frames[..1]).is_none());
        assert!(first_message(&[0x81, 5, 1]).is_none(), "not whole");
    }
}
