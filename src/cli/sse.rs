//! A parser of Server-Sent Events: it turns bytes into frames and does not interpret them.

/// Most bytes that are kept of a line or a frame that has not ended.
const MOST_PENDING: usize = 64 * 1024 * 1024;

/// One frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// The `event:` field.
    pub(super) event: String,
    /// The `id:` field.
    pub(super) id: Option<String>,
    /// The `data:` lines.
    pub(super) data: String,
}

/// The parser. It keeps the bytes of the frame that is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Parser {
    pending: Vec<u8>,
    frame: Frame,
}

impl Parser {
    /// Takes bytes and returns the frames that they complete; `None` if too many bytes are pending.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Option<Vec<Frame>> {
        self.pending.extend_from_slice(bytes);
        let mut frames = Vec::new();
        let mut start = 0;
        while let Some(length) = self.pending[start..].iter().position(|b| *b == b'\n') {
            let line = String::from_utf8_lossy(&self.pending[start..start + length]).into_owned();
            start += length + 1;
            let line = line.strip_suffix('\r').unwrap_or(&line);
            if line.is_empty() {
                let frame = std::mem::take(&mut self.frame);
                if !frame.data.is_empty() {
                    frames.push(frame);
                }
            } else {
                self.field(line);
            }
        }
        self.pending.drain(..start);
        (self.pending.len() + self.frame.data.len() <= MOST_PENDING).then_some(frames)
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.frame.event),
            "id" => self.frame.id = Some(value.to_owned()),
            "data" => {
                if !self.frame.data.is_empty() {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(value);
            }
            // Comments (which have an empty name) and fields that a later server may add.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_come_out_whole_however_the_bytes_are_cut() {
        let text =
            "event: connected\ndata: {}\n\n: keepalive\n\nevent: a\r\nid: 01\r\ndata: é\r\ndata: 2\r\n\r\n"
                .as_bytes();
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let frames: Vec<Frame> = text.chunks(size).flat_map(|part| parser.feed(part).unwrap()).collect();
            assert_eq!(frames.len(), 2, "cut in {size}");
            assert_eq!(frames[0], Frame { event: "connected".into(), id: None, data: "{}".into() });
            assert_eq!(frames[1], Frame { event: "a".into(), id: Some("01".into()), data: "é\n2".into() });
        }
    }
}
