//! The newest lines of the audit log in memory, for nodes whose lines go to no file that can be read again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Lines that are remembered, at most.
const MOST_LINES: usize = 4096;
/// Bytes of these lines, at most.
const MOST_BYTES: usize = 2 << 20;

/// The newest lines, the oldest first.
#[derive(Default)]
pub(super) struct Recent(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
}

impl Recent {
    /// Remembers a line. The oldest ones make room.
    pub(super) fn add(&self, line: String) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.bytes += line.len();
        held.lines.push_back(line);
        while held.lines.len() > MOST_LINES || held.bytes > MOST_BYTES {
            let Some(oldest) = held.lines.pop_front() else { return };
            held.bytes -= oldest.len();
        }
    }

    /// All of them as one text, each on a line of its own.
    pub(super) fn text(&self) -> String {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::with_capacity(held.bytes + held.lines.len());
        for line in &held.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_make_room() {
        let recent = Recent::default();
        (0..MOST_LINES + 2).for_each(|number| recent.add(number.to_string()));
        let text = recent.text();
        assert_eq!(text.lines().count(), MOST_LINES);
        assert_eq!(text.lines().next(), Some("2"));
        recent.add("x".repeat(MOST_BYTES - 1));
        recent.add("y".to_owned());
        assert_eq!(recent.text().len(), MOST_BYTES + 2, "two lines and their ends");
        recent.add("z".to_owned());
        assert_eq!(recent.text(), "y\nz\n");
    }
}
