//! Runs the blocks of one page, one after another, in a folder of the page's own.

use super::blocks::Block;
use super::expect;
use super::language::{Language, target};
use crate::support::binary;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::fs::{self, OpenOptions};
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use testkit::cluster::{ADMIN, Map, free};
use testkit::node::without_settings;
use testkit::wait;

/// How long a block may run, and what is expected of it may take, where others run beside it.
const LIMIT: Duration = Duration::from_secs(120);
/// The same for a block in Rust, since it is compiled first.
const COMPILED: Duration = Duration::from_secs(300);
/// Ports at which the receivers of pages listen; here each gets one that is free.
const PORTS: std::ops::Range<u16> = 3000..3010;

/// What became of a page's blocks.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) blocks: usize,
    /// The languages of blocks that this machine can't run.
    pub(super) skipped: Vec<String>,
}

/// A page that is being run.
pub(super) struct Page<'a> {
    url: &'a str,
    map: &'a Map,
    folder: TempDir,
    /// The process groups of its blocks that may still live. They end with the page.
    groups: Vec<Pid>,
    /// Each port that pages name, and the one that is used instead.
    ports: Vec<(u16, u16)>,
    /// How many bytes of the output were expected so far.
    expected: usize,
    /// How long the block that was started last may take.
    limit: Duration,
}

