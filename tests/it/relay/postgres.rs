//! A PostgreSQL server of the test's own, in a folder that is removed, on a Unix socket.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tempfile::TempDir;
use testkit::wait;

/// Who runs the server when the test runs as root, which PostgreSQL refuses: `nobody`.
const NOBODY: u32 = 65534;

/// The server.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server; `None`, with a word, where PostgreSQL is not installed.
    pub(crate) fn start() -> Result<Option<Self>> {
        let Some(programs) = programs() else {
            println!("SKIPPED: PostgreSQL's server is not installed");
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("waypost-pg-").tempdir()?;
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let server = Self { programs, folder };
        let data = server.data();
        let mut initdb = server.program("initdb");
        initdb.args(["-A", "trust", "-U", "waypost", "--no-sync", "-D"]).arg(data);
        let made = initdb.output()?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        server.control("start", &[])?;
        Ok(Some(server))
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn control(&self, what: &str, more: &[&str]) -> Result<()> {
        let folder = self.folder.path().display();
        let options = format!("-k {folder} -c listen_addresses='' -c fsync=on");
        let mut command = self.program("pg_ctl");
        command.arg(what).args(["-w", "-t", "120", "-o", &options, "-D"]).arg(self.data());
        command.arg("-l").arg(self.folder.path().join("log")).args(more);
        // The server that it starts would keep a pipe open.
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "pg_ctl {what}: {status}");
        Ok(())
    }

    /// Kills all processes of the server, and starts it again.
    pub(super) fn restart(&self) -> Result<()> {
        self.control("restart", &["-m", "immediate"])
    }

    /// Where it is, for the relay.
    pub(crate) fn dsn(&self) -> String {
        self.client().dsn
    }

    /// How to reach it.
    pub(super) fn client(&self) -> Client {
        let dsn = format!("host={} user=waypost dbname=postgres", self.folder.path().display());
        Client { psql: self.programs.join("psql"), dsn }
    }

    /// Runs statements, each of which must succeed.
    pub(crate) fn execute(&self, sql: &str) -> Result<()> {
        self.client().lines(sql).map(drop)
    }

    /// The rows of a query with one column.
    pub(super) fn lines(&self, sql: &str) -> Result<Vec<String>> {
        self.client().lines(sql)
    }

    /// A session that stays.
    pub(super) fn session(&self) -> Result<Session> {
        let mut psql = self.client().psql();
        psql.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = psql.spawn()?;
        let said = child.stdin.take().context("no input")?;
        let heard = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Session { child, said, heard })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.control("stop", &["-m", "immediate"]);
    }
}

/// Reaches the server by psql.
pub(super) struct Client {
    psql: PathBuf,
    dsn: String,
}

impl Client {
    fn psql(&self) -> Command {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &self.dsn]);
        command.stdin(Stdio::null()).current_dir("/");
        command
    }

    fn lines(&self, sql: &str) -> Result<Vec<String>> {
        let output = self.psql().args(["-c", sql]).output()?;
        ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    }

    /// Inserts two rows in one transaction, and repeats it until it has succeeded. A repetition of what was
    /// committed changes nothing.
    pub(super) fn insert(&self, writer: u64, n: u64) -> Result<()> {
        let row = |part: u64| {
            let id = uuid::Uuid::from_u64_pair(writer, 2 * n + part);
            format!("('{id}', 'written', 'writer-{writer}', '{{\"id\": \"{id}\"}}')")
        };
        let sql = format!(
            "INSERT INTO waypost_outbox (id, type, subject, payload) VALUES {}, {} ON CONFLICT DO NOTHING",
            row(0),
            row(1)
        );
        wait::until("a transaction to succeed", || Ok(self.lines(&sql).ok()))?;
        Ok(())
    }
}

/// A session that runs statements one after another.
pub(super) struct Session {
    child: Child,
    said: ChildStdin,
    heard: BufReader<ChildStdout>,
}

impl Session {
    /// Runs statements.
    pub(super) fn say(&mut self, sql: &str) -> Result<()> {
        writeln!(self.said, "{sql}")?;
        Ok(self.said.flush()?)
    }

    /// Waits for a line.
    pub(super) fn hear(&mut self, expected: &str) -> Result<()> {
        let mut line = String::new();
        self.heard.read_line(&mut line)?;
        ensure!(line.trim() == expected, "psql said {line:?} instead of {expected:?}");
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where the server's programs are: Debian keeps them out of the path.
fn programs() -> Option<PathBuf> {
    let has_server = |folder: &Path| folder.join("initdb").is_file() && folder.join("psql").is_file();
    let debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut known: Vec<PathBuf> = debian.map(|version| version.path().join("bin")).collect();
    known.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    known.into_iter().rev().chain(std::env::split_paths(&path)).find(|folder| has_server(folder))
}
