//! A stand-in for Discord that accepts and records every message.

use anyhow::{Context, Result};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use testkit::wait;

/// The stand-in; it runs until the process ends.
pub(super) struct Discord {
    base: String,
    messages: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Discord {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let base = format!("http://{}", listener.local_addr()?);
        let messages = Arc::new(Mutex::new(Vec::new()));
        let sink = messages.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                sink.lock().unwrap().extend(take(stream));
            }
        });
        Ok(Self { base, messages })
    }

    /// Returns a channel's address.
    pub(super) fn url(&self, channel: &str) -> String {
        format!("{}/api/webhooks/{channel}/token", self.base)
    }

    /// Waits for a message in that channel for which `like` holds.
    pub(super) fn message(&self, channel: &str, like: impl Fn(&Value) -> bool) -> Result<Value> {
        let path = format!("/api/webhooks/{channel}/token");
        let found = wait::until(&format!("a message in {channel}"), || {
            let messages = self.messages.lock().unwrap();
            let mut there = messages.iter().filter(|(target, _)| target.split('?').next() == Some(&path));
            Ok(there.find(|(_, message)| like(message)).map(|(_, message)| message.clone()))
        });
        found.with_context(|| format!("there are {:?}", self.messages.lock().unwrap()))
    }
}

/// Reads a request and answers it; returns its target and its body.
fn take(stream: TcpStream) -> Option<(String, Value)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut length = 0;
    let mut target = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if target.is_empty() {
            target = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    // The sender may have disconnected.
    let _ = reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    Some((target, serde_json::from_slice(&body).unwrap_or_default()))
}
