//! The nodes and files with which the mistakes are made, and the texts that stand for what differs from run to
//! run.

use super::table::Tried;
use crate::certificates::{Authority, FAR, Files};
use crate::support::{binary, printed, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::cluster::{ADMIN, free, own_ports};
use testkit::http::{Answer, Api, text};
use testkit::node::Node;
use testkit::{Cluster, wait};

/// The last year of a certificate that has ended.
const PAST: i32 = 2001;

/// A cluster, nodes with certificates, one that finds no cluster, and what their users have.
pub(super) struct Place {
    /// What stands for `{name}` in arguments, paths and bodies.
    values: Vec<(&'static str, String)>,
    /// What differs from run to run, and what the table has in its place.
    volatile: Vec<(String, &'static str)>,
    dir: PathBuf,
    url: String,
    lost: Option<(String, Node)>,
    /// Nodes that run as long as the place is in use.
    _nodes: Vec<Node>,
}

impl Place {
    /// Makes maps, tokens, files and more nodes.
    pub(super) fn prepare(cluster: &Cluster) -> Result<Self> {
        let dir = cluster.dir().join("mistakes");
        std::fs::create_dir_all(&dir)?;
        let map = cluster.map("shop")?;
        let (_, reader) = cluster.token(&map, &["subscribe"])?;
        let source = json!({"name": "orders", "authentication": "github"});
        let mut volatile = Vec::new();
        for _ in 0..2 {
            let made = cluster.admin(0).post(&map.path("/ingest"), &source)?.data(201)?;
            volatile.push((text(&made, "id")?, "wh_…"));
        }
        let good = with_certificate(&dir, "good", FAR)?;
        let expired = with_certificate(&dir, "expired", PAST)?;
        let first = &cluster.nodes[0];
        let nobody = own_ports()?.0;
        write_files(&dir)?;
        let path = |name: &str| dir.join(name).display().to_string();
        let values = vec![
            ("http", first.http.to_string()),
            ("peer", first.peer.to_string()),
            ("data", first.data.display().to_string()),
            ("tls", good.0.http.to_string()),
            ("expired", expired.0.http.to_string()),
            ("expired_ca", expired.1.ca.display().to_string()),
            ("nobody", nobody.to_string()),
            ("map", map.id.clone()),
            ("reader", reader.token),
            ("fresh", path("fresh")),
            ("in_a_file", path("unknown.toml/data")),
            ("unknown", path("unknown.toml")),
            ("broken", path("broken.toml")),
            ("missing", path("missing")),
            ("big", format!("\"{}\"", "x".repeat(5000))),
            ("long", "k".repeat(300)),
        ];
        for (addr, shown) in [
            (first.http, "HOST:4000"),
            (first.peer, "HOST:4001"),
            (good.0.http, "HOST:443"),
            (expired.0.http, "HOST:443"),
            (nobody, "HOST:4444"),
        ] {
            volatile.push((addr.to_string(), shown));
        }
        volatile.push((cluster.dir().display().to_string(), "DIR"));
        volatile.push((map.id, "MAP"));
        let lost = Some(without_cluster(&dir, nobody)?);
        if let Some((_, node)) = &lost {
            volatile.push((node.http.to_string(), "HOST:4000"));
        }
        Ok(Self { values, volatile, url: first.url(), dir, lost, _nodes: vec![good.0, expired.0] })
    }

    /// Makes a mistake. Returns what is said, without what differs from run to run.
    pub(super) fn told(&mut self, tried: &Tried) -> Result<String> {
        let told = match tried {
            Tried::Command(arguments) | Tried::WithoutMajority(arguments) => {
                self.command(arguments, "", Some(ADMIN), &self.url)?
            }
            Tried::WithInput(arguments, input) => self.command(arguments, input, Some(ADMIN), &self.url)?,
            Tried::WithMapsToken(arguments) => {
                self.command(arguments, "", Some(self.value("reader")), &self.url)?
            }
            Tried::WithoutToken(arguments) => self.command(arguments, "", None, &self.url)?,
            Tried::Setting(name, value) => self.node(&[], Some((*name, *value)))?,
            Tried::Serve(arguments) => self.node(arguments, None)?,
            Tried::WithoutCluster(arguments) => self.without_cluster(arguments)?,
            Tried::Request(method, path, headers, body) => self.request(method, path, headers, body)?,
            Tried::WithToken(path, token) => self.with_token(path, token)?,
            Tried::PlainAtTls(path) => {
                let url = format!("http://{}", self.value("tls"));
                said(&Api::new(&url, Some(ADMIN)).get(path)?)?
            }
        };
        Ok(self.without_volatile(&told))
    }

    fn value(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// A text with values in place of `{name}`.
    fn filled(&self, text: &str) -> String {
        let fill = |text: String, (name, value): &(&str, String)| text.replace(&format!("{{{name}}}"), value);
        self.values.iter().fold(text.to_owned(), fill)
    }

    fn without_volatile(&self, text: &str) -> String {
        let hide = |text: String, (value, shown): &(String, &str)| text.replace(value, shown);
        self.volatile.iter().fold(text.to_owned(), hide)
    }

    /// Runs a command that must fail. Returns its error.
    fn command(&self, arguments: &[&str], input: &str, token: Option<&str>, url: &str) -> Result<String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| self.filled(argument)).collect();
        let mut command = waypost(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        command.env("WAYPOST_URL", url).env_remove("WAYPOST_OUTPUT").current_dir(&self.dir);
        command.envs(token.map(|token| ("WAYPOST_TOKEN", token)));
        failed(command, input, &self.dir)
    }

    /// Starts a node that must refuse to start. Returns its error.
    fn node(&self, arguments: &[&str], setting: Option<(&str, &str)>) -> Result<String> {
        let arguments: Vec<String> = arguments.iter().map(|argument| self.filled(argument)).collect();
        let mut command = waypost(&["serve"]);
        command
            .env("WAYPOST_HTTP_ADDR", "127.0.0.1:0")
            .env("WAYPOST_PEER_ADDR", "127.0.0.1:0")
            .env("WAYPOST_DATA_DIR", self.value("fresh"))
            .envs(setting)
            .args(arguments)
            .current_dir(&self.dir);
        failed(command, "", &self.dir)
    }

    /// Runs a command at a node that finds no cluster, until its answer says so.
    fn without_cluster(&mut self, arguments: &[&str]) -> Result<String> {
        let (url, node) = self.lost.take().context("it is used once")?;
        let told = wait::until("a node that waits for its cluster", || {
            let told = self.command(arguments, "", Some(ADMIN), &url)?;
            ensure!(told.contains("no answer: ") && told.contains("refused"), "{told}");
            Ok(Some(told))
        });
        told.with_context(|| node.log_tail(20))
    }

    fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<String> {
        let headers: Vec<(&str, String)> =
            headers.iter().map(|(name, value)| (*name, self.filled(value))).collect();
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = self.filled(body);
        let body = (!body.is_empty()).then_some(body.as_bytes());
        let answer = Api::new(&self.url, Some(ADMIN)).call(method, &self.filled(path), &headers, body)?;
        ensure!(answer.status >= 400, "{path} was accepted: {}", answer.text());
        said(&answer)
    }

    /// Asks with a token that clients of HTTP refuse to send, and curl sends.
    fn with_token(&self, path: &str, token: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.value("http"))?;
        stream.set_read_timeout(Some(wait::LIMIT))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: waypost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").with_context(|| answer.clone())?;
        let status = head.split(' ').nth(1).with_context(|| answer.clone())?;
        Ok(words(status, &serde_json::from_str(body)?))
    }
}

/// What an answer says.
fn said(answer: &Answer) -> Result<String> {
    Ok(words(&answer.status.to_string(), &answer.json()?))
}

/// What a body with an error says.
fn words(status: &str, body: &Value) -> String {
    let of = |member: &str| body[member].as_str().unwrap_or_default();
    let hint = if of("hint").is_empty() { String::new() } else { format!("\nhint: {}", of("hint")) };
    format!("{status}: {}{hint}", of("message"))
}

/// Runs a program that must fail within its time. Returns its error without the usage that follows.
fn failed(mut command: Command, input: &str, dir: &Path) -> Result<String> {
    let file = dir.join("printed");
    let printed = File::create(&file)?;
    let mut child = command.stdin(Stdio::piped()).stdout(printed.try_clone()?).stderr(printed).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may end without reading.
        let _ = stdin.write_all(input.as_bytes());
    }
    let ended = wait::until("the end of the program", || Ok(child.try_wait()?));
    if ended.is_err() {
        child.kill()?;
        child.wait()?;
    }
    let all = std::fs::read_to_string(&file)?;
    ensure!(!ended.with_context(|| all.clone())?.success(), "it was accepted: {all}");
    let at = all.find("error: ").with_context(|| all.clone())?;
    let told = all[at..].split("\n\nUsage:").next().unwrap_or_default();
    let told = told.split("\n\nFor more information").next().unwrap_or_default();
    Ok(told.trim().to_owned())
}

/// Starts a node with TLS for its clients, and waits until it takes them.
fn with_certificate(dir: &Path, name: &str, year: i32) -> Result<(Node, Files)> {
    let home = dir.join(name);
    std::fs::create_dir_all(&home)?;
    let files = Authority::new(name)?.issue(&home, name, year)?;
    // The certificate names this address.
    let http = free(Ipv4Addr::LOCALHOST.into())?;
    let mut node = Node::new(Path::new(&binary()), &home, http, own_ports()?.1);
    node.env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
    node.env.insert("WAYPOST_WORKERS".to_owned(), "1".to_owned());
    node.env.insert("WAYPOST_HTTP_TLS_CERT".to_owned(), files.cert.display().to_string());
    node.env.insert("WAYPOST_HTTP_TLS_KEY".to_owned(), files.key.display().to_string());
    node.start()?;
    wait::until("the node with a certificate", || {
        let healthy = waypost(&["healthcheck", "--ready"]).envs(&node.env).output()?;
        ensure!(healthy.status.success(), "{}", printed(&healthy));
        Ok(Some(()))
    })
    .with_context(|| node.log_tail(20))?;
    Ok((node, files))
}

/// Starts a node that is to join where nobody listens. Returns its URL too.
fn without_cluster(dir: &Path, nobody: SocketAddr) -> Result<(String, Node)> {
    let (http, peer) = own_ports()?;
    let mut node = Node::new(Path::new(&binary()), &dir.join("lost"), http, peer);
    node.env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
    node.env.insert("WAYPOST_WORKERS".to_owned(), "1".to_owned());
    node.env.insert("WAYPOST_JOIN".to_owned(), nobody.to_string());
    node.start()?;
    Ok((node.url(), node))
}

/// Writes configuration files that are wrong.
fn write_files(dir: &Path) -> Result<()> {
    std::fs::write(dir.join("unknown.toml"), "http_adr = \"0.0.0.0:4000\"\n")?;
    Ok(std::fs::write(dir.join("broken.toml"), "[limits\nmaps = 5\n")?)
}
