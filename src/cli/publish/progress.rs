//! How far publishing has come, for a person at a terminal; silent elsewhere.

use std::{os::unix::fs::MetadataExt, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar where the input has a size, else a counter.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Starts it on standard error; hidden where that is no terminal.
    pub(super) fn start() -> Self {
        let (bar, template) = match input_bytes() {
            Some(bytes) => {
                (ProgressBar::new(bytes), "{bar:30} {percent}%  {msg} events  {bytes_per_sec}  {eta} left")
            }
            None => (ProgressBar::new_spinner(), "{spinner} {msg} events  {elapsed}  {bytes_per_sec}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        bar.set_message("0");
        Self(bar)
    }

    /// So much more is stored.
    pub(super) fn add(&self, events: usize, bytes: usize) {
        let so_far: usize = self.0.message().parse().unwrap_or(0);
        self.0.set_message((so_far + events).to_string());
        self.0.inc(bytes as u64);
    }

    /// Takes it off the screen.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// Size of standard input, where it is a file.
fn input_bytes() -> Option<u64> {
    let file = std::fs::metadata("/dev/stdin").ok()?;
    (file.is_file() && file.size() > 0).then(|| file.size())
}
