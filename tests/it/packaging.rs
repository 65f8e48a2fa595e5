//! The environment of a node in production: service managers, containers, dashboards and alerts.

use crate::rust_code::rust_files;
use crate::support::{binary, nodes, prepared, printed, waypost};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use testkit::cluster::{ADMIN, own_ports};
use testkit::node::Node;
use testkit::wait::LIMIT;
use testkit::{Cluster, wait};

/// A service manager's end of the notification socket, and the lines that it received.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    /// Listens at a path in `dir` for one node and sets the node's environment accordingly.
    fn of(dir: &Path, node: &mut Node) -> Result<Self> {
        let path = dir.join(format!("notify-{}", node.http.port()));
        let socket = UnixDatagram::bind(&path)?;
        socket.set_nonblocking(true)?;
        node.env.insert("NOTIFY_SOCKET".to_owned(), path.display().to_string());
        node.env.insert("WATCHDOG_USEC".to_owned(), "600000".to_owned());
        Ok(Self { socket, heard: Vec::new() })
    }

    fn listen(&mut self) -> &[String] {
        let mut bytes = [0; 1024];
        while let Ok(n) = self.socket.recv(&mut bytes) {
            self.heard.extend(String::from_utf8_lossy(&bytes[..n]).lines().map(str::to_owned));
        }
        &self.heard
    }

    fn count(&mut self, line: &str) -> usize {
        self.listen().iter().filter(|heard| heard.contains(line)).count()
    }

    fn wait(&mut self, line: &str, times: usize) -> Result<()> {
        let heard = wait::until(line, || Ok((self.count(line) >= times).then_some(())));
        heard.with_context(|| format!("heard {:?}", self.heard))
    }
}

#[test]
fn a_node_notifies_its_service_manager() {
    let dir = tempfile::tempdir().unwrap();
    prepared(&nodes(2), |cluster| {
        let mut first = Manager::of(dir.path(), &mut cluster.nodes[0])?;
        cluster.launch()?;
        followed(cluster, &mut first, dir.path())
    });
}

fn followed(cluster: &mut Cluster, first: &mut Manager, dir: &Path) -> Result<()> {
    first.wait("READY=1", 1)?;
    first.wait("WATCHDOG=1", 3)?;
    ensure!(first.listen()[0].starts_with("STATUS=starting"), "{:?}", first.heard);

    // A suspended node sends nothing, and continues afterwards.
    cluster.nodes[0].sigstop()?;
    // A message that was being sent at that moment may still come.
    std::thread::sleep(Duration::from_millis(300));
    first.listen();
    first.heard.clear();
    std::thread::sleep(Duration::from_secs(1));
    ensure!(first.listen().is_empty(), "{:?}", first.heard);
    cluster.nodes[0].sigcont()?;
    first.wait("WATCHDOG=1", 1)?;
    ensure!(first.count("READY=1") == 0, "READY was sent twice: {:?}", first.heard);

    for node in &mut cluster.nodes {
        node.stop(LIMIT)?;
    }
    let stopping = first.count("STOPPING=1");
    ensure!(stopping == 1, "{:?}", first.heard);

    // One node of two has no majority: it is alive, but not ready until the other is back.
    let mut second = Manager::of(dir, &mut cluster.nodes[1])?;
    cluster.nodes[1].start()?;
    second.wait("not ready: no leader with a majority", 1)?;
    second.wait("WATCHDOG=1", 2)?;
    ensure!(second.count("READY=1") == 0, "{:?}", second.heard);
    cluster.nodes[0].start()?;
    second.wait("READY=1", 1)?;
    if cluster.admin(1).get("/readyz")?.status == 200 {
        return Ok(());
    }
    // On a busy machine the node may lose its leader again, and then says so.
    let lost = |heard: &[String]| {
        heard.iter().skip_while(|line| *line != "READY=1").any(|line| line.contains("not ready"))
    };
    let reported = wait::until("the loss of its leader", || Ok(lost(second.listen()).then_some(())));
    reported.context("the node sent READY=1 before it was ready")
}

