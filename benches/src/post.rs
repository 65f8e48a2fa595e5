//! Measures the raw limit of webhooks: clients that send one request again and again over kept connections,
//! without a log, a signature or a retry. They run in a separate process, which reports the CPU time that it
//! used.

use std::{
    cell::Cell,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    rc::Rc,
};

use anyhow::{Context, Result, anyhow, bail};
use awc::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use tokio::process::Command;

use crate::{http, receiver::headers};
use testkit::proc;

/// The client that sends.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum With {
    /// The HTTP client on which Waypost is built, without changes.
    Awc,
    /// Prepared bytes, written to a socket.
    Raw,
}

/// What to send, and how.
#[derive(Clone, clap::Args)]
pub(crate) struct Plan {
    #[arg(long)]
    pub(crate) addr: SocketAddr,
    /// A file with a whole request, which is sent again and again
    #[arg(long)]
    pub(crate) request: PathBuf,
    /// Number of requests
    #[arg(long)]
    pub(crate) count: u64,
    /// Requests that are open at the same time, each on its own connection
    #[arg(long)]
    pub(crate) window: usize,
    #[arg(long)]
    pub(crate) with: With,
}

/// Runs the plan in a separate process. Returns its CPU-seconds.
///
/// # Errors
/// A request did not get the expected answer.
pub(crate) async fn run(plan: &Plan) -> Result<f64> {
    let with = match plan.with {
        With::Awc => "awc",
        With::Raw => "raw",
    };
    let request = plan.request.to_string_lossy();
    let output = Command::new(std::env::current_exe()?)
        .args(["post", "--addr", &plan.addr.to_string(), "--request", &request, "--with", with])
        .args(["--count", &plan.count.to_string(), "--window", &plan.window.to_string()])
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        bail!("the bare client ended: {}", output.status);
    }
    String::from_utf8(output.stdout)?.trim().parse().context("the bare client did not print its CPU-seconds")
}

/// Runs the plan in this process. Returns the CPU-seconds from before the first request to the last answer.
///
/// # Errors
/// A request did not get the expected answer.
pub(crate) fn here(plan: &Plan) -> Result<f64> {
    let request = std::fs::read(&plan.request).with_context(|| plan.request.display().to_string())?;
    let me = [std::process::id()];
    actix_rt::System::new().block_on(async {
        let left = Rc::new(Cell::new(plan.count));
        let before = proc::cpu_seconds(&me)?;
        match plan.with {
            With::Awc => with_awc(plan, &request, &left).await?,
            With::Raw => with_sockets(plan, &request, &left).await?,
        }
        Ok(proc::cpu_seconds(&me)? - before)
    })
}

/// Takes one of the remaining requests; false when none remain.
fn take(left: &Cell<u64>) -> bool {
    let before = left.get();
    left.set(before.saturating_sub(1));
    before > 0
}

async fn with_awc(plan: &Plan, request: &[u8], left: &Rc<Cell<u64>>) -> Result<()> {
    let (url, headers, body) = parts(plan.addr, request)?;
    let client = awc::Client::builder().no_default_headers().finish();
    let headers = Rc::new(headers);
    let url = Rc::new(url);
    let tasks = (0..plan.window).map(|_| {
        let client = client.clone();
        let left = left.clone();
        let headers = headers.clone();
        let url = url.clone();
        let body = body.clone();
        actix_rt::spawn(async move {
            while take(&left) {
                let mut request = client.post(url.as_str());
                for (name, value) in headers.iter() {
                    request = request.insert_header((name.clone(), value.clone()));
                }
                let answer = request.send_body(body.clone()).await.map_err(|error| anyhow!("{error}"))?;
                if answer.status() != 204 {
                    bail!("answered {}", answer.status());
                }
            }
            anyhow::Ok(())
        })
    });
    join(tasks.collect()).await
}

type Headers = Vec<(HeaderName, HeaderValue)>;

/// The URL, the headers and the body of a request in bytes, without the headers that awc adds by itself.
fn parts(addr: SocketAddr, request: &[u8]) -> Result<(String, Headers, Bytes)> {
    let head = request.windows(4).position(|w| w == b"\r\n\r\n").context("no request in the file")? + 4;
    let path = request.split(|b| *b == b' ').nth(1).context("no path in the request")?;
    let url = format!("http://{addr}{}", std::str::from_utf8(path)?);
    let own = |name: &str| ["host", "content-length"].iter().any(|own| name.eq_ignore_ascii_case(own));
    let headers: Result<Headers> = headers(&request[..head])?
        .filter(|(name, _)| !own(name))
        .map(|(name, value)| Ok((HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?)))
        .collect();
    Ok((url, headers?, Bytes::copy_from_slice(&request[head..])))
}

async fn with_sockets(plan: &Plan, request: &[u8], left: &Rc<Cell<u64>>) -> Result<()> {
    let mut tasks = Vec::with_capacity(plan.window);
    for _ in 0..plan.window {
        let mut client = http::Client::connect(plan.addr).await?;
        let left = left.clone();
        let request = request.to_vec();
        tasks.push(actix_rt::spawn(async move {
            while take(&left) {
                let status = client.exchange(&request).await?;
                if status != 204 {
                    bail!("answered {status}");
                }
            }
            anyhow::Ok(())
        }));
    }
    join(tasks).await
}

async fn join(tasks: Vec<actix_rt::task::JoinHandle<Result<()>>>) -> Result<()> {
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// The file of the request for [`Plan::request`].
///
/// # Errors
/// The file can't be written.
pub(crate) fn keep(dir: &Path, name: &str, request: &[u8]) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, request)?;
    Ok(path)
}
