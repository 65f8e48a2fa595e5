//! Starts, watches and stops the three processes of `waypost dev`.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::Method;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};

use super::{
    super::{http1::Http, output},
    home::Home,
    ports::{NODES, Ports},
};

/// Longest time for a node to become ready.
const START: Duration = Duration::from_secs(60);
/// Longest wait for a node's answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Longest time for nodes to end by themselves: somewhat longer than a drain usually takes.
const STOP: Duration = Duration::from_secs(12);
/// The pause between two looks at the processes.
const LOOK: Duration = Duration::from_millis(100);
/// A node that ends more often than this within [`MINUTE`] is started again after [`PAUSE`], not at once.
const MOST_DEATHS: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(10);
/// Last lines of a log that are shown, and the last bytes of the log in which they are looked for.
const LAST_LINES: usize = 20;
const LAST_BYTES: usize = 16 * 1024;

/// Receivers of webhooks run on this machine too, so loopback is allowed, in addition to the networks of the
/// environment.
const ALLOW_NETS: &str = "WAYPOST_WEBHOOKS_ALLOW_NETS";
const LOOPBACK: &str = "127.0.0.0/8,::1/128";

/// Settings of the environment that the three nodes must not inherit. With them, the nodes would not form a
/// cluster of their own on this machine.
const NOT_INHERITED: [&str; 11] = [
    "WAYPOST_CONFIG",
    "WAYPOST_JOIN",
    "WAYPOST_BOOTSTRAP_EXPECT",
    "WAYPOST_ADVERTISE_HTTP_ADDR",
    "WAYPOST_ADVERTISE_PEER_ADDR",
    "WAYPOST_PEER_TLS_CA",
    "WAYPOST_PEER_TLS_CERT",
    "WAYPOST_PEER_TLS_KEY",
    "WAYPOST_PEER_KEY",
    "WAYPOST_HTTP_TLS_CERT",
    "WAYPOST_HTTP_TLS_KEY",
];

/// The three nodes.
pub(super) struct Nodes {
    program: PathBuf,
    admin: String,
    ports: Ports,
    nodes: Vec<Node>,
    http: Http,
}

struct Node {
    dir: PathBuf,
    child: Option<Child>,
    /// The process id of the last start: an ended child has none.
    pid: Option<u32>,
    deaths: Vec<Instant>,
    /// When it is started again, if it has ended.
    again_at: Option<Instant>,
}

impl Nodes {
    /// Makes the nodes' directories. No process is started.
    pub(super) fn new(home: &Home, ports: Ports, admin: &str) -> anyhow::Result<Self> {
        let node = |index: usize| {
            let dir = home.path().join(format!("node{}", index + 1));
            fs::create_dir_all(&dir)
                .with_context(|| format!("cannot make the directory {}", dir.display()))?;
            anyhow::Ok(Node { dir, child: None, pid: None, deaths: Vec::new(), again_at: None })
        };
        Ok(Self {
            program: std::env::current_exe().context("cannot find this program's own file")?,
            admin: admin.to_owned(),
            ports,
            nodes: (0..NODES).map(node).collect::<Result<_, _>>()?,
            http: Http::new(None),
        })
    }

    /// The number of nodes.
    pub(super) fn count(&self) -> usize {
        self.nodes.len()
    }

    /// Whether no node has any data yet.
    pub(super) fn are_new(&self) -> bool {
        !self.nodes.iter().any(|node| node.data().exists())
    }

    /// The URL at which clients connect to a node.
    pub(super) fn url(&self, node: usize) -> String {
        format!("http://{}", self.ports.http(node))
    }

    /// A port where a receiver of webhooks may listen.
    pub(super) fn receiver(&self) -> u16 {
        self.ports.receiver()
    }

    /// The file of a node's log.
    pub(super) fn log(&self, node: usize) -> PathBuf {
        self.nodes.get(node).map_or_else(PathBuf::new, Node::log)
    }

