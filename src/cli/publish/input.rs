//! Reads standard input as chunks of lines, in a thread of its own.
//!
//! A chunk has the lines that are already read: a file is sent in full batches, and a line that is typed into
//! a pipe is sent at once.

use std::{
    io::{self, BufRead, Read},
    thread,
};

use anyhow::Context;
use bytes::Bytes;
use tokio::sync::mpsc;

/// Largest body of one request, in bytes: half of the node's default limit. A single line may be longer.
const MOST_BYTES: usize = 1024 * 1024;
/// Longest line, in bytes: the largest event that can be configured, and the JSON around it.
const LONGEST_LINE: u64 = 17 * 1024 * 1024;
/// Lines that are read ahead, at most.
const AHEAD: usize = 2000;

/// Lines for one request.
pub(super) struct Chunk {
    /// The lines, each with its newline.
    pub(super) bytes: Bytes,
    /// The numbers of the lines in the input, from 1. Empty lines are left out.
    pub(super) lines: Vec<u64>,
}

struct Line {
    number: u64,
    text: Vec<u8>,
}

/// The receiver of the lines.
pub(super) struct Input {
    lines: mpsc::Receiver<io::Result<Line>>,
    /// A line that did not fit into the last chunk.
    held: Option<Line>,
    /// An error that occurred while a chunk was filled. It is returned after that chunk.
    failed: Option<io::Error>,
    batch: usize,
}

impl Input {
    /// Starts the thread that reads.
    pub(super) fn start(batch: usize) -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(AHEAD);
        thread::Builder::new().name("stdin".into()).spawn(move || read(io::stdin().lock(), &sender))?;
        Ok(Self { lines, held: None, failed: None, batch })
    }

    /// The next chunk; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<io::Result<Chunk>> {
        if let Some(error) = self.failed.take() {
            return Some(Err(error));
        }
        let first = match self.held.take() {
            Some(line) => line,
            None => match self.lines.recv().await? {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            },
        };
        Some(Ok(self.fill(first)))
    }

    fn fill(&mut self, first: Line) -> Chunk {
        let mut bytes = first.text;
        let mut numbers = vec![first.number];
        while numbers.len() < self.batch {
            match self.lines.try_recv() {
                Ok(Ok(line)) if bytes.len() + line.text.len() > MOST_BYTES => {
                    self.held = Some(line);
                    break;
                }
                Ok(Ok(line)) => {
                    bytes.extend_from_slice(&line.text);
                    numbers.push(line.number);
                }
                Ok(Err(error)) => {
                    self.failed = Some(error);
                    break;
                }
                Err(_) => break,
            }
        }
        Chunk { bytes: bytes.into(), lines: numbers }
    }
}

/// All of standard input, as one payload.
pub(super) fn whole() -> anyhow::Result<String> {
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(LONGEST_LINE)
        .read_to_string(&mut text)
        .context("standard input can't be read")?;
    anyhow::ensure!(
        (text.len() as u64) < LONGEST_LINE,
        "the payload on standard input is longer than 17 MiB"
    );
    Ok(text)
}

/// Reads lines until the input ends, an error occurs, or the receiver is dropped.
fn read(mut input: impl BufRead, sender: &mpsc::Sender<io::Result<Line>>) {
    for number in 1.. {
        let mut text = Vec::new();
        let result = match input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text) {
            Ok(0) => return,
            Ok(_) if text.len() as u64 == LONGEST_LINE => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("line {number} is longer than 17 MiB"),
            )),
            Ok(_) if text.iter().all(u8::is_ascii_whitespace) => continue,
            Ok(_) => {
                if text.last() != Some(&b'\n') {
                    text.push(b'\n');
                }
                Ok(Line { number, text })
            }
            Err(error) => Err(error),
        };
        let failed = result.is_err();
        if sender.blocking_send(result).is_err() || failed {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn chunks_are_bounded_and_know_their_lines() {
        let (sender, lines) = mpsc::channel(100);
        let big = vec![b'x'; MOST_BYTES];
        let text = [b"a\n\nb\nc\n".as_slice(), &big, b"\nlast"].concat();
        thread::spawn(move || read(io::Cursor::new(text), &sender)).join().unwrap();
        let mut input = Input { lines, held: None, failed: None, batch: 2 };
        let mut chunks = Vec::new();
        while let Some(chunk) = input.next().await {
            let chunk = chunk.unwrap();
            chunks.push((chunk.lines, chunk.bytes.len()));
        }
        let whole = MOST_BYTES + 1;
        assert_eq!(chunks, [(vec![1, 3], 4), (vec![4], 2), (vec![5], whole), (vec![6], 5)]);
    }
}
