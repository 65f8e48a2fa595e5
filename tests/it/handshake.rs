//! The opening handshake of a WebSocket: what is no handshake is answered with a status and JSON that say why.

use crate::support::{checked, nodes, read_answer};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use testkit::Cluster;
use testkit::ws::{Upgrade, Ws};

const PATH: &str = "/socket/events/websocket?vsn=2.0.0&token=";
const LINES: [&str; 4] = [
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

#[test]
fn handshakes_follow_the_standard() {
    checked(nodes(1), &[("what a handshake lacks", faults), ("what a handshake may have", variants)]);
}

/// Sends a handshake in which the line that begins like `line` is replaced. Returns the answer's head and body.
fn sent(c: &Cluster, token: &str, version: &str, line: &str) -> Result<(String, String)> {
    let name = line.split(':').next().unwrap_or_default();
    let kept = LINES.iter().filter(|known| !known.starts_with(&format!("{name}:"))).copied();
    let lines: Vec<&str> = kept.chain([line].into_iter().filter(|line| !line.ends_with(':'))).collect();
    let request = format!("GET {PATH}{token} HTTP/{version}\r\nHost: x\r\n{}\r\n\r\n", lines.join("\r\n"));
    let mut stream = TcpStream::connect(c.nodes[0].http)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(request.as_bytes())?;
    let (head, body) = read_answer(&mut stream)?;
    Ok((head.to_ascii_lowercase(), body))
}

fn faults(c: &Cluster) -> Result<()> {
    let map = c.map("faults")?;
    for (version, line, status, code) in [
        ("1.1", "Upgrade:", 426, "upgrade_required"),
        ("1.1", "Upgrade: h2c", 426, "upgrade_required"),
        ("1.1", "Upgrade: h2c, websocket", 400, "bad_handshake"),
        ("1.1", "Sec-WebSocket-Version:", 426, "websocket_version"),
        ("1.1", "Sec-WebSocket-Version: 8", 426, "websocket_version"),
        ("1.1", "Sec-WebSocket-Key:", 400, "bad_handshake"),
        ("1.1", "Sec-WebSocket-Key: c2hvcnQ=", 400, "bad_handshake"),
        ("1.1", "Connection: keep-alive", 400, "bad_handshake"),
        ("1.1", "Content-Length: 5", 400, "bad_handshake"),
        ("1.0", "X: y", 400, "bad_handshake"),
    ] {
        let (head, body) = sent(c, &map.token, version, line)?;
        ensure!(head.starts_with(&format!("http/1.1 {status} ")) || version == "1.0", "{line}: {head}");
        ensure!(head.contains(&format!(" {status} ")), "{line}: {head}");
        let error: Value = serde_json::from_str(&body).with_context(|| format!("{line}: {head}\n{body}"))?;
        ensure!(error["error"] == code && error["status"] == status, "{line}: {error}");
        let told = head.contains("sec-websocket-version: 13") && head.contains("upgrade: websocket");
        ensure!(told == (status == 426), "{line}: {head}");
    }
    Ok(())
}

fn variants(c: &Cluster) -> Result<()> {
    let map = c.map("variants")?;
    for line in ["Upgrade: WebSocket", "Connection: UPGRADE", "Content-Length: 0", "X: y"] {
        let (head, _) = sent(c, &map.token, "1.1", line)?;
        ensure!(head.starts_with("http/1.1 101 "), "{line}: {head}");
        ensure!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{line}: {head}");
    }
    let offered = [("Sec-WebSocket-Protocol", "other, phoenix")];
    match Ws::upgrade(c.nodes[0].http, &format!("{PATH}{}", map.token), &offered)? {
        Upgrade::Open(_, head) => {
            ensure!(head.to_ascii_lowercase().contains("sec-websocket-protocol: phoenix"), "{head}");
            Ok(())
        }
        Upgrade::Refused(status, answer) => anyhow::bail!("{status}: {answer}"),
    }
}