/// Runs the node's health check, as a container engine does.
fn healthcheck(node: &Node, more: &[&str]) -> Result<Output> {
    Ok(waypost(&["healthcheck"]).args(more).envs(&node.env).output()?)
}

#[test]
fn the_health_check_reports_the_state_of_its_node() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["elsewhere.example".to_owned()]).unwrap();
    let cert = dir.path().join("cert");
    let key = dir.path().join("key");
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    for tls in [false, true] {
        let home = dir.path().join(if tls { "tls" } else { "plain" });
        let (http, peer) = own_ports().unwrap();
        let mut node = Node::new(Path::new(&binary()), &home, http, peer);
        node.env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
        if tls {
            node.env.insert("WAYPOST_HTTP_TLS_CERT".to_owned(), cert.display().to_string());
            node.env.insert("WAYPOST_HTTP_TLS_KEY".to_owned(), key.display().to_string());
        }
        checks_itself(&mut node)
            .unwrap_or_else(|error| panic!("TLS {tls}: {error:#}\n{}", node.log_tail(30)));
    }
}

fn checks_itself(node: &mut Node) -> Result<()> {
    let none = healthcheck(node, &[])?;
    ensure!(none.status.code() == Some(1), "no node is running: {}", printed(&none));
    node.start()?;
    let ready = || Ok(healthcheck(node, &["--ready"])?.status.success().then_some(()));
    wait::until("the health check to succeed", ready)?;
    let well = healthcheck(node, &[])?;
    ensure!(well.status.success() && printed(&well).contains("ok"), "{}", printed(&well));

    node.sigstop()?;
    let began = Instant::now();
    let hangs = healthcheck(node, &["--wait-ms", "300"])?;
    ensure!(hangs.status.code() == Some(1) && printed(&hangs).contains("no answer"), "{}", printed(&hangs));
    ensure!(began.elapsed() < Duration::from_secs(30), "the check took {:?}", began.elapsed());
    node.sigcont()?;
    let wrong = healthcheck(node, &["--wait-ms", "0"])?;
    ensure!(wrong.status.code() == Some(2), "{}", printed(&wrong));
    node.stop(LIMIT).map(drop)
}

/// Returns the names at the root of the repository that the image is built from.
fn build_context() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".dockerignore")).unwrap();
    text.lines().filter_map(|line| line.strip_prefix('!')).map(str::to_owned).collect()
}

/// Cargo finds every member of the workspace, with all its targets, among the files that the image is built
/// from.
#[test]
fn the_image_is_built_from_the_whole_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let context = tempfile::tempdir().unwrap();
    for name in build_context().into_iter().filter(|name| root.join(name).exists() && name != ".git") {
        let to = context.path().join(&name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(root.join(&name), to).unwrap();
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| env!("CARGO").to_owned());
    let metadata = ["metadata", "--locked", "--offline", "--no-deps", "--format-version=1"];
    let found = Command::new(cargo).args(metadata).current_dir(context.path()).output().unwrap();
    assert!(found.status.success(), ".dockerignore leaves out what cargo needs: {}", printed(&found));
}

/// Every file that sources include by path is among the files that the image is built from.
#[test]
fn the_image_is_built_from_every_included_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut included = 0;
    for file in ["src", "cluster/src"].into_iter().flat_map(|folder| rust_files(&root.join(folder))) {
        let text = std::fs::read_to_string(&file).unwrap();
        let marks = ["include_str!(\"", "include_bytes!(\"", "include!(\""];
        let paths =
            marks.iter().flat_map(|mark| text.split(mark).skip(1).filter_map(|rest| rest.split('"').next()));
        for path in paths {
            let whole = file.parent().unwrap().join(path).canonicalize().unwrap();
            let whole = whole.strip_prefix(root.canonicalize().unwrap()).unwrap();
            let kept = build_context().iter().any(|name| whole.starts_with(name));
            assert!(kept, "{} includes {path}, which .dockerignore leaves out", file.display());
            included += 1;
        }
    }
    assert!(included > 0, "no included file was found");
}

