//! A cheap webhook receiver: it finds the end of a request, counts it and answers 204 on the same connection.
//! It is a thread of this process; its CPU time is in no figure.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const GLANCE: Duration = Duration::from_millis(2);
/// How many connections may wait to be accepted: many webhooks connect at once, and the kernel tries again
/// only after a second.
const BACKLOG: u32 = 4096;
/// A connection ends when a request exceeds this size.
const MAX_REQUEST: usize = 1 << 20;

/// The receiver runs until this process ends.
pub(crate) struct Receiver {
    pub(crate) addr: SocketAddr,
    seen: Arc<Seen>,
}

/// What the receiver's thread shares: the count of requests, and a kept request.
#[derive(Default)]
struct Seen {
    requests: AtomicU64,
    /// Whether the next request must be kept.
    keep: AtomicBool,
    kept: Mutex<Vec<u8>>,
}

impl Receiver {
    /// # Errors
    /// The port or the thread can't be made.
    pub(crate) fn start() -> Result<Self> {
        let seen = Arc::<Seen>::default();
        let (sender, address) = mpsc::channel();
        let counted = seen.clone();
        thread::Builder::new().name(String::from("receiver")).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // The closed channel reports an error to the function that started the thread.
            let _ = runtime.map(|runtime| runtime.block_on(serve(counted, sender)));
        })?;
        Ok(Self { addr: address.recv().context("the receiver did not start")?, seen })
    }

    /// How many requests arrived so far.
    pub(crate) fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Waits until `count` requests have arrived in all.
    ///
    /// # Errors
    /// No request arrived for `patience`.
    pub(crate) async fn until(&self, count: u64, patience: Duration) -> Result<()> {
        let mut last = self.requests();
        let mut since = Instant::now();
        while last < count {
            sleep(GLANCE).await;
            let now = self.requests();
            if now > last {
                last = now;
                since = Instant::now();
            } else if since.elapsed() > patience {
                bail!("{} deliveries are missing", count - last);
            }
        }
        Ok(())
    }

    /// Keeps the next request, for [`Self::kept`].
    pub(crate) fn keep_next(&self) {
        self.seen.keep.store(true, Ordering::Relaxed);
    }

    /// The bytes of the request that was kept last.
    pub(crate) fn kept(&self) -> Vec<u8> {
        self.seen.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(seen: Arc<Seen>, listens: mpsc::Sender<SocketAddr>) -> Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let listener = socket.listen(BACKLOG)?;
    listens.send(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A sender that closes its connection ends only that connection.
        tokio::spawn(receive(stream, seen.clone()));
    }
}

async fn receive(mut stream: TcpStream, seen: Arc<Seen>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = Vec::with_capacity(4096);
    while stream.read_buf(&mut input).await? > 0 {
        while let Some(length) = request_length(&input)? {
            if seen.keep.load(Ordering::Relaxed) && seen.keep.swap(false, Ordering::Relaxed) {
                input[..length].clone_into(&mut seen.kept.lock().unwrap_or_else(PoisonError::into_inner));
            }
            input.drain(..length);
            seen.requests.fetch_add(1, Ordering::Relaxed);
            stream.write_all(ANSWER).await?;
        }
        if input.len() > MAX_REQUEST {
            bail!("too long");
        }
    }
    Ok(())
}

/// The length of the first request, if it is complete.
fn request_length(input: &[u8]) -> Result<Option<usize>> {
    let Some(head) = input.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let body = headers(&input[..head])?.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let body: usize = body.map_or(Ok(0), |(_, value)| value.parse())?;
    Ok((input.len() >= head + body).then_some(head + body))
}

/// The names and values of the headers in a request's head.
///
/// # Errors
/// The head is not text.
pub(crate) fn headers(head: &[u8]) -> Result<impl Iterator<Item = (&str, &str)>> {
    let text = std::str::from_utf8(head).map_err(|_| anyhow!("the head of the request is not text"))?;
    let lines = text.lines().skip(1).take_while(|line| !line.is_empty());
    Ok(lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_complete_with_its_last_byte() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcPOST";
        let whole = request.len() - 4;
        assert_eq!(request_length(&request[..whole - 1]).unwrap(), None);
        assert_eq!(request_length(request).unwrap(), Some(whole));
    }

    #[tokio::test]
    async fn it_counts_and_keeps() {
        let receiver = Receiver::start().unwrap();
        receiver.keep_next();
        let request = crate::http::request("POST", "/", "none", "{}");
        let mut client = crate::http::Client::connect(receiver.addr).await.unwrap();
        assert_eq!(client.exchange(&request).await.unwrap(), 204);
        receiver.until(1, Duration::from_secs(5)).await.unwrap();
        assert_eq!(receiver.kept(), request);
    }
}
