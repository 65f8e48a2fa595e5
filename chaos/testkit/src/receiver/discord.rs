//! A webhook of Discord with its documented limits: those of a message, and its rate limit with the headers
//! that report it.
//!
//! Wire source: Discord's developer documentation (Execute Webhook, Embed Limits, Rate Limits).

use super::{Behaviour, Reply, Request, now_ms};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many requests one window allows.
const REQUESTS: usize = 5;
/// The length of the window, in milliseconds.
const WINDOW_MS: u64 = 2000;
/// The most characters of all embeds of a message together.
const EMBEDS_TOTAL: usize = 6000;

/// One webhook of one Discord channel.
#[derive(Debug, Clone, Default)]
pub struct Discord(Arc<Mutex<Channel>>);

/// The state of the webhook. `window` has the times of the latest requests, in Unix milliseconds.
#[derive(Debug, Default)]
struct Channel {
    deleted: bool,
    window: VecDeque<u64>,
    messages: Vec<Value>,
    faults: Vec<String>,
    refusals: usize,
}

impl Discord {
    /// The behaviour of its path.
    pub fn behaviour(&self) -> Behaviour {
        let own = self.clone();
        Box::new(move |request| own.channel().execute(request, now_ms()))
    }

    /// The messages that it accepted.
    pub fn messages(&self) -> Vec<Value> {
        self.channel().messages.clone()
    }

    /// What was wrong with the requests.
    pub fn faults(&self) -> Vec<String> {
        self.channel().faults.clone()
    }

    /// How often it answered 429.
    pub fn refusals(&self) -> usize {
        self.channel().refusals
    }

