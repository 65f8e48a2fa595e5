//! TLS on the client port: the command line, a WebSocket, HTTP/1.1 only, and a certificate that is replaced
//! at run time. `waypost cluster certs` makes the certificates.

use crate::certificates::{Authority, FAR, Files};
use crate::pace;
use crate::support::{binary, printed, read_answer, read_until, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use testkit::cluster::{ADMIN, Map, own_ports};
use testkit::node::Node;
use testkit::wait;
use testkit::ws::small_stream;
use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

/// Runs the program with no settings but `env`.
fn run(arguments: &[&str], env: &[(&str, &str)]) -> Result<Output> {
    Ok(waypost(arguments).envs(env.iter().copied()).output()?)
}

/// Opens a connection that trusts one authority and offers HTTP/2.
fn connect(node: &Node, ca: &Path) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    connect_on(TcpStream::connect(node.http)?, ca)
}

/// Does the same on an open TCP connection.
fn connect_on(mut socket: TcpStream, ca: &Path) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut connection = ClientConnection::new(Arc::new(config), "127.0.0.1".try_into()?)?;
    connection.complete_io(&mut socket)?;
    ensure!(connection.alpn_protocol() == Some(b"http/1.1"), "{:?}", connection.alpn_protocol());
    Ok(StreamOwned::new(connection, socket))
}

/// Starts one node with these files and waits until it is ready.
fn start(mut node: Node, files: &Files) -> Result<Node> {
    node.env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
    node.env.insert("WAYPOST_WORKERS".to_owned(), "1".to_owned());
    node.env.insert("WAYPOST_SESSION_STALL_SECONDS".to_owned(), pace::STALL.to_string());
    node.env.insert("WAYPOST_SESSION_SEND_BUFFER_BYTES".to_owned(), pace::SEND_BUFFER.to_string());
    node.env.insert("WAYPOST_HTTP_TLS_CERT".to_owned(), files.cert.display().to_string());
    node.env.insert("WAYPOST_HTTP_TLS_KEY".to_owned(), files.key.display().to_string());
    node.start()?;
    wait::until("the node to be ready", || {
        let mut stream = connect(&node, &files.ca)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")?;
        Ok(read_answer(&mut stream)?.0.starts_with("HTTP/1.1 200").then_some(()))
    })
    .map_err(|error| error.context(node.log_tail(40)))?;
    Ok(node)
}

/// Opens a WebSocket that joins nothing, and checks that a heartbeat is answered.
fn speaks_websocket(node: &Node, ca: &Path, token: &str) -> Result<()> {
    let mut stream = connect(node, ca)?;
    let path = testkit::phoenix::path(token);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n{upgrade}{key}\r\n")?;
    let head = read_until(&mut stream, "\r\n\r\n")?;
    ensure!(head.starts_with("HTTP/1.1 101"), "{head}");
    let beat = br#"[null,"1","phoenix","heartbeat",{}]"#;
    // A final text frame, masked with zeros.
    stream.write_all(&[&[0x81, 0x80 | beat.len() as u8, 0, 0, 0, 0][..], beat].concat())?;
    read_until(&mut stream, "phx_reply").map(drop)
}

