//! However the bytes of a socket are cut, the verdict on its frames is the same.
#![no_main]

use waypost::delivery::guard::{Heads, Offence};

/// `bytes` in pieces of these lengths, again and again.
fn cut(max_bytes: usize, bytes: &[u8], lens: &[u8]) -> Result<(), Offence> {
    let mut heads = Heads::new(max_bytes);
    let mut rest = bytes;
    for len in lens.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at(usize::from(*len).clamp(1, rest.len()));
        heads.follow(piece)?;
        rest = tail;
    }
    Ok(())
}

// Two bytes of limit, three lengths of pieces, then what the socket brings.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let [high, low, rest @ ..] = input else { return };
    let Some((lens, bytes)) = rest.split_first_chunk::<3>() else { return };
    let max_bytes = usize::from(u16::from_be_bytes([*high, *low]));
    let whole = Heads::new(max_bytes).follow(bytes);
    assert_eq!(cut(max_bytes, bytes, &[1]), whole, "byte by byte");
    assert_eq!(cut(max_bytes, bytes, lens), whole, "cut by {lens:?}");
    if let Err((code, _)) = whole {
        assert!(matches!(code, 1002 | 1009), "{code}");
    }
});
