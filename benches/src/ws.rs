//! The part of RFC 6455 and Phoenix V2 that a benchmark needs: the upgrade, masked client frames, and a
//! reader that finds whole frames in the pieces that the socket delivers. It validates less than a real
//! client, because it must be cheap.

use anyhow::{Result, bail};

/// The nonce of RFC 6455's own example; the raw limit answers with its known accept value.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The accept value for [`KEY`].
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
/// A text that is compressed.
pub(crate) const COMPRESSED: u8 = 0x40 | TEXT;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The longest frame of a benchmark; a greater length means that the stream was misread.
const MAX_FRAME: usize = 1 << 20;

/// The upgrade request, as phoenix.js sends it. With `deflate` it offers to inflate messages, as browsers do.
pub(crate) fn upgrade(host: &str, token: &str, deflate: bool) -> Vec<u8> {
    let offer = if deflate { "Sec-WebSocket-Extensions: permessage-deflate\r\n" } else { "" };
    upgrade_with(host, &format!("/socket/events/websocket?vsn=2.0.0&token={token}"), offer)
}

/// The upgrade request for a path.
pub(crate) fn upgrade_at(host: &str, path: &str) -> Vec<u8> {
    upgrade_with(host, path, "")
}

fn upgrade_with(host: &str, path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{headers}\r\n"
    )
    .into_bytes()
}

/// The join of a map's topic, for a subject or for the map's own events, masked and framed.
pub(crate) fn join(map: &str, subject: Option<&str>) -> Vec<u8> {
    let subjects = subject.map(|subject| format!(r#","subjects":"{subject}""#)).unwrap_or_default();
    let text = format!(r#"["1","1","events:map:{map}","phx_join",{{"events":"*"{subjects}}}]"#);
    client_frame(TEXT, text.as_bytes())
}

/// The heartbeat that keeps an idle socket open, masked and framed.
pub(crate) fn heartbeat() -> Vec<u8> {
    client_frame(TEXT, br#"[null,"2","phoenix","heartbeat",{}]"#)
}

/// Builds a client's frame. The mask is zero, which the protocol allows and which costs nothing.
pub(crate) fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + 8);
    head(&mut out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
    out
}

/// Appends a server's frame to `out`.
pub(crate) fn server_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    head(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

fn head(out: &mut Vec<u8>, opcode: u8, len: usize, mask: u8) {
    out.push(0x80 | opcode);
    if let Ok(small @ 0..=125) = u8::try_from(len) {
        out.push(mask | small);
    } else if let Ok(medium) = u16::try_from(len) {
        out.push(mask | 126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(mask | 127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// Splits a byte stream into frames. Only a frame that arrived in pieces is ever copied.
#[derive(Default)]
pub(crate) struct Reader {
    partial: Vec<u8>,
}

impl Reader {
    /// Calls `each(opcode, payload)` for every frame that `chunk` completes. The opcode of a compressed
    /// message has a bit more.
    ///
    /// # Errors
    /// A frame is longer than the longest of a benchmark.
    pub(crate) fn feed(&mut self, mut chunk: &[u8], mut each: impl FnMut(u8, &[u8])) -> Result<()> {
        while !self.partial.is_empty() {
            let extent = Extent::of(&self.partial)?;
            let missing = extent.end - self.partial.len();
            if missing == 0 {
                extent.emit(&mut self.partial, &mut each);
                self.partial.clear();
                break;
            }
            if chunk.is_empty() {
                return Ok(());
            }
            let (now, rest) = chunk.split_at(missing.min(chunk.len()));
            self.partial.extend_from_slice(now);
            chunk = rest;
        }
        loop {
            let extent = Extent::of(chunk)?;
            if !extent.complete || extent.end > chunk.len() {
                self.partial.extend_from_slice(chunk);
                return Ok(());
            }
            let (frame, rest) = chunk.split_at(extent.end);
            if extent.masked {
                extent.emit(&mut frame.to_vec(), &mut each);
            } else {
                each(opcode(frame[0]), &frame[extent.start..]);
            }
            chunk = rest;
        }
    }
}

fn opcode(first: u8) -> u8 {
    first & 0x4f
}

/// Where a frame's payload starts and ends; until the head is complete, how many bytes it needs.
struct Extent {
    start: usize,
    end: usize,
    masked: bool,
    complete: bool,
}

impl Extent {
    fn of(bytes: &[u8]) -> Result<Self> {
        let Some(&second) = bytes.get(1) else {
            return Ok(Self::head_needs(2));
        };
        let masked = second & 0x80 != 0;
        let wide = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let start = 2 + wide + if masked { 4 } else { 0 };
        let Some(extra) = bytes.get(2..2 + wide).filter(|_| bytes.len() >= start) else {
            return Ok(Self::head_needs(start));
        };
        let len = match wide {
            0 => usize::from(second & 0x7f),
            _ => extra.iter().fold(0, |n, &b| (n << 8) | usize::from(b)),
        };
        if len > MAX_FRAME {
            bail!("a frame of {len} bytes: the stream is not what a benchmark expects");
        }
        Ok(Self { start, end: start + len, masked, complete: true })
    }

    fn head_needs(end: usize) -> Self {
        Self { start: 0, end, masked: false, complete: false }
    }

    fn emit(&self, frame: &mut [u8], each: &mut impl FnMut(u8, &[u8])) {
        if !self.complete {
            return;
        }
        let (head, payload) = frame.split_at_mut(self.start);
        if self.masked {
            let mask = &head[self.start - 4..];
            payload.iter_mut().enumerate().for_each(|(i, b)| *b ^= mask[i % 4]);
        }
        each(opcode(head[0]), payload);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_every_way_of_being_cut() {
        let bodies = ["".to_owned(), "a".repeat(125), "b".repeat(300), "c".repeat(70_000)];
        let mut stream = Vec::new();
        for body in &bodies {
            server_frame(&mut stream, TEXT, body.as_bytes());
            stream.extend(client_frame(PING, body.as_bytes()));
        }
        for step in [1, 2, 3, 7, 130, 4096, stream.len()] {
            let mut reader = Reader::default();
            let mut seen = Vec::new();
            for chunk in stream.chunks(step) {
                reader.feed(chunk, |op, body| seen.push((op, body.len()))).unwrap();
            }
            let want: Vec<_> = bodies.iter().flat_map(|b| [(TEXT, b.len()), (PING, b.len())]).collect();
            assert_eq!(seen, want, "in steps of {step}");
        }
    }

    #[test]
    fn an_absurd_length_is_refused() {
        let bytes = [0x81, 127, 255, 0, 0, 0, 0, 0, 0, 0];
        assert!(Reader::default().feed(&bytes, |_, _| ()).is_err());
    }
}