/// Opens connections that send nothing. The server closes them after some seconds, so a client that had to
/// wait for them would be served only after the first of them was closed. A slow machine may need several
/// attempts to be faster.
fn silent_connections_delay_no_client(node: &Node, ca: &Path) -> Result<()> {
    wait::until("an answer while all of them are open", || {
        let silent = (0..600).map(|_| TcpStream::connect(node.http)).collect::<std::io::Result<Vec<_>>>()?;
        let mut stream = connect(node, ca)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")?;
        ensure!(read_answer(&mut stream)?.0.starts_with("HTTP/1.1 200"), "not ready");
        let first = silent.first().context("none")?;
        first.set_nonblocking(true)?;
        let there = first.peek(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        Ok(there.then_some(()))
    })
}

/// A client that reads a large event slowly stays connected: the server measures its progress below TLS.
fn steady_reader(node: &Node, ca: &Path, map: &Value) -> Result<()> {
    let word = |member: &str| map[member].as_str().map(str::to_owned).context("the map lacks a member");
    let map = Map { id: word("id")?, slug: word("slug")?, token: word("token")? };
    let mut stream = connect_on(small_stream(node.http, pace::RECEIVE_BUFFER)?, ca)?;
    pace::join(&mut stream, &map)?;
    for payload in pace::large_and_small() {
        let mut publisher = connect(node, ca)?;
        let body = json!({"type": "x", "payload": payload}).to_string();
        let head =
            format!("POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n", map.events(), map.token);
        let length = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        publisher.write_all([head, length, body].concat().as_bytes())?;
        let (head, body) = read_answer(&mut publisher)?;
        ensure!(head.starts_with("HTTP/1.1 201"), "{head}{body}");
    }
    pace::takes_all(&mut stream)
}

#[test]
fn clients_can_use_tls() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("certs");
    let out_text = out.display().to_string();
    let (http, peer) = own_ports().unwrap();
    let ip = http.ip().to_string();
    let names = ["--node", "n", "--also", "127.0.0.1", "--also", &ip];
    let made = run(&[&["cluster", "certs", "--out", &out_text][..], &names].concat(), &[]).unwrap();
    assert!(made.status.success(), "{}", printed(&made));
    let files = Files { ca: out.join("ca.pem"), cert: out.join("n.pem"), key: out.join("n.key") };
    let node = start(Node::new(Path::new(&binary()), &dir.path().join("node"), http, peer), &files).unwrap();
    check_all(&node, &files).unwrap_or_else(|error| panic!("{error:#}\n{}", node.log_tail(40)));
}

fn check_all(node: &Node, files: &Files) -> Result<()> {
    let url = format!("https://{}", node.http);
    let ca = files.ca.display().to_string();
    let env = [("WAYPOST_URL", url.as_str()), ("WAYPOST_CA", &ca), ("WAYPOST_TOKEN", ADMIN)];
    let created = run(&["map", "create", "--slug", "m"], &env)?;
    ensure!(created.status.success(), "{}", printed(&created));
    let map: Value = serde_json::from_slice(&created.stdout)?;
    let published = run(&["publish", "m", "x", "{}"], &env)?;
    ensure!(published.status.success(), "{}", printed(&published));
    speaks_websocket(node, &files.ca, map["token"].as_str().context("no token")?)?;
    silent_connections_delay_no_client(node, &files.ca)?;
    steady_reader(node, &files.ca, &map).context("a steady reader")?;
    let status = run(&["cluster", "status", "--json"], &env)?;
    let status: Value = serde_json::from_slice(&status.stdout)?;
    ensure!(status["http_certificate_until"].is_u64(), "{status}");

    // Without the authority the client rejects the certificate and names the flag.
    let refused = run(&["cluster", "status"], &[env[0], env[2]])?;
    ensure!(!refused.status.success() && printed(&refused).contains("--ca"), "{}", printed(&refused));
    let plain = run(&["cluster", "status", "--url", &url.replace("https", "http")], &env[1..])?;
    ensure!(!plain.status.success(), "{}", printed(&plain));

    // A certificate of another authority replaces the old one while a connection stays open.
    let mut open = connect(node, &files.ca)?;
    // An idle connection is kept for longer after somebody has authenticated on it.
    write!(open, "GET /api/maps/none HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\n\r\n")?;
    ensure!(read_answer(&mut open)?.0.starts_with("HTTP/1.1 404"), "the map is known");
    healthy(&mut open)?;
    no_http(connect(node, &files.ca)?)?;
    let next = Authority::new("next")?;
    let replaced = Files { ca: files.ca.with_file_name("next.pem"), ..files.clone() };
    std::fs::write(&replaced.ca, next.pem())?;
    next.replace(&replaced, FAR)?;
    wait::until("the new certificate to be shown", || connect(node, &replaced.ca).map(Some))?;
    ensure!(connect(node, &files.ca).is_err(), "the node still presents the old certificate");
    healthy(&mut open).context("the open connection broke")
}

/// Sends one request and reads its whole answer.
fn healthy(stream: &mut (impl Read + Write)) -> Result<()> {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let (head, _) = read_answer(stream)?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    ensure!(head.contains("strict-transport-security: max-age="), "{head}");
    Ok(())
}

/// Sends what is no HTTP, and reads an error in JSON.
fn no_http(mut stream: impl Read + Write) -> Result<()> {
    stream.write_all(b"nonsense\r\n\r\n")?;
    let (head, body) = read_answer(&mut stream)?;
    ensure!(head.starts_with("HTTP/1.1 400") && body.contains("\"invalid_request\""), "{head}{body}");
    ensure!(head.contains("strict-transport-security: max-age="), "{head}");
    Ok(())
}
