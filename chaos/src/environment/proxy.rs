//! nginx before the nodes, with the configuration that this repository gives to operators
//! (`packaging/nginx/waypost.conf`): no stickiness, and a request that a node does not answer goes to another
//! node.

use super::tool;
use anyhow::{Context, Result, bail};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use testkit::cluster::own_ports;
use testkit::wait;

/// The configuration for operators.
const GIVEN: &str = include_str!("../../../packaging/nginx/waypost.conf");
/// The port of the nodes in that configuration.
const GIVEN_PORT: &str = ":4000";

/// A running nginx; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    /// The address where it listens.
    pub address: SocketAddr,
    child: Child,
}

impl Proxy {
    /// Starts nginx before those nodes, with its files in `dir`.
    pub fn start(dir: &Path, nodes: &[SocketAddr]) -> Result<Self> {
        // This takes two ports at an address that nothing else uses; nginx needs only one of them.
        let (address, _) = own_ports()?;
        std::fs::create_dir_all(dir)?;
        std::fs::write(dir.join("waypost.conf"), configuration(address, nodes)?)?;
        let conf = dir.join("nginx.conf");
        let at = dir.display();
        // One process that sets no title: its environment stays readable, and by that a later run finds a
        // process that this run left.
        let main = format!(
            "daemon off; master_process off; pid {at}/nginx.pid; error_log {at}/nginx.log info;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n\
             access_log off; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;\n\
             uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;\n\
             include {at}/waypost.conf;\n\
             }}\n"
        );
        std::fs::write(&conf, main)?;
        let mut command = Command::new(tool::path("nginx").context("nginx is not installed")?);
        command.arg("-p").arg(dir).arg("-e").arg(dir.join("nginx.log")).arg("-c").arg(&conf);
        command.env("WAYPOST_DATA_DIR", dir.join("none")).stdin(Stdio::null()).stdout(Stdio::null());
        let mut proxy = Self { address, child: command.stderr(Stdio::null()).spawn()? };
        wait::until("nginx to listen", || {
            if let Some(status) = proxy.child.try_wait()? {
                let log = std::fs::read_to_string(dir.join("nginx.log")).unwrap_or_default();
                bail!("it ended: {status}: {log}");
            }
            Ok(TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok().map(drop))
        })?;
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both fail only if nginx has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The operators' configuration with these addresses, and without TLS.
fn configuration(listen: SocketAddr, nodes: &[SocketAddr]) -> Result<String> {
    let mut made = String::new();
    let mut named = 0;
    for line in GIVEN.lines() {
        let words = line.trim_start();
        if words.starts_with("ssl_") || words.starts_with("listen 443") {
            continue;
        }
        if words.starts_with("listen 80") {
            made += &format!("listen {listen};\n");
        } else if let Some((_, options)) =
            words.strip_prefix("server ").and_then(|server| server.split_once(GIVEN_PORT))
        {
            let node = nodes[named % nodes.len()];
            made += &format!("server {node}{options}\n");
            named += 1;
        } else {
            made += &format!("{line}\n");
        }
    }
    if named == 0 || !made.contains(&format!("listen {listen}")) {
        bail!("packaging/nginx/waypost.conf has changed: it names {named} servers");
    }
    Ok(made)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_configuration_gets_the_nodes_of_the_run() {
        let nodes = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"].map(|node| node.parse().unwrap());
        let made = configuration("127.0.0.1:9".parse().unwrap(), &nodes).unwrap();
        for node in nodes {
            assert_eq!(made.matches(&format!("server {node} max_fails=1")).count(), 2, "{made}");
        }
        assert!(!made.contains("10.0.0") && !made.contains("ssl"), "{made}");
        assert!(made.contains("listen 127.0.0.1:9;") && made.contains("proxy_next_upstream"), "{made}");
    }
}
