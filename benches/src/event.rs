//! The events that benchmarks publish: their Phoenix frame has a chosen size, and their payload carries the
//! time of publishing, for latency. The module uses no socket.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use hdrhistogram::Histogram;

/// The type of every published event.
pub(crate) const KIND: &str = "bench";

/// A broadcast's envelope around its payload, as both servers send it. Ids have their real length, so that a
/// frame of the limit and one of Waypost differ by a digit of `seq` at most.
pub(crate) fn frame_text(map: &str, seq: u64, payload: &str) -> String {
    format!(
        r#"[null,null,"events:map:{map}","{KIND}",{{"id":"01JZZZZZZZZZZZZZZZZZZZZZZZ","seq":{seq},"type":"{KIND}","map_id":"{map}","ts":"2026-01-01T00:00:00.000Z","payload":{payload}}}]"#
    )
}

/// Makes events whose frame is `frame` bytes long (never shorter than its envelope).
#[derive(Clone)]
pub(crate) struct Maker {
    pad: String,
}

impl Maker {
    /// `map` is the name that subscribers joined; `frame` includes the WebSocket head.
    pub(crate) fn new(map: &str, frame: usize) -> Self {
        let bare = Self { pad: String::new() };
        let least = 4 + frame_text(map, 10_000, &bare.payload(now_micros())).len();
        Self { pad: "x".repeat(frame.saturating_sub(least)) }
    }

    /// As [`Maker::new`], with words instead of one letter again and again.
    pub(crate) fn of_words(map: &str, frame: usize) -> Self {
        let Self { pad } = Self::new(map, frame);
        Self { pad: words(pad.len()) }
    }

    /// Makes events whose payload is `bytes` long (never shorter than the time in it).
    pub(crate) fn of_payload(bytes: usize) -> Self {
        let least = Self { pad: String::new() }.payload(now_micros()).len();
        Self { pad: "x".repeat(bytes.saturating_sub(least)) }
    }

    fn payload(&self, micros: u64) -> String {
        format!(r#"{{"t":{micros},"p":"{}"}}"#, self.pad)
    }

    /// A payload with the present time.
    pub(crate) fn payload_now(&self) -> String {
        self.payload(now_micros())
    }

    /// A payload with the present time, as a JSON string that contains JSON.
    pub(crate) fn text(&self) -> String {
        format!(r#""{}""#, self.payload(now_micros()).replace('"', r#"\""#))
    }

    /// One event as a request body, with the present time.
    pub(crate) fn one(&self) -> String {
        format!(r#"{{"type":"{KIND}","payload":{}}}"#, self.payload(now_micros()))
    }

    /// One event of a subject.
    pub(crate) fn one_of(&self, subject: &str) -> String {
        format!(r#"{{"type":"{KIND}","subject":"{subject}","payload":{}}}"#, self.payload(now_micros()))
    }

    /// A batch of `count` events as a request body.
    pub(crate) fn batch(&self, count: usize) -> String {
        let one = self.one();
        format!(r#"{{"events":[{}]}}"#, vec![one.as_str(); count].join(","))
    }
}

/// So many bytes of words as back ends send them: names, states and numbers, in an order that does not
/// repeat.
fn words(length: usize) -> String {
    const WORDS: [&str; 16] = [
        "order",
        "status",
        "shipped",
        "amount",
        "customer",
        "created",
        "pending",
        "Berlin",
        "currency",
        "EUR",
        "quantity",
        "discount",
        "updated",
        "warehouse",
        "reference",
        "priority",
    ];
    let mut text = String::with_capacity(length + 32);
    let mut number = 7_u32;
    while text.len() < length {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = WORDS[(number >> 28) as usize];
        text += &format!("{word} {} ", number >> 16 & 0xfff);
    }
    text.truncate(length);
    text
}

/// The publisher's time inside a broadcast frame, if it has one.
pub(crate) fn stamp(frame: &[u8]) -> Option<u64> {
    number_after(frame, br#"{"t":"#)
}

/// As [`stamp`], for a payload inside a JSON string.
pub(crate) fn stamp_in_text(frame: &[u8]) -> Option<u64> {
    number_after(frame, br#"{\"t\":"#)
}

fn number_after(frame: &[u8], mark: &[u8]) -> Option<u64> {
    let at = frame.windows(mark.len()).rposition(|w| w == mark)? + mark.len();
    let digits = frame[at..].iter().take_while(|b| b.is_ascii_digit());
    Some(digits.take(18).fold(0, |n, b| n * 10 + u64::from(b - b'0')))
}

/// An empty histogram of microseconds; a longer time than a minute counts as a minute.
///
/// # Errors
/// Never with these bounds.
pub(crate) fn latencies() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// Microseconds since 1970: 16 digits, below 2^53.
pub(crate) fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_wanted_size_and_carry_the_time() {
        let map = "0f8fad5b-d9cb-469f-a165-70867728950e";
        let maker = Maker::new(map, 300);
        let text = frame_text(map, 12_345, &maker.payload(1_700_000_000_123_456));
        assert_eq!(text.len() + 4, 300);
        assert_eq!(stamp(text.as_bytes()), Some(1_700_000_000_123_456));
        assert_eq!(Maker::of_payload(300).payload(1_700_000_000_123_456).len(), 300);
        let of_words = Maker::of_words(map, 300).payload(1_700_000_000_123_456);
        assert_eq!(frame_text(map, 12_345, &of_words).len() + 4, 300);
    }

    #[test]
    fn a_payload_in_a_text_carries_the_time() {
        let text = Maker::of_payload(150).text();
        assert_eq!(text.len(), 150 + 2 + 6, "two quotes around it, and six escaped ones");
        assert!(stamp_in_text(text.as_bytes()).is_some_and(|micros| micros <= now_micros()));
        assert_eq!(stamp(text.as_bytes()), None);
    }
}