    /// The process id of a node, as a text; `-` before its first start.
    pub(super) fn pid(&self, node: usize) -> String {
        let pid = self.nodes.get(node).and_then(|node| node.pid);
        pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())
    }

    /// Starts one node.
    pub(super) fn start(&mut self, index: usize) -> anyhow::Result<()> {
        let Some(node) = self.nodes.get_mut(index) else { bail!("there is no node {}", index + 1) };
        let log =
            File::options().create(true).append(true).open(node.log()).context("cannot open the log file")?;
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--exit-with-parent", "--role", "voter", "--data-dir"])
            .arg(node.data())
            .args(["--http-addr", &self.ports.http(index).to_string()])
            .args(["--peer-addr", &self.ports.peer(index).to_string()])
            .args(["--node-name", &name(index)])
            .env("WAYPOST_ADMIN_TOKEN", &self.admin)
            .env(ALLOW_NETS, allow_nets())
            // The node's own directory has no waypost.toml that was meant for another node.
            .current_dir(&node.dir)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Only this process gets Ctrl-C. It ends the nodes in order.
            .process_group(0)
            .kill_on_drop(true);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        if index > 0 {
            command.args(["--join", &self.ports.peer(0).to_string()]);
        }
        let child = command.spawn().with_context(|| format!("cannot start node {}", index + 1))?;
        node.pid = child.id();
        node.child = Some(child);
        Ok(())
    }

    /// Waits until a node answers a path with success.
    pub(super) async fn wait(&mut self, index: usize, path: &str) -> anyhow::Result<()> {
        let url = format!("{}{path}", self.url(index));
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            for other in 0..self.count() {
                if let Some(status) = self.ended(other)? {
                    bail!(
                        "{} ended ({}) before it was ready{}",
                        name(other),
                        words(status),
                        self.last_lines(other)
                    );
                }
            }
            let asked = self.http.send(Method::GET, &url, vec![], Bytes::new(), ANSWER).await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
        bail!("{} is not ready after {} s{}", name(index), START.as_secs(), self.last_lines(index))
    }

    /// Starts a node again when it has ended: at once, or after a pause if it keeps ending. The others go on.
    pub(super) async fn watch(&mut self) -> anyhow::Result<()> {
        loop {
            sleep(LOOK).await;
            for index in 0..self.count() {
                if let Some(status) = self.ended(index)? {
                    self.note_death(index, status);
                }
                let Some(node) = self.nodes.get_mut(index) else { continue };
                if node.again_at.take_if(|at| *at <= Instant::now()).is_some() {
                    self.start(index)?;
                    output::note(format_args!("{} runs again (pid {})", name(index), self.pid(index)));
                }
            }
        }
    }

    /// Says that a node has ended, and when it is started again.
    fn note_death(&mut self, index: usize, status: ExitStatus) {
        let end = self.last_lines(index);
        let what = format!("{} (pid {}) ended ({})", name(index), self.pid(index), words(status));
        let Some(node) = self.nodes.get_mut(index) else { return };
        let now = Instant::now();
        node.child = None;
        node.deaths.retain(|death| now.duration_since(*death) < MINUTE);
        node.deaths.push(now);
        let times = node.deaths.len();
        if times <= MOST_DEATHS {
            node.again_at = Some(now);
            output::note(format_args!("{what}; starting it again"));
        } else {
            node.again_at = Some(now + PAUSE);
            output::note(format_args!(
                "{what}, {times} times within a minute; starting it again in {} s{end}",
                PAUSE.as_secs()
            ));
        }
    }

    /// Asks all nodes to end, and kills those that do not end in time.
    pub(super) async fn stop(&mut self) {
        let children = self.nodes.iter_mut().filter_map(|node| node.child.as_mut());
        for child in children {
            // A node ends when its standard input ends.
            drop(child.stdin.take());
        }
        let deadline = Instant::now() + STOP;
        for node in &mut self.nodes {
            if let Some(child) = &mut node.child
                && tokio::time::timeout_at(deadline, child.wait()).await.is_ok()
            {
                node.child = None;
            }
        }
        self.kill().await;
    }

    /// Kills all nodes.
    pub(super) async fn kill(&mut self) {
        for node in &mut self.nodes {
            if let Some(mut child) = node.child.take() {
                // The only error is that the node has already ended.
                let _ = child.kill().await;
            }
        }
    }

    fn ended(&mut self, index: usize) -> anyhow::Result<Option<ExitStatus>> {
        match self.nodes.get_mut(index).and_then(|node| node.child.as_mut()) {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }

    fn last_lines(&self, index: usize) -> String {
        let log = self.log(index);
        let text = fs::read(&log).unwrap_or_default();
        let end =
            String::from_utf8_lossy(text.get(text.len().saturating_sub(LAST_BYTES)..).unwrap_or_default());
        let lines: Vec<&str> = end.lines().collect();
        let last = lines.get(lines.len().saturating_sub(LAST_LINES)..).unwrap_or_default();
        format!("; the end of {}:\n  {}", log.display(), last.join("\n  "))
    }
}

impl Node {
    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log(&self) -> PathBuf {
        Path::new(&self.dir).join("node.log")
    }
}

/// The name of a node. Its number is the node's id too, unless the first start of the nodes was interrupted.
pub(super) fn name(index: usize) -> String {
    format!("node-{}", index + 1)
}

fn allow_nets() -> String {
    match std::env::var(ALLOW_NETS) {
        Ok(more) if !more.trim().is_empty() => format!("{LOOPBACK},{more}"),
        _ => LOOPBACK.to_owned(),
    }
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown reason".to_owned(),
    }
}
