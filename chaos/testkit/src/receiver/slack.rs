//! An incoming webhook of Slack with its documented limits: those of a message, and about one message a
//! second.
//!
//! Wire source: Slack's developer documentation (incoming webhooks, rate limits, Block Kit reference).

use super::{Behaviour, Body, Reply, Request, now_ms};
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The time between two messages, in milliseconds.
const PACE_MS: u64 = 1000;
/// Slack accepts "short bursts": this number of messages ahead of the pace.
const BURST: u64 = 2;

/// One webhook of one Slack channel.
#[derive(Debug, Clone, Default)]
pub struct Slack(Arc<Mutex<Channel>>);

/// The state of the webhook. `gone` is the status that it answers after its end.
#[derive(Debug, Default)]
struct Channel {
    gone: Option<u16>,
    /// When the bucket will be full again, in Unix milliseconds.
    full_ms: u64,
    messages: Vec<Value>,
    faults: Vec<String>,
    refusals: usize,
}

impl Slack {
    /// The behaviour of its path.
    pub fn behaviour(&self) -> Behaviour {
        let own = self.clone();
        Box::new(move |request| own.channel().post(request, now_ms()))
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

    /// Answers with that status from now on: 404 for a removed webhook, 410 for an archived channel.
    pub fn end(&self, status: u16) {
        self.channel().gone = Some(status);
    }

    fn channel(&self) -> MutexGuard<'_, Channel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Channel {
    fn post(&mut self, request: &Request, now_ms: u64) -> Reply {
        let plain = |status, text: &str| Reply::new(status).body(Body::Whole(text.as_bytes().to_vec()));
        match self.gone {
            Some(410) => return plain(410, "channel_is_archived"),
            Some(status) => return plain(status, "no_service"),
            None => {}
        }
        let full_ms = self.full_ms.max(now_ms) + PACE_MS;
        if full_ms > now_ms + BURST * PACE_MS {
            self.refusals += 1;
            return plain(429, "rate_limited").header("retry-after", 1);
        }
        self.full_ms = full_ms;
        let message = request.json();
        let faults = faults(&message);
        if faults.is_empty() {
            self.messages.push(message);
            return plain(200, "ok");
        }
        self.faults.extend(faults);
        plain(400, "invalid_blocks")
    }
}

fn faults(message: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut unless = |good: bool, fault: &str| {
        if !good {
            faults.push(fault.to_owned());
        }
    };
    let none = Vec::new();
    let blocks = message["blocks"].as_array().unwrap_or(&none);
    let text = message["text"].as_str().unwrap_or_default();
    unless(!text.is_empty() || !blocks.is_empty(), "no_text");
    unless(length(text) <= 40_000, "a text of more than 40000 characters");
    unless(blocks.len() <= 50, "more than 50 blocks");
    for block in blocks {
        unless(fits(&block["text"], if block["type"] == "header" { 150 } else { 3000 }), "a block's text");
        for (list, most, longest) in [("fields", 10, 2000), ("elements", 10, 3000)] {
            let items = block[list].as_array().unwrap_or(&none);
            unless(items.len() <= most && items.iter().all(|item| fits(item, longest)), list);
        }
    }
    unless(!mentions(message), "a mention");
    faults
}

/// Whether a text object is absent, or has between 1 and `longest` characters.
fn fits(text: &Value, longest: usize) -> bool {
    text.is_null() || text["text"].as_str().is_some_and(|t| (1..=longest).contains(&length(t)))
}

fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Whether any text would notify people: a sender must escape `<` in plain text.
fn mentions(value: &Value) -> bool {
    match value {
        Value::String(text) => ["<!", "<@", "<#"].iter().any(|m| text.contains(m)),
        Value::Array(items) => items.iter().any(mentions),
        Value::Object(members) => members.values().any(mentions),
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_limits_of_a_message_are_checked() {
        let section = |text: &str| json!({"type": "section", "text": {"type": "mrkdwn", "text": text}});
        assert_eq!(faults(&json!({"text": "a &lt;!here&gt;", "blocks": [section("b")]})), [""; 0]);
        for bad in [
            json!({}),
            json!({"text": "x".repeat(40_001)}),
            json!({"text": "<!channel> hello"}),
            json!({"blocks": [section("hello <@U123>")]}),
            json!({"blocks": [section("")]}),
            json!({"blocks": [section(&"x".repeat(3001))]}),
            json!({"blocks": vec![section("b"); 51]}),
            json!({"blocks": [{"type": "section", "fields": vec![json!({"type": "mrkdwn", "text": "f"}); 11]}]}),
        ] {
            assert!(!faults(&bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn about_one_message_a_second_is_accepted() {
        let mut channel = Channel::default();
        let text = "POST / HTTP/1.1\r\ncontent-length: 12\r\n\r\n{\"text\":\"t\"}";
        let request = Request::read(&mut text.as_bytes(), || 0).unwrap().unwrap();
        let statuses = [5000, 5001, 5002, 5990, 6001, 7001].map(|at| channel.post(&request, at).status);
        assert_eq!(statuses, [200, 200, 429, 429, 200, 200]);
        channel.gone = Some(410);
        assert_eq!(channel.post(&request, 90_000).status, 410);
    }
}
