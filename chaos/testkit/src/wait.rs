//! Waits for a condition, with a generous limit and an error that says what was awaited.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// How long a condition may take before a test fails. It is generous, because it is only reached when the
/// condition will never hold.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Calls `probe` every 20 ms until it returns a value. An error of `probe` counts as "not yet"; the last
/// error is reported.
pub fn until<T>(what: &str, probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    until_for(LIMIT, what, probe)
}

/// [`until`] with a limit of its own.
pub fn until_for<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let last = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if Instant::now() >= deadline {
            match last {
                Some(error) => bail!("gave up after {limit:?} waiting for {what}: {error:#}"),
                None => bail!("gave up after {limit:?} waiting for {what}"),
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