    /// Deletes the webhook: it answers 404 from now on.
    pub fn delete(&self) {
        self.channel().deleted = true;
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    fn execute(&mut self, request: &Request, now_ms: u64) -> Reply {
        if self.deleted {
            return Reply::new(404).json(&json!({"message": "Unknown Webhook", "code": 10015}));
        }
        while self.window.front().is_some_and(|at| at + WINDOW_MS <= now_ms) {
            self.window.pop_front();
        }
        let free_in_ms = self.window.front().map_or(WINDOW_MS, |at| at + WINDOW_MS - now_ms);
        if self.window.len() >= REQUESTS {
            self.refusals += 1;
            let seconds = free_in_ms as f64 / 1000.0;
            let body =
                json!({"message": "You are being rate limited.", "retry_after": seconds, "global": false});
            return self
                .rated(Reply::new(429), free_in_ms, now_ms)
                .header("retry-after", seconds)
                .json(&body);
        }
        self.window.push_back(now_ms);
        let message = request.json();
        let faults = faults(request, &message);
        let reply = match faults.is_empty() {
            true => Reply::new(200).json(&json!({"id": self.messages.len().to_string(), "type": 0})),
            false => Reply::new(400)
                .json(&json!({"code": 50035, "message": "Invalid Form Body", "errors": faults})),
        };
        if faults.is_empty() {
            self.messages.push(message);
        }
        self.faults.extend(faults);
        self.rated(reply, free_in_ms, now_ms)
    }

    fn rated(&self, reply: Reply, free_in_ms: u64, now_ms: u64) -> Reply {
        reply
            .header("x-ratelimit-limit", REQUESTS)
            .header("x-ratelimit-remaining", REQUESTS - self.window.len())
            .header("x-ratelimit-reset", (now_ms + free_in_ms) as f64 / 1000.0)
            .header("x-ratelimit-reset-after", free_in_ms as f64 / 1000.0)
            .header("x-ratelimit-bucket", "abcd1234")
    }
}

/// What Discord would refuse, and what it would accept but no sender should send.
fn faults(request: &Request, message: &Value) -> Vec<String> {
    let mut faults = Faults::default();
    faults.unless(request.query.split('&').any(|p| p == "wait=true"), "without wait=true");
    faults.unless(message.is_object(), "not an object");
    faults.unless(message["allowed_mentions"]["parse"] == json!([]), "mentions aren't switched off");
    faults.text(message, "content", 0, 2000);
    let none = Vec::new();
    let embeds = message["embeds"].as_array().unwrap_or(&none);
    faults.unless(embeds.len() <= 10, "more than 10 embeds");
    faults.unless(!embeds.is_empty() || message["content"].as_str().is_some_and(|c| !c.is_empty()), "empty");
    let total: usize = embeds.iter().map(|embed| faults.embed(embed)).sum();
    faults.unless(total <= EMBEDS_TOTAL, "more than 6000 characters in all embeds");
    faults.0
}

/// Collects what is wrong with a request.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, good: bool, fault: &str) {
        if !good {
            self.0.push(fault.to_owned());
        }
    }

    /// Checks a text member: its length is between these two, or it is absent where it may be empty. Returns
    /// its length.
    fn text(&mut self, of: &Value, member: &str, least: usize, most: usize) -> usize {
        let length = match &of[member] {
            Value::Null => 0,
            Value::String(text) if least > 0 => text.trim().encode_utf16().count(),
            Value::String(text) => text.encode_utf16().count(),
            other => {
                self.0.push(format!("{member} is {other}"));
                return 0;
            }
        };
        self.unless((least..=most).contains(&length), &format!("{member} of {length} characters"));
        length
    }

    /// Checks one embed. Returns how many of its characters count.
    fn embed(&mut self, embed: &Value) -> usize {
        let mut length = self.text(embed, "title", 0, 256) + self.text(embed, "description", 0, 4096);
        length += self.text(&embed["footer"], "text", 0, 2048) + self.text(&embed["author"], "name", 0, 256);
        let none = Vec::new();
        let fields = embed["fields"].as_array().unwrap_or(&none);
        self.unless(fields.len() <= 25, "more than 25 fields");
        for field in fields {
            length += self.text(field, "name", 1, 256) + self.text(field, "value", 1, 1024);
        }
        let web =
            |url: &Value| url.as_str().is_some_and(|u| u.starts_with("https://") || u.starts_with("http://"));
        self.unless(embed["url"].is_null() || web(&embed["url"]), "a url of another scheme");
        let color = embed["color"].as_u64().is_some_and(|c| c <= 0xff_ffff);
        self.unless(embed["color"].is_null() || color, "a color that is not valid");
        let time = embed["timestamp"].as_str().is_some_and(|t| t.len() >= 20 && t.as_bytes()[10] == b'T');
        self.unless(embed["timestamp"].is_null() || time, "a timestamp that is not valid");
        self.unless(length > 0, "an embed without text");
        length
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(body: &Value) -> Request {
        let body = body.to_string();
        let text = format!("POST /d?wait=true HTTP/1.1\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        Request::read(&mut text.as_bytes(), || 0).unwrap().unwrap()
    }

    fn with(embed: Value) -> Value {
        json!({"embeds": [embed], "allowed_mentions": {"parse": []}})
    }

    #[test]
    fn the_limits_of_a_message_are_checked() {
        let good = with(
            json!({"title": "t", "fields": [{"name": "n", "value": "v"}], "url": "https://x/", "color": 1,
            "timestamp": "2026-01-01T00:00:00.000Z"}),
        );
        assert_eq!(faults(&request(&good), &good), [""; 0]);
        let bad = [
            json!({"embeds": [{"title": "t"}]}),
            json!({"content": "", "allowed_mentions": {"parse": []}}),
            json!({"content": "x".repeat(2001), "allowed_mentions": {"parse": []}}),
            json!({"content": "@everyone", "allowed_mentions": {"parse": ["everyone"]}}),
            json!({"embeds": vec![json!({"title": "t"}); 11], "allowed_mentions": {"parse": []}}),
            json!({"embeds": vec![json!({"description": "x".repeat(3001)}); 2], "allowed_mentions": {"parse": []}}),
            with(json!({})),
            with(json!({"title": "x".repeat(257)})),
            with(json!({"description": "😀".repeat(2049)})),
            with(json!({"title": "t", "fields": [{"name": "n", "value": 5}]})),
            with(json!({"title": "t", "fields": [{"name": "n", "value": " "}]})),
            with(json!({"title": "t", "fields": [{"name": "n", "value": "x".repeat(1025)}]})),
            with(json!({"title": "t", "fields": vec![json!({"name": "n", "value": "v"}); 26]})),
            with(json!({"title": "t", "url": "javascript:alert(1)"})),
            with(json!({"title": "t", "timestamp": 5})),
        ];
        for message in bad {
            assert!(!faults(&request(&message), &message).is_empty(), "{message}");
        }
    }

    #[test]
    fn five_requests_in_two_seconds_are_accepted() {
        let mut channel = Channel::default();
        let message = request(&with(json!({"title": "t"})));
        let header =
            |reply: &Reply, name: &str| reply.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        for remaining in ["4", "3", "2", "1", "0"] {
            let reply = channel.execute(&message, 1000);
            assert_eq!(reply.status, 200);
            assert_eq!(header(&reply, "x-ratelimit-remaining").as_deref(), Some(remaining));
        }
        let refused = channel.execute(&message, 1500);
        assert_eq!((refused.status, channel.refusals), (429, 1));
        assert_eq!(header(&refused, "retry-after").as_deref(), Some("1.5"));
        assert_eq!(channel.execute(&message, 3000).status, 200);
        channel.deleted = true;
        assert_eq!(channel.execute(&message, 9000).status, 404);
    }
}
