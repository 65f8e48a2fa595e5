//! Pages that reach three nodes through Debian's nginx, with the configuration of `packaging/nginx`: an event
//! stream that goes on when its node dies, and the TypeScript package.

use crate::adapter::installed;
use crate::examples::pages::{Pages, chromium};
use crate::support::{nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use testkit::clients::Js;
use testkit::cluster::own_ports;
use testkit::http::Api;
use testkit::{Cluster, wait};

/// Where Debian has it: users who are not root lack this folder in their path.
const DEBIAN: &str = "/usr/sbin";

/// An nginx in front of the nodes of a cluster.
struct Nginx {
    child: Child,
    url: String,
    folder: TempDir,
}

impl Nginx {
    /// Starts it at an address, and waits until it passes requests on.
    fn start(program: &Path, c: &Cluster, address: SocketAddr) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("waypost-nginx-").tempdir()?;
        let at = folder.path().display();
        std::fs::write(folder.path().join("waypost.conf"), configuration(c, &address.to_string())?)?;
        // One process, which is ended with the test.
        let main = format!(
            "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/nginx.log;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;\n\
             fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             include {at}/waypost.conf; }}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, main)?;
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).arg("-e").arg(folder.path().join("nginx.log"));
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let nginx = Self { child: command.spawn()?, url: format!("http://{address}"), folder };
        wait::until("nginx", || Api::new(&nginx.url, None).get("/readyz")?.expect(200).map(Some))
            .with_context(|| nginx.log())?;
        Ok(nginx)
    }

    /// What it has to complain about.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("nginx.log")).unwrap_or_default()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The repository's configuration with the addresses of here, and without TLS.
fn configuration(c: &Cluster, address: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/nginx/waypost.conf");
    let text = std::fs::read_to_string(path)?;
    let is_plain = |line: &&str| {
        let line = line.trim_start();
        !line.starts_with("listen 443") && !line.starts_with("ssl_")
    };
    let plain: Vec<&str> = text.lines().filter(is_plain).collect();
    let mut plain = plain.join("\n").replace("listen 80;", &format!("listen {address};"));
    for (number, node) in (1..).zip(&c.nodes) {
        plain = plain.replace(&format!("10.0.0.{number}:4000"), &node.http.to_string());
    }
    ensure!(!plain.contains("10.0.0.") && plain.contains(address), "other addresses: {plain}");
    Ok(plain)
}

/// nginx and Chromium; without one of them, the test says that it was skipped.
fn programs() -> Option<(PathBuf, PathBuf)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from(DEBIAN)]);
    let nginx = folders.map(|folder| folder.join("nginx")).find(|program| program.is_file());
    if nginx.is_none() {
        println!("SKIPPED: nothing was tried behind nginx, because it is not installed");
    }
    nginx.zip(chromium())
}

#[test]
fn the_event_stream_of_a_page_goes_on_when_nodes_die() {
    let Some((nginx, chromium)) = programs() else { return };
    // Declared first, so that it is removed last.
    let folder = tempfile::tempdir().unwrap();
    scenario(nodes(3), |c| {
        let map = c.map("behind-nginx")?;
        let nginx = Nginx::start(&nginx, c, own_ports()?.0)?;
        let paid = |through: &Api, n: u32| {
            let event =
                json!({"type": "order_paid", "subject": format!("orders-{n}"), "payload": {"amount": 1}});
            through.post_once(&map.events(), &format!("paid-{n}"), &event)?.expect(201)
        };
        let proxied = Api::new(&nginx.url, Some(&map.token)).patient();
        let mut pages = Pages::start("dashboard", &chromium, folder.path())?;
        pages.open("page", &format!("index.html#url={}&map={}&token={}", nginx.url, map.slug, map.token))?;
        pages.shown("page", "#state", "live")?;
        let mut count = 0;
        // One of them has the stream. It is at another one afterwards, and nothing is missing and nothing
        // comes twice.
        for node in 0..3 {
            count += 1;
            paid(&proxied, count)?;
            pages.shown("page", "#order_paid", &count.to_string())?;
            c.nodes[node].kill9()?;
            count += 1;
            paid(&c.api(c.up()?, &map), count)?;
            pages.shown("page", "#order_paid", &count.to_string()).with_context(|| nginx.log())?;
            c.bring_back(node)?;
        }
        let shown = pages.texts("page", "#latest td:nth-child(2)")?;
        ensure!(
            shown == json!((1..=count).rev().map(|n| format!("orders-{n}")).collect::<Vec<_>>()),
            "{shown}"
        );
        pages.end()
    });
}

#[test]
fn the_adapter_listens_in_a_page() {
    let Some((nginx, chromium)) = programs() else { return };
    let folder = tempfile::tempdir().unwrap();
    let address = own_ports().unwrap().0;
    // Addresses of sources begin with that of the proxy.
    scenario(nodes(3).set("WAYPOST_HTTP_PUBLIC_URL", format!("http://{address}")), |c| {
        let map = c.map("adapter-behind-nginx")?;
        let nginx = Nginx::start(&nginx, c, address)?;
        let page = Js::adapter_page(json!({
            "package": installed()?.join("node_modules/@waypost/webhook-adapter"),
            "url": nginx.url,
            "token": map.token,
            "map": map.slug,
            "chromium": chromium,
            "folder": folder.path(),
        }))?;
        let line = page.wait_for("event", 1).with_context(|| nginx.log())?;
        ensure!(line["event"]["event_type"] == "from_page" && line["event"]["attempt"] == 2, "{line}");
        let line = page.wait_for("ended", 1)?;
        ensure!(line["state"] == "connected", "{line}");
        ensure!(page.of("page_error").is_empty(), "{:?}", page.of("page_error"));
        Ok(())
    });
}
