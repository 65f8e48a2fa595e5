//! What an answer's head says about waiting. Pure: the caller passes the time.

use std::time::{Duration, UNIX_EPOCH};

use http::header::{self, HeaderMap};

/// The longest wait that is accepted, in milliseconds: thirty days.
const LONGEST_WAIT_MS: u64 = 30 * 24 * 3600 * 1000;

/// A receiver's rate limit, in the form that Discord sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The requests that are left in this window.
    pub remaining: u64,
    /// The milliseconds until the next window.
    pub reset_after_ms: u64,
}

/// `Retry-After` in milliseconds from now. The header has seconds (with a fraction, as in Discord's) or a
/// date. A date in the past gives 0. A date is by the receiver's clock, so it is measured from the `Date` of
/// its answer, or from `now_ms` if there is none.
pub fn retry_after_ms(headers: &HeaderMap, now_ms: u64) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    seconds_ms(text).or_else(|| {
        let since_epoch = |text: &str| httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok();
        let answered = headers.get(header::DATE).and_then(|date| since_epoch(date.to_str().ok()?.trim()));
        let wait = since_epoch(text)?.saturating_sub(answered.unwrap_or(Duration::from_millis(now_ms)));
        Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(LONGEST_WAIT_MS))
    })
}

/// `X-RateLimit-Remaining` and `X-RateLimit-Reset-After`, if the answer has both.
pub fn rate_limit(headers: &HeaderMap) -> Option<RateLimit> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let remaining = text("x-ratelimit-remaining")?.parse().ok()?;
    Some(RateLimit { remaining, reset_after_ms: seconds_ms(text("x-ratelimit-reset-after")?)? })
}

/// How long a connection may be idle by `Keep-Alive: timeout=`. It is a second less than the receiver says;
/// otherwise the receiver could close the connection while the next request is under way.
pub(super) fn idle_limit(headers: &HeaderMap) -> Option<Duration> {
    let told = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = told.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse::<u32>().ok()?.saturating_sub(1).into()))
}

/// Seconds, with or without a fraction, in milliseconds. They are rounded up, so that a wait is never too
/// short.
fn seconds_ms(text: &str) -> Option<u64> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    // The cast turns a float that is too large into the largest integer.
    seconds.is_finite().then(|| ((seconds * 1000.0).ceil() as u64).min(LONGEST_WAIT_MS))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    const NOON: u64 = 1_750_509_296_789; // Sat, 21 Jun 2025 12:34:56.789 GMT

    fn retry(text: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        retry_after_ms(&headers, NOON)
    }

    #[test]
    fn a_date_is_measured_by_the_receiver_s_clock() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("Sat, 21 Jun 2025 12:35:56 GMT"));
        headers.insert(header::DATE, HeaderValue::from_static("Sat, 21 Jun 2025 12:34:56 GMT"));
        assert_eq!(retry_after_ms(&headers, NOON + 8 * 86_400_000), Some(60_000));
        assert_eq!(retry_after_ms(&headers, NOON - 8 * 86_400_000), Some(60_000));
    }

    #[test]
    fn both_forms_of_retry_after() {
        assert_eq!(retry("120"), Some(120_000));
        assert_eq!(retry(" 0 "), Some(0));
        assert_eq!(retry("0.2501"), Some(251));
        assert_eq!(retry("64.57"), Some(64_570));
        assert_eq!(retry("Sat, 21 Jun 2025 12:35:06 GMT"), Some(9_211));
        assert_eq!(retry("Saturday, 21-Jun-25 12:35:06 GMT"), Some(9_211));
        assert_eq!(retry("Sat Jun 21 12:35:06 2025"), Some(9_211));
        assert_eq!(retry("Sat, 21 Jun 2025 12:34:06 GMT"), Some(0), "gone by");
    }

    #[test]
    fn an_impossible_value_is_no_wait_and_every_wait_has_a_bound() {
        for text in
            ["", "-1", "soon", "NaN", "inf", "infinity", "+5", "1 2", "0x10", "Sat, 31 Feb 2025 12:35:06 GMT"]
        {
            assert_eq!(retry(text), None, "{text}");
        }
        for text in ["99999999999999999999", "1e300", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(retry(text), Some(LONGEST_WAIT_MS), "{text}");
        }
    }

    #[test]
    fn rate_limit_headers_count_only_together() {
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
        assert_eq!(rate_limit(&headers), None);
        headers.insert("x-ratelimit-reset-after", HeaderValue::from_static("1.5"));
        assert_eq!(rate_limit(&headers), Some(RateLimit { remaining: 0, reset_after_ms: 1500 }));
    }
}
