//! However the bytes of a socket are cut, the frames are the same, and so is the verdict on what follows.
#![no_main]

use waypost::delivery::ws::frames::{Frame, Frames, Offence};

/// The frames of `bytes` that arrive in pieces of these lengths, again and again, up to the first offence.
fn cut((max_bytes, deflate): (usize, bool), bytes: &[u8], lens: &[u8]) -> (Vec<Frame>, Option<Offence>) {
    let (mut frames, mut found) = (Frames::new(max_bytes, deflate), Vec::new());
    let mut rest = bytes;
    for len in lens.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at(usize::from(*len).clamp(1, rest.len()));
        frames.feed(piece);
        loop {
            match frames.take() {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(offence) => return (found, Some(offence)),
            }
        }
        rest = tail;
    }
    (found, None)
}

// Two bytes of limit, whose last bit lets messages be compressed, three lengths of pieces, then what the
// socket brings.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [high, low, rest @ ..] = input else { return };
    let Some((lens, bytes)) = rest.split_first_chunk::<3>() else { return };
    let may = (usize::from(u16::from_be_bytes([*high, *low])), low & 1 == 1);
    let whole = cut(may, bytes, &[255]);
    assert_eq!(cut(may, bytes, &[1]), whole, "byte by byte");
    assert_eq!(cut(may, bytes, lens), whole, "cut by {lens:?}");
    if let Some((code, _)) = whole.1 {
        assert!(matches!(code, 1002 | 1009), "{code}");
    }
});
