//! Writes the lines of the audit log, on a thread of its own: a disk that hangs delays no request. The newest
//! lines are kept in memory, too, for readers of a log that has no file.
//!
//! The queue is bounded. A line that finds it full, or that cannot be written because the disk is full, is
//! lost: the change goes on, the line is counted, the status shows a problem, and the log says how many lines
//! are missing as soon as it can be written again.

use super::files::{self, Span};
use super::recent::Recent;
use crate::clock::now_ms;
use crate::core::time::iso_millis;
use crate::metric;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines that may wait for the disk.
const QUEUE: usize = 4096;
/// Lines that are written before the file is made durable.
const BATCH: usize = 256;
/// Longest wait for the last lines when the node stops.
const LAST_LINES: Duration = Duration::from_secs(2);
/// A disk that fails is logged at most once in this time.
const REPORT: Duration = Duration::from_secs(10);
/// The path that means standard output.
const STDOUT: &str = "-";

enum Job {
    Line(String),
    Stop,
}

/// The way into the audit log. It lives as long as the node.
#[derive(Default)]
pub struct AuditLog {
    /// `None` if the lines are kept in memory alone.
    writes: Option<Writes>,
    recent: Recent,
}

/// The way to the thread that writes.
struct Writes {
    path: PathBuf,
    queue: SyncSender<Job>,
    lost: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl AuditLog {
    /// Opens the file, which is appended to, or standard output for `-`. A file that does not exist is made
    /// for its owner only. Without a path the newest lines are in memory alone.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn start(path: Option<&Path>) -> io::Result<Self> {
        let writes = path.map(Writes::start).transpose()?;
        Ok(Self { writes, recent: Recent::default() })
    }

    /// Hands over a line. It never blocks.
    pub fn write(&self, line: String) {
        let Some(writes) = &self.writes else { return self.recent.add(line) };
        self.recent.add(line.clone());
        if writes.queue.try_send(Job::Line(line)).is_err() {
            lose(&writes.lost);
        }
    }

    /// The lines of that time, the oldest first: what is read of the files, each a text, or what is in
    /// memory. The first and the last file may have other lines too. Blocks.
    ///
    /// # Errors
    /// If the file can't be read.
    pub(super) fn lines(&self, span: Span) -> io::Result<Vec<String>> {
        let path = self.writes.as_ref().map(|writes| &writes.path);
        let texts = match path.filter(|path| **path != Path::new(STDOUT)) {
            Some(path) => files::read(path, span)?,
            None => None,
        };
        Ok(texts.unwrap_or_else(|| vec![self.recent.text()]))
    }

    /// The number of lines that were lost since the start, to follow; `None` if the log is in memory alone.
    pub fn lost(&self) -> Option<Arc<AtomicU64>> {
        self.writes.as_ref().map(|writes| writes.lost.clone())
    }

    /// Writes the lines that wait, for a bounded time, and ends. Blocks.
    pub fn close(&self) {
        if let Some(writes) = &self.writes {
            writes.close();
        }
    }
}

