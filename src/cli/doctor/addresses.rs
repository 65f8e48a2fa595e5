//! The addresses of the node's configuration: whether it can listen there, whether names lead anywhere, and
//! whether somebody answers.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::timeout,
};

use super::{
    super::{healthcheck::ask, http1::is_peer_port},
    CONNECT,
    here::Here,
    report::Report,
};
use crate::config::Config;

const AREA: &str = "addresses";

/// Checks all addresses of the configuration. `here` is who answers at its client port. Returns the peer ports of
/// other nodes that are reached.
pub(super) async fn check(config: &Config, here: &Here, report: &mut Report) -> Vec<String> {
    client_port(config, here, report);
    let runs = here.may_be_own();
    listens("peer_addr", config.peer_addr, runs, report);
    wildcards(config, report);
    for (setting, addr) in [
        ("advertise_http_addr", &config.advertise_http_addr),
        ("advertise_peer_addr", &config.advertise_peer_addr),
    ] {
        if let Some(addr) = addr {
            advertised(setting, addr, runs, report).await;
        }
    }
    joined(config, report).await
}

/// Whether a node with this configuration can listen at `http_addr`, or does so.
fn client_port(config: &Config, here: &Here, report: &mut Report) {
    let addr = config.http_addr;
    match here {
        Here::Other { node, own } => report.fail(
            AREA,
            format!("{node} listens at http_addr {addr}; this configuration is {own}"),
            "choose another http_addr, or stop that node; if it is the node of this configuration, restart it, so that \
             it takes its new name and address",
        ),
        Here::Unknown => {
            let what = format!("http_addr {addr} is in use, and a node runs here");
            let todo = "whether it has this configuration, its status tells, which needs the admin token";
            report.tell(AREA, what, todo);
        }
        Here::Nobody | Here::Own => listens("http_addr", addr, here.may_be_own(), report),
    }
}

fn listens(setting: &'static str, addr: SocketAddr, runs: bool, report: &mut Report) {
    if addr.port() == 0 {
        return report.ok(AREA, format!("{setting} {addr} leaves the port to the system"));
    }
    match can_be_bound(addr) {
        Ok(()) => report.ok(AREA, format!("{setting} {addr} is free: a node can listen there")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && runs => {
            report.ok(AREA, format!("{setting} {addr} is in use, and a node runs here"));
        }
        Err(error) => {
            let (what, todo) = no_listener(setting, addr, &error);
            report.fail(AREA, what, todo);
        }
    }
}

/// Whether a node could listen there. The address is bound as a node binds it, and not listened at: so a node that
/// starts at this moment gets it.
fn can_be_bound(addr: SocketAddr) -> io::Result<()> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)
}

/// Why no node can listen at an address, and what to do.
fn no_listener(setting: &str, addr: SocketAddr, error: &io::Error) -> (String, String) {
    match error.kind() {
        io::ErrorKind::AddrInUse => (
            format!("another process listens at {setting} {addr}"),
            format!("stop it (`ss -ltnp` shows it), or choose another {setting}"),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("no interface of this host has the address of {setting} {addr}"),
            format!("set {setting} to an address of this host, as `ip address` shows them, or to 0.0.0.0"),
        ),
        io::ErrorKind::PermissionDenied => (
            format!("this user may not listen at {setting} {addr}"),
            "choose a port from 1024 on, or allow it (AmbientCapabilities=CAP_NET_BIND_SERVICE of systemd)"
                .to_owned(),
        ),
        _ => (
            format!("nobody can listen at {setting} {addr}: {error}"),
            format!("correct {setting}, or see the network of this host"),
        ),
    }
}

/// A node that listens at every address has to say which one others use.
fn wildcards(config: &Config, report: &mut Report) {
    if config.peer_addr.ip().is_unspecified() && config.advertise_peer_addr.is_none() {
        let what = format!(
            "peer_addr {} names no host, so other nodes don't know where this one is",
            config.peer_addr
        );
        report.fail(AREA, what, "set advertise_peer_addr to the host and port that the other nodes use");
    }
    if config.http_addr.ip().is_unspecified() && config.advertise_http_addr.is_none() {
        let what = format!("http_addr {} names no host, and the status shows it as it is", config.http_addr);
        report.warn(AREA, what, "set advertise_http_addr to the host and port that clients use");
    }
}

