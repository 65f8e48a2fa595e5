//! The progress of publishing, shown on a terminal only.

use std::{os::unix::fs::MetadataExt, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

use crate::core::text::counted;

/// A bar if the size of the input is known, otherwise a counter.
pub(super) struct Progress {
    bar: ProgressBar,
    events: usize,
}

impl Progress {
    /// Shows the progress on standard error. It is hidden if that is not a terminal.
    pub(super) fn start() -> Self {
        let (bar, template) = match input_bytes() {
            Some(bytes) => {
                (ProgressBar::new(bytes), "{bar:30} {percent}%  {msg}  {bytes_per_sec}  {eta} left")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {msg}  {elapsed}  {bytes_per_sec}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let progress = Self { bar, events: 0 };
        progress.show();
        progress
    }

    /// Adds events that were stored, and the bytes of their lines.
    pub(super) fn add(&mut self, events: usize, bytes: usize) {
        self.events += events;
        self.show();
        self.bar.inc(bytes as u64);
    }

    fn show(&self) {
        self.bar.set_message(counted(self.events, "event", "events"));
    }

    /// Removes the progress from the screen.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The size of standard input in bytes, if it is a file.
fn input_bytes() -> Option<u64> {
    let file = std::fs::metadata("/dev/stdin").ok()?;
    (file.is_file() && file.size() > 0).then(|| file.size())
}
