//! Durations as they are written on the command line.

use std::{num::ParseIntError, time::Duration};

/// Parses whole seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_secs)
}

/// Parses whole milliseconds.
pub(crate) fn millis(text: &str) -> Result<Duration, ParseIntError> {
    text.parse().map(Duration::from_millis)
}