impl<'a> Page<'a> {
    /// Prepares the folder of a page: the files of an example, packages of npm, the program under test.
    pub(super) fn new(path: &Path, url: &'a str, map: &'a Map) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("waypost-page-").tempdir()?;
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        if let Some(own) = path.parent().filter(|own| own.starts_with(&examples)) {
            copy_files(own, folder.path())?;
        }
        packages(&folder.path().join("node_modules"))?;
        fs::create_dir(folder.path().join(".bin"))?;
        symlink(binary(), folder.path().join(".bin/waypost"))?;
        fs::write(folder.path().join(".variables"), "")?;
        let port =
            |named: u16| -> Result<(u16, u16)> { Ok((named, free(Ipv4Addr::LOCALHOST.into())?.port())) };
        let ports = PORTS.map(port).collect::<Result<_>>()?;
        Ok(Self { url, map, folder, groups: Vec::new(), ports, expected: 0, limit: LIMIT })
    }

    /// Runs the blocks. An error says which block failed, and has the last of what was printed.
    pub(super) fn run(&mut self, blocks: &[Block]) -> Result<Ran> {
        let mut ran = Ran::default();
        // Whether the last block was skipped: then nothing that it prints is expected.
        let mut is_skipped = false;
        for (number, block) in blocks.iter().enumerate() {
            let language = Language::named(&block.language).filter(|_| block.has("run"));
            let done = match language {
                Some(language) if !language.is_here() => {
                    is_skipped = true;
                    ran.skipped.push(format!("{} (line {})", block.language, block.line));
                    Ok(())
                }
                Some(language) => {
                    is_skipped = false;
                    ran.blocks += 1;
                    self.block(language, number, block)
                }
                None if block.has("expect") && !is_skipped => self.expect(&block.text),
                None => Ok(()),
            };
            done.with_context(|| format!("line {}\n{}", block.line, self.tail()))?;
        }
        Ok(ran)
    }

    /// Runs a program that must print a line like this and end with a failure. One that this machine can't run
    /// is left out.
    pub(super) fn fails(&mut self, program: &Block, line: &str) -> Result<()> {
        let language = Language::named(&program.language).filter(|language| language.is_here());
        let Some(language) = language else { return Ok(()) };
        let done = self.begin(language, 0, program).and_then(|mut child| {
            let status = self.end(&mut child)?;
            ensure!(!status.success(), "the program did not fail");
            self.expect(line)
        });
        done.with_context(|| self.tail())
    }

    /// Kills all blocks that still live.
    pub(super) fn kill(&mut self) {
        for group in self.groups.drain(..) {
            // It fails if nobody of the group lives.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Sets a variable for the programs that are run from now on. What was set or exported before is forgotten.
    pub(super) fn set(&self, name: &str, value: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join(".variables"), format!("export {name}={value}\n"))?)
    }

    /// The path of a file in the page's folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn block(&mut self, language: Language, number: usize, block: &Block) -> Result<()> {
        let mut child = self.begin(language, number, block)?;
        if block.has("background") {
            return Ok(());
        }
        let status = self.end(&mut child)?;
        ensure!(status.success(), "the block ended with {status}");
        Ok(())
    }

    fn begin(&mut self, language: Language, number: usize, block: &Block) -> Result<Child> {
        // A token in what a page expects may be a new one.
        let text = block.text.replace("wpa_…", ADMIN).replace("wp_…", &self.map.token);
        let mut command = language.prepare(self.folder.path(), number, &self.local(&text))?;
        self.limit = if language == Language::Rust { COMPILED } else { LIMIT };
        self.start(&mut command)
    }

    fn end(&mut self, child: &mut Child) -> Result<ExitStatus> {
        let status = wait::until_for(self.limit, "the end of the block", || Ok(child.try_wait()?))?;
        // The id of a group that has ended may soon be that of another one.
        let own = Pid::from_child(child);
        self.groups.retain(|group| *group != own || test_kill_process_group(*group).is_ok());
        Ok(status)
    }

    /// Starts a command in the page's folder, with what is said to be in its environment.
    fn start(&mut self, command: &mut Command) -> Result<Child> {
        let at = self.folder.path();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([at.join(".bin")].into_iter().chain(std::env::split_paths(&path)))?;
        let output = OpenOptions::new().create(true).append(true).open(self.output())?;
        without_settings(command)
            .current_dir(at)
            .env("PATH", path)
            .env("WAYPOST_URL", self.url)
            .env("WAYPOST_MAP", &self.map.slug)
            .env("WAYPOST_TOKEN", &self.map.token)
            .env("WAYPOST_ADMIN_TOKEN", ADMIN)
            .env("SNIPPET_VARIABLES", at.join(".variables"))
            .env("NODE_PATH", at.join("node_modules"))
            .env("NO_COLOR", "1")
            // The node is here.
            .env("NO_PROXY", "*")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let child = command.spawn().with_context(|| format!("{:?}", command.get_program()))?;
        self.groups.push(Pid::from_child(&child));
        Ok(child)
    }

    /// Waits until the blocks so far have printed these lines, after those that were expected before.
    fn expect(&mut self, lines: &str) -> Result<()> {
        let lines = self.local(lines);
        self.expected = wait::until_for(self.limit, "what the page says", || {
            match expect::find(&self.printed(), self.expected, &lines) {
                Ok(end) => Ok(Some(end)),
                Err(missing) => bail!("this line did not come: {missing}"),
            }
        })?;
        Ok(())
    }

    /// A block with the addresses of here: pages name those that `waypost dev` prints.
    fn local(&self, text: &str) -> String {
        let host = self.url.trim_start_matches("http://");
        let text = text.replace("127.0.0.1:4000", host).replace("localhost:4000", host);
        self.ports.iter().fold(text, |text, (named, free)| with_port(&text, *named, *free))
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join(".output")
    }

    fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.output()).unwrap_or_default()).into_owned()
    }

    /// The last lines that were printed.
    fn tail(&self) -> String {
        let printed = self.printed();
        let lines: Vec<&str> = printed.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Replaces a port where it stands alone.
fn with_port(text: &str, named: u16, free: u16) -> String {
    let named = named.to_string();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&named) {
        let (before, after) = (&rest[..at], &rest[at + named.len()..]);
        let is_part = before.ends_with(|c: char| c.is_alphanumeric() || "_-.".contains(c))
            || after.starts_with(|c: char| c.is_alphanumeric() || "_-.".contains(c));
        out.push_str(before);
        match is_part {
            true => out.push_str(&named),
            false => out.push_str(&free.to_string()),
        }
        rest = after;
    }
    out + rest
}

/// Copies a folder without what was installed into it.
pub(crate) fn copy_files(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&copy)?;
            copy_files(&path, &copy)?;
        } else {
            fs::copy(&path, &copy)?;
        }
    }
    Ok(())
}

/// Makes a folder of packages: those of `tests/js`, and that of `clients/typescript`, as `make clients` has
/// installed them.
pub(crate) fn packages(folder: &Path) -> Result<()> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/js/node_modules");
    ensure!(installed.is_dir(), "the test clients aren't installed: run `make clients`");
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(installed)? {
        let entry = entry?;
        symlink(entry.path(), folder.join(entry.file_name()))?;
    }
    let own = target()?.join("adapter/node_modules/@waypost");
    ensure!(own.is_dir(), "the package of clients/typescript isn't installed: run `make clients`");
    symlink(own, folder.join("@waypost"))?;
    Ok(())
}

#[test]
fn ports_are_replaced_where_they_stand_alone() {
    let text = "http://127.0.0.1:3000/hook listen(3000); 13000 30001 3000-1 3000";
    assert_eq!(with_port(text, 3000, 7), "http://127.0.0.1:7/hook listen(7); 13000 30001 3000-1 7");
}
