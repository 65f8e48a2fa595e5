//! Clocks that change while a node runs, with libfaketime. The monotonic clock does not change.

use crate::node::Node;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// The path of the library on Debian.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The environment variable with the file of a process's clock.
pub const FILE: &str = "FAKETIME_TIMESTAMP_FILE";
/// The environment variable with the clock of a process that has no such file.
pub const OWN: &str = "FAKETIME";

/// The library, if it is installed.
pub fn library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join(LIBRARY)).find(|path| path.exists())
}

/// A node's clock.
#[derive(Debug)]
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// From its next start on, the node reads its time through this clock.
    pub fn give(node: &mut Node) -> Result<Self> {
        let library = library().context("libfaketime is not installed (apt-get install libfaketime)")?;
        let file = node.log.with_file_name("clock");
        let clock = Self { file };
        if let Some(dir) = clock.file.parent() {
            std::fs::create_dir_all(dir)?;
        }
        clock.turn(0)?;
        for (name, value) in [
            ("LD_PRELOAD", library.display().to_string()),
            (FILE, clock.file.display().to_string()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
        ] {
            node.env.insert(name.to_owned(), value);
        }
        Ok(clock)
    }

    /// Sets the clock `seconds` ahead of this process's time, or behind it if negative.
    pub fn turn(&self, seconds: i64) -> Result<()> {
        let seconds = seconds + std::env::var(OWN).map_or(Ok(0), |own| seconds_of(&own))?;
        let next = self.file.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}s\n"))?;
        // The rename makes the change in one step: a file that is half written would set another time.
        Ok(std::fs::rename(next, &self.file)?)
    }
}

/// An offset as `faketime` takes it: seconds, or a number with a unit, such as `+34560000` and `+400d`.
fn seconds_of(own: &str) -> Result<i64> {
    let digits = own.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &own[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "y" => 365 * 86_400,
        _ => bail!("FAKETIME={own}: an offset is needed, such as +400d"),
    };
    let number: i64 = digits.parse().with_context(|| format!("FAKETIME={own}"))?;
    Ok(number * unit)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn offsets_are_parsed() {
        let read = |text| super::seconds_of(text).ok();
        assert_eq!(
            (read("+400d"), read("-34560000"), read("2m")),
            (Some(34_560_000), Some(-34_560_000), Some(120))
        );
        assert_eq!(read("@2030-01-01 00:00:00"), None);
    }
}