/// Checks an address under which others know this node.
async fn advertised(setting: &'static str, addr: &str, runs: bool, report: &mut Report) {
    let found = match resolved(addr).await {
        Ok(found) => found,
        Err(why) => return unresolved(setting, addr, &why, report),
    };
    if !runs {
        report.ok(AREA, format!("{setting} {addr} leads to {}", shown(&found)));
        return;
    }
    match reached(&found).await {
        Ok(()) => report.ok(AREA, format!("{setting} {addr} is reached from here")),
        Err(why) => report.fail(
            AREA,
            format!("the node runs, and is not reached at {setting} {addr} from here: {why}"),
            format!("correct {setting}, or let connections to it pass (firewall, NAT, container ports)"),
        ),
    }
}

/// Checks the other nodes that the configuration names. Returns those whose peer ports are reached.
async fn joined(config: &Config, report: &mut Report) -> Vec<String> {
    let own = [Some(config.peer_addr.to_string()), config.advertise_peer_addr.clone()];
    let others: Vec<&String> =
        config.join.iter().filter(|addr| !own.iter().flatten().any(|own| own == *addr)).collect();
    let mut peers = Vec::new();
    for addr in &others {
        let found = match resolved(addr).await {
            Ok(found) => found,
            Err(why) => {
                unresolved("join", addr, &why, report);
                continue;
            }
        };
        match reached(&found).await {
            Ok(()) if is_client_port(addr).await => report.fail(
                AREA,
                format!("{addr} of join is a client port (HTTP) of a node, and nodes talk at the peer port"),
                "name that node's peer port in join: peer_addr or advertise_peer_addr of its configuration",
            ),
            Ok(()) => {
                report.ok(AREA, format!("{addr} of join is reached from here"));
                peers.push((*addr).clone());
            }
            Err(why) => report.warn(
                AREA,
                format!("{addr} of join is not reached from here: {why}"),
                "start that node, or let connections to its peer port pass (firewall, routes)",
            ),
        }
    }
    peers
}

/// Whether a node answers clients at `host:port`.
async fn is_client_port(addr: &str) -> bool {
    // A peer port is not bothered with HTTP if its certificate shows what it is.
    let split = addr.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    if let Some((host, port)) = split
        && is_peer_port(host.trim_matches(['[', ']']), port).await
    {
        return false;
    }
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://{addr}/healthz");
        let answer = timeout(CONNECT, ask(&url)).await;
        if answer.is_ok_and(|answer| answer.is_ok_and(|(_, body)| body.contains("\"status\""))) {
            return true;
        }
    }
    false
}

fn unresolved(setting: &str, addr: &str, why: &str, report: &mut Report) {
    let what = format!("{setting} {addr} leads nowhere: {why}");
    report.fail(AREA, what, format!("correct {setting}, or the resolver of this host (/etc/resolv.conf)"));
}

/// The addresses behind `host:port`, at least one.
async fn resolved(addr: &str) -> Result<Vec<SocketAddr>, String> {
    match timeout(CONNECT, lookup_host(addr)).await {
        Err(_) => Err("no answer of the resolver in time".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => {
            let found: Vec<SocketAddr> = found.collect();
            if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
        }
    }
}

/// Whether somebody listens at one of these addresses.
async fn reached(addrs: &[SocketAddr]) -> Result<(), String> {
    match timeout(CONNECT, TcpStream::connect(addrs)).await {
        Err(_) => Err(format!("no connection within {} s", CONNECT.as_secs())),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) => Ok(()),
    }
}

/// Whether somebody listens at `host:port`.
pub(super) async fn answers(addr: &str) -> Result<(), String> {
    reached(&resolved(addr).await?).await
}

fn shown(addrs: &[SocketAddr]) -> String {
    addrs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_is_free_taken_or_the_nodes_own() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        let failed = |addr, runs| {
            let mut report = Report::default();
            listens("http_addr", addr, runs, &mut report);
            report.failed()
        };
        assert_eq!((failed(addr, false), failed(addr, true)), (1, 0));
        // A network for documentation: no host has an address of it.
        assert_eq!(failed(SocketAddr::from(([192, 0, 2, 1], 1)), true), 1);
        assert_eq!(failed(SocketAddr::from(([127, 0, 0, 1], 0)), false), 0);
        // A node that starts has bound its address before it listens there.
        let free = TcpSocket::new_v4().unwrap();
        free.set_reuseaddr(true).unwrap();
        free.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        assert_eq!(failed(free.local_addr().unwrap(), false), 0);
        free.listen(1).unwrap();
    }

    #[tokio::test]
    async fn a_wildcard_needs_an_address_for_others() {
        let mut report = Report::default();
        let any = SocketAddr::from(([0, 0, 0, 0], 0));
        let config = Config { peer_addr: any, http_addr: any, ..Config::default() };
        wildcards(&config, &mut report);
        assert_eq!((report.failed(), report.len()), (1, 2));
        assert!(answers("127.0.0.1:nowhere").await.is_err());
    }
}