impl Writes {
    fn start(path: &Path) -> io::Result<Self> {
        let (queue, jobs) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { out: Out::open(path)?, lost: lost.clone(), told: 0, reported: None };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&jobs))?;
        Ok(Self { path: path.to_owned(), queue, lost, thread: Mutex::new(Some(thread)) })
    }

    fn close(&self) {
        let deadline = Instant::now() + LAST_LINES;
        while let Err(TrySendError::Full(_)) = self.queue.try_send(Job::Stop) {
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn lose(lost: &AtomicU64) {
    lost.fetch_add(1, Ordering::Relaxed);
    metrics::counter!(metric::AUDIT_LOST).increment(1);
}

/// Where lines go.
enum Out {
    Stdout,
    File {
        path: PathBuf,
        file: File,
        /// The last write failed and may have left the beginning of a line.
        torn: bool,
    },
}

impl Out {
    fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new(STDOUT) {
            return Ok(Self::Stdout);
        }
        Ok(Self::File { path: path.to_owned(), file: append(path)?, torn: false })
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Stdout => writeln!(io::stdout().lock(), "{line}"),
            Self::File { file, torn, .. } => {
                let begin = if *torn { "\n" } else { "" };
                let written = file.write_all(format!("{begin}{line}\n").as_bytes());
                *torn = written.is_err();
                written
            }
        }
    }

    /// Opens the file again if another one is at its path, or none: it was rotated.
    fn follow(&mut self) {
        let Self::File { path, file, torn } = self else { return };
        let place = |meta: io::Result<std::fs::Metadata>| meta.ok().map(|meta| (meta.dev(), meta.ino()));
        if place(std::fs::metadata(&*path)) != place(file.metadata())
            && let Ok(another) = append(path)
        {
            (*file, *torn) = (another, false);
        }
    }

    /// A pipe or a terminal can't be made durable, and need not be.
    fn sync(&self) {
        if let Self::File { file, .. } = self {
            let _ = file.sync_data();
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

struct Writer {
    out: Out,
    lost: Arc<AtomicU64>,
    /// The number of lost lines that the log itself mentions.
    told: u64,
    reported: Option<Instant>,
}

impl Writer {
    fn run(&mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            self.out.follow();
            let more = std::iter::from_fn(|| jobs.try_recv().ok()).take(BATCH);
            for job in std::iter::once(first).chain(more) {
                match job {
                    Job::Line(line) => self.line(&line),
                    Job::Stop => return self.out.sync(),
                }
            }
            self.out.sync();
        }
    }

    fn line(&mut self, line: &str) {
        let written = self.tell_lost().and_then(|()| self.out.line(line));
        if let Err(error) = written {
            lose(&self.lost);
            if self.reported.is_none_or(|at| at.elapsed() >= REPORT) {
                self.reported = Some(Instant::now());
                tracing::error!(%error, "the audit log can't be written: lines are lost");
            }
        }
    }

    /// Writes how many lines are missing here.
    fn tell_lost(&mut self) -> io::Result<()> {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.told {
            let missing = serde_json::json!({"time": iso_millis(now_ms()), "lost": lost - self.told});
            self.out.line(&missing.to_string())?;
            self.told = lost;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_file_that_is_at_the_path() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let rotated = dir.path().join("audit.1");
        let log = AuditLog::start(Some(&path)).unwrap();
        log.write("one".into());
        let holds = |path: &Path, text: &str| {
            let deadline = Instant::now() + Duration::from_secs(60);
            while std::fs::read_to_string(path).unwrap_or_default() != text {
                assert!(Instant::now() < deadline, "{path:?}: {:?}", std::fs::read_to_string(path));
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        holds(&path, "one\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::rename(&path, &rotated).unwrap();
        log.write("two".into());
        holds(&path, "two\n");
        log.write("three".into());
        log.close();
        holds(&path, "two\nthree\n");
        holds(&rotated, "one\n");
        assert_eq!(log.lines(Span::default()).unwrap(), ["two\nthree\n"], "what is in the file");
        assert_eq!(log.lost().unwrap().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn lines_that_a_full_disk_does_not_take_are_counted_and_mentioned() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit");
        let lost = Arc::new(AtomicU64::new(0));
        let full = Out::File {
            path: "/dev/full".into(),
            file: append(Path::new("/dev/full")).unwrap(),
            torn: false,
        };
        let mut writer = Writer { out: full, lost: lost.clone(), told: 0, reported: None };
        writer.line("one");
        writer.line("two");
        assert_eq!(lost.load(Ordering::Relaxed), 2);
        writer.out = Out::File { path: path.clone(), file: append(&path).unwrap(), torn: true };
        writer.line("three");
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2]), ("", "three"));
        assert!(lines[1].ends_with("\"lost\":2}") || lines[1].contains("\"lost\":2"), "{text}");
        writer.line("four");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4, "mentioned once");
    }

    #[test]
    fn a_full_queue_delays_nobody() {
        let (queue, jobs) = sync_channel(1);
        let path = "-".into();
        let writes = Writes { path, queue, lost: Arc::default(), thread: Mutex::default() };
        let log = AuditLog { writes: Some(writes), recent: Recent::default() };
        log.write("one".into());
        log.write("two".into());
        assert_eq!(log.lost().unwrap().load(Ordering::Relaxed), 1);
        assert_eq!(log.lines(Span::default()).unwrap(), ["one\ntwo\n"], "no file can be read");
        drop(jobs);
    }

    #[test]
    fn a_log_without_a_file_is_in_memory() {
        let log = AuditLog::start(None).unwrap();
        log.write("one".into());
        assert_eq!(log.lines(Span::default()).unwrap(), ["one\n"]);
        assert!(log.lost().is_none());
        log.close();
    }
}