fn packaged(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns all metric names in a text; the parts of a histogram count under the histogram's name.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("waypost_"));
    let whole = |name: &str| {
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        part.unwrap_or(name).to_owned()
    };
    names.map(whole).collect()
}

#[test]
fn dashboards_and_alerts_use_existing_metrics() {
    let declared = metrics_in(include_str!("../../src/metric.rs"));
    for file in ["grafana/waypost.json", "prometheus/alerts.yml"] {
        let used = metrics_in(&packaged(file));
        assert!(used.len() > 5, "{file}: {used:?}");
        let unknown: Vec<_> = used.difference(&declared).collect();
        assert!(unknown.is_empty(), "{file} uses unknown metrics: {unknown:?}");
    }
    serde_json::from_str::<serde_json::Value>(&packaged("grafana/waypost.json")).unwrap();
}

#[test]
fn a_node_exports_the_metrics_that_alerts_use() {
    crate::support::scenario(nodes(1), |cluster| {
        let map = cluster.map("m")?;
        crate::support::publish(cluster, 0, &map, "x", serde_json::json!({}))?;
        let text = wait::until("the disk to be measured", || {
            let text = String::from_utf8(cluster.admin(0).get("/metrics")?.expect(200)?.body)?;
            Ok(value(&text, "waypost_disk_free_bytes").is_some_and(|free| free > 0.0).then_some(text))
        })?;
        let shown = metrics_in(&text);
        // The metrics of webhooks, refusals, losses and spans appear with the first of each.
        let later =
            |name: &str| ["webhook", "refused", "lost", "spans"].iter().any(|part| name.contains(part));
        let missing: Vec<_> = metrics_in(&packaged("prometheus/alerts.yml"))
            .into_iter()
            .filter(|n| !later(n) && !shown.contains(n))
            .collect();
        ensure!(missing.is_empty(), "a node does not export {missing:?}:\n{text}");
        ensure!(value(&text, "waypost_ready") == Some(1.0), "{text}");
        let free = value(&text, "waypost_disk_free_bytes");
        let size = value(&text, "waypost_disk_size_bytes");
        ensure!(free < size, "{free:?} of {size:?}");
        Ok(())
    });
}

/// Returns the value of a metric without labels.
fn value(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// The configuration with all defaults.
const DEFAULT: &str = include_str!("../../waypost.default.toml");

/// Returns the number behind a key, on the first line that begins with the key.
fn number(text: &str, key: &str) -> u64 {
    let line =
        text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap_or_else(|| panic!("no {key}"));
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

/// A service manager must wait longer than a drain may take before it kills the node.
#[test]
fn service_managers_wait_for_a_drain() {
    let drain = number(DEFAULT, "drain_seconds = ");
    assert!(number(&packaged("systemd/waypost.service"), "TimeoutStopSec=") > drain + 5);
    assert!(number(&packaged("docker/compose.yaml"), "stop_grace_period: ") > drain + 5);
    // Kubernetes counts the pause before SIGTERM too, which the chart sets to 5 s.
    let kubernetes = number(&packaged("kubernetes/waypost.yaml"), "terminationGracePeriodSeconds: ");
    assert!(kubernetes > drain + 5 + 5);
}

/// A proxy must leave a socket open for as long as its client may be silent. Pusher clients may be longest.
#[test]
fn proxies_leave_silent_sockets_open() {
    /// For how long a client may take to answer a ping (s).
    const ANSWER: u64 = 30;
    let silence = number(DEFAULT, "activity_timeout_seconds = ") + ANSWER;
    let nginx = packaged("nginx/waypost.conf");
    let (_, sockets) = nginx.split_once("location /app/ {").expect("a place for Pusher clients");
    for timeout in ["proxy_read_timeout ", "proxy_send_timeout "] {
        assert!(number(sockets, timeout) > silence, "{timeout}");
    }
    let haproxy = packaged("haproxy/haproxy.cfg");
    let tunnels: Vec<&str> =
        haproxy.lines().filter_map(|line| line.trim().strip_prefix("timeout tunnel ")).collect();
    assert!(!tunnels.is_empty() && tunnels.iter().all(|time| *time == "1h"), "{tunnels:?}");
}
