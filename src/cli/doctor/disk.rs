//! The disk of the data directory: rights, space, and how long a durable write takes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{host, report::Report};
use crate::config::Config;

const AREA: &str = "disk";
/// Durable writes that are measured; the one in the middle counts.
const WRITES: usize = 9;
/// A durable write that takes longer is reported. Every publish waits for one.
const SLOW: Duration = Duration::from_millis(50);
const GIB: u64 = 1 << 30;

/// Checks the data directory, or the folder in which it will be made.
pub(super) fn check(config: &Config, report: &mut Report) {
    let data = &config.data_dir;
    let shown = data.display();
    let dir = match fs::metadata(data) {
        Ok(found) if !found.is_dir() => {
            let what = format!("data_dir {shown} is no directory");
            report.fail(AREA, what, "set data_dir to a directory, or to one that is still to be made");
            return;
        }
        Ok(found) => {
            if host::is_open_to_others(&found) {
                let what = format!("other users of this host may look into data_dir {shown}");
                report.warn(AREA, what, format!("chmod 700 {shown}"));
            }
            data.clone()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => existing(data),
        Err(error) => {
            let what = format!("data_dir {shown} can't be looked at: {error}");
            report.fail(AREA, what, "run this as the user of the node, and let that user into its folders");
            return;
        }
    };
    writes(&dir, report);
    space(&dir, config.disk.reserve_mb, report);
}

/// The nearest folder above that exists.
fn existing(path: &Path) -> PathBuf {
    let above = path.ancestors().find(|above| above.is_dir());
    above.map_or_else(|| PathBuf::from("."), Path::to_owned)
}

fn writes(dir: &Path, report: &mut Report) {
    let shown = dir.display();
    match durable_write(dir) {
        Ok(took) if took > SLOW => {
            let what = format!(
                "a durable write of 4 KiB in {shown} takes {} ms, and every publish waits for one",
                took.as_millis()
            );
            let todo = "use a disk with a fast fsync (a local SSD), or see what else keeps the disk busy";
            report.warn(AREA, what, todo);
        }
        Ok(took) => {
            let ms = took.as_secs_f64() * 1000.0;
            report.ok(AREA, format!("a durable write of 4 KiB in {shown} takes {ms:.1} ms"));
        }
        Err(error) => {
            let what = format!("no file can be written in {shown}: {error}");
            report.fail(AREA, what, "run this as the user of the node, and give the folder to that user");
        }
    }
}

/// How long it takes to write a page so that it outlasts a power cut. The file is removed again.
fn durable_write(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!(".waypost-doctor-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let took = measured(file);
    fs::remove_file(&path)?;
    took
}

fn measured(mut file: File) -> io::Result<Duration> {
    let mut times = [Duration::ZERO; WRITES];
    for time in &mut times {
        let began = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        *time = began.elapsed();
    }
    times.sort_unstable();
    Ok(times[WRITES / 2])
}

fn space(dir: &Path, reserve_mb: u64, report: &mut Report) {
    let Some((free, total)) = host::space(dir) else { return };
    let reserve = (reserve_mb << 20).min(total / 10);
    let what = format!("{} MiB of {} MiB are free at {}", free >> 20, total >> 20, dir.display());
    let todo = "make room, or move data_dir to a larger disk: docs/runbooks/full-disk.md";
    if free < reserve {
        report.fail(AREA, format!("{what}, less than disk.reserve_mb: publishing is refused"), todo);
    } else if free < total / 10 || free < GIB {
        report.warn(AREA, what, todo);
    } else {
        report.ok(AREA, what);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_durable_write_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        durable_write(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(durable_write(&dir.path().join("absent")).is_err());
        let below = dir.path().join("a/b/c");
        assert_eq!(existing(&below), dir.path());
        assert_eq!(existing(Path::new("no-such-folder")), Path::new("."));
    }

    #[test]
    fn a_file_in_place_of_the_directory_fails() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let mut report = Report::default();
        check(&Config { data_dir: file, ..Config::default() }, &mut report);
        assert_eq!(report.failed(), 1);
    }
}
