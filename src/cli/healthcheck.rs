//! `waypost healthcheck`: asks the node with this configuration whether it is healthy. It is for containers
//! without a shell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Method;

use super::http1::Http;
use super::settings::ConfigArgs;
use super::unverified;

/// The limit of the head and of the body of the answer. It never applies, because the check as a whole has
/// its own limit.
const NEVER: Duration = Duration::from_secs(3600);

/// Asks whether the node lives, at the address of its configuration. The exit code is 0 or 1.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Check too that the node takes clients: not while it drains or is without a majority
    #[arg(long)]
    ready: bool,
    /// Longest wait for the answer, in milliseconds
    #[arg(long, default_value_t = 2000, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    wait_ms: u64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let config = args.config.load()?.config;
    let scheme = if config.http.tls().is_some() { "https" } else { "http" };
    let path = if args.ready { "readyz" } else { "healthz" };
    let url = format!("{scheme}://{}/{path}", own_address(config.http_addr));
    let within = Duration::from_millis(args.wait_ms);
    let answer = tokio::time::timeout(within, ask(&url)).await;
    let answer = answer.with_context(|| format!("{url}: no answer within {} ms", args.wait_ms))?;
    let (status, body) = answer.with_context(|| url.clone())?;
    ensure!(status == 200, "{url}: {status} {body}");
    Ok(super::output::line(body)?)
}

/// Asks the node on this host by GET, whatever certificate it has. Returns the status and the start of the
/// body.
pub(super) async fn ask(url: &str) -> anyhow::Result<(u16, String)> {
    // The port is the node's own, its certificate need not be made for that address, and nothing secret is sent.
    let tls = if url.starts_with("https") { Some(Arc::new(unverified::config()?)) } else { None };
    let answer = Http::new(tls).send(Method::GET, url, vec![], Bytes::new(), NEVER).await?;
    let status = answer.status().as_u16();
    let body = answer.whole(4096, NEVER).await?;
    Ok((status, super::output::printable(&String::from_utf8_lossy(&body))))
}

/// The address at which a node that listens at `bound` is reached from the same machine.
pub(super) fn own_address(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    #[test]
    fn a_node_is_asked_on_its_own_machine() {
        let asked = |bound: &str| super::own_address(bound.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:4000"), "127.0.0.1:4000");
        assert_eq!(asked("[::]:4000"), "[::1]:4000");
        assert_eq!(asked("10.0.0.1:4000"), "10.0.0.1:4000");
    }
}
