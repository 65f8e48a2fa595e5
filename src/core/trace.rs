//! The trace context of an event, as W3C Trace Context defines it: which trace it belongs to, and which span
//! of that trace it comes from. Pure: who makes ids is above.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The length of a `traceparent` of version 00.
const TEXT_LEN: usize = 55;
/// The flags that are known: sampled, and that the trace's id is random. All others are left out.
const KNOWN_FLAGS: u8 = SAMPLED | RANDOM;
const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;

/// The id of a trace. Never all zeros.
pub type TraceId = [u8; 16];
/// The id of a span. Never all zeros.
pub type SpanId = [u8; 8];

/// A trace, and one of its spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    flags: u8,
}

impl TraceContext {
    /// The bytes that it has where events are stored.
    pub const LEN: usize = 25;

    /// A trace that begins here with that span, and is recorded. The ids must be random and not all zeros.
    pub fn begin(trace: TraceId, span: SpanId) -> Self {
        Self { trace, span, flags: SAMPLED | RANDOM }
    }

    /// Reads the value of a `traceparent`. `None` if it is not valid: whoever gets such a value goes on as if
    /// there were none. A later version is read as far as version 00 goes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        let (head, rest) = (text.get(..TEXT_LEN)?, &text[TEXT_LEN..]);
        let [version] = hex::<1>(&head[..2])?;
        let is_whole = rest.is_empty() || version > 0 && rest[0] == b'-';
        let has_dashes = [head[2], head[35], head[52]] == [b'-'; 3];
        if version == 0xff || !is_whole || !has_dashes {
            return None;
        }
        let [flags] = hex::<1>(&head[53..])?;
        Self::of_parts(hex(&head[3..35])?, hex(&head[36..52])?, flags)
    }

    fn of_parts(trace: TraceId, span: SpanId, flags: u8) -> Option<Self> {
        let is_valid = trace != [0; 16] && span != [0; 8];
        is_valid.then_some(Self { trace, span, flags: flags & KNOWN_FLAGS })
    }

    /// The trace.
    pub fn trace(&self) -> TraceId {
        self.trace
    }

    /// The span.
    pub fn span(&self) -> SpanId {
        self.span
    }

    /// Whether whoever began the trace records it.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The same trace at another of its spans. The id must not be all zeros.
    pub fn at(self, span: SpanId) -> Self {
        Self { span, ..self }
    }

    /// The form in which events are stored.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..16].copy_from_slice(&self.trace);
        bytes[16..24].copy_from_slice(&self.span);
        bytes[24] = self.flags;
        bytes
    }

    /// Reads what [`TraceContext::to_bytes`] wrote; `None` if it did not write these bytes.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk::<16>()?;
        let (span, flags) = rest.split_first_chunk::<8>()?;
        Self::of_parts(*trace, *span, *flags.first()?).filter(|context| context.to_bytes() == bytes)
    }
}

/// The value of a `traceparent`, of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        self.trace.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("-")?;
        self.span.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", self.flags)
    }
}

/// Reads lower-case hexadecimal digits, two for each byte.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_valid_value_is_read_and_written_as_it_was() {
        let context = TraceContext::parse(TEXT).unwrap();
        assert_eq!(context.to_string(), TEXT);
        assert!(context.is_sampled());
        assert_eq!(TraceContext::from_bytes(context.to_bytes()), Some(context));
        assert_eq!(context.at([1; 8]).to_string(), "00-0af7651916cd43dd8448eb211c80319c-0101010101010101-01");
        let unsampled = TEXT.replace("-01", "-00");
        assert!(!TraceContext::parse(&unsampled).unwrap().is_sampled());
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        for text in [TEXT.replacen("00", "01", 1), format!("cc{}-more", &TEXT[2..])] {
            assert_eq!(TraceContext::parse(&text).unwrap().to_string(), TEXT, "{text}");
        }
        let flags = TEXT.replace("-01", "-ff");
        assert_eq!(TraceContext::parse(&flags).unwrap().to_string(), TEXT.replace("-01", "-03"));
    }

    #[test]
    fn an_invalid_value_is_none() {
        let long = "0".repeat(100_000);
        for text in [
            "",
            "00",
            &TEXT[..54],
            &format!("{TEXT}-"),
            &format!("{TEXT}0"),
            &format!(" {TEXT}"),
            &format!("cc{}.more", &TEXT[2..]),
            &TEXT.replacen("00", "ff", 1),
            &TEXT.to_uppercase(),
            &TEXT.replace('-', "_"),
            &TEXT.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &TEXT.replace("b7ad6b7169203331", &"0".repeat(16)),
            &TEXT.replace("0af", "0ag"),
            &TEXT.replace("0af7", "é7"),
            &long,
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
        for bytes in [[0; TraceContext::LEN], [0xff; TraceContext::LEN]] {
            assert_eq!(TraceContext::from_bytes(bytes), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,80}") {
            let _ = TraceContext::parse(&text);
        }
    }
}
