//! Replacements for name servers and the network, and servers that follow a script.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    core::{ids::WebhookId, webhook::Method},
    delivery::webhook::{
        client::{Answer, Client, Failure, Outgoing, Outside, Requester},
        dial::Dial,
        guard::{Guard, Target},
        resolve::{NoAddress, Resolve},
    },
};

/// The address of `receiver.example`, as far as the guard is concerned.
pub(super) const PUBLIC: &str = "93.184.216.34";
/// A time limit that no test should reach.
pub(super) const LONG: Duration = Duration::from_secs(30);
/// A time limit that tests reach on purpose.
pub(super) const SHORT: Duration = Duration::from_secs(3);

/// Answers by a script: one list of addresses for each question. The last list answers all further questions.
#[derive(Default)]
pub(super) struct Names(RefCell<HashMap<String, VecDeque<Vec<IpAddr>>>>, RefCell<Vec<String>>);

impl Names {
    pub(super) fn with(name: &str, answers: &[&[&str]]) -> Rc<Self> {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        let names = Self::default();
        names.0.borrow_mut().insert(name.to_owned(), answers.iter().map(parse).collect());
        Rc::new(names)
    }

    pub(super) fn asked(&self) -> usize {
        self.1.borrow().len()
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, NoAddress>> {
        self.1.borrow_mut().push(name.to_owned());
        let mut names = self.0.borrow_mut();
        let answer = names.get_mut(name).map(|answers| {
            let last = answers.len() == 1;
            if last { answers[0].clone() } else { answers.pop_front().unwrap() }
        });
        Box::pin(std::future::ready(answer.ok_or_else(|| NoAddress(format!("there is no host {name}")))))
    }
}

/// Records the addresses that it was told to dial. If it is routed, it connects to the same port of 127.0.0.1
/// instead. No packet goes anywhere else.
#[derive(Default)]
pub(super) struct Recorder {
    pub(super) dialled: RefCell<Vec<SocketAddr>>,
    routed: bool,
    silent: Vec<IpAddr>,
}

impl Recorder {
    pub(super) fn deaf() -> Rc<Self> {
        Rc::default()
    }

    pub(super) fn routed() -> Rc<Self> {
        Rc::new(Self { routed: true, ..Self::default() })
    }

    pub(super) fn silent_at(ip: &str) -> Rc<Self> {
        Rc::new(Self { routed: true, silent: vec![ip.parse().unwrap()], ..Self::default() })
    }

    pub(super) fn count(&self) -> usize {
        self.dialled.borrow().len()
    }
}

impl Dial for Recorder {
    fn connect(&self, to: SocketAddr) -> LocalBoxFuture<'static, io::Result<TcpStream>> {
        self.dialled.borrow_mut().push(to);
        if self.silent.contains(&to.ip()) {
            return Box::pin(std::future::pending());
        }
        if self.routed {
            return Box::pin(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], to.port()))));
        }
        Box::pin(std::future::ready(Err(io::ErrorKind::ConnectionRefused.into())))
    }
}

/// A client without an allow-list, for which `receiver.example` is a public host.
pub(super) fn client(recorder: &Rc<Recorder>) -> Client {
    let outside = Outside::new(Guard::default(), None).unwrap();
    Client::through(&outside, Names::with("receiver.example", &[&[PUBLIC]]), recorder.clone())
}

pub(super) fn receiver(port: u16) -> Target {
    Guard::default().target(&format!("http://receiver.example:{port}/hook?a=b")).unwrap()
}

pub(super) fn outgoing(url: &Target, timeout: Duration) -> Outgoing<'_> {
    Outgoing { method: Method::Post, url, headers: vec![], body: Bytes::from_static(b"{\"a\":1}"), timeout }
}

/// A webhook that repeats requests that may have been taken.
pub(super) const WEBHOOK: Requester = Requester { id: WebhookId::from_bytes([1; 16]), ambiguous: true };
/// A webhook that does not.
pub(super) const CHAT: Requester = Requester { id: WebhookId::from_bytes([2; 16]), ambiguous: false };

pub(super) async fn send(client: &Client, url: &Target, timeout: Duration) -> Result<Answer, Failure> {
    client.send(outgoing(url, timeout), WEBHOOK).await
}

/// Serves each connection by the script. The script gets the connection's number, from 0. Returns the port.
pub(super) async fn serve<F, Fut>(script: F) -> u16
where
    F: Fn(usize, TcpStream) -> Fut + 'static,
    Fut: Future<Output = io::Result<()>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    actix_rt::spawn(async move {
        for number in 0.. {
            let Ok((stream, _)) = listener.accept().await else { return };
            actix_rt::spawn(script(number, stream));
        }
    });
    port
}

/// Reads one request, head and body. Returns an error at the end of the connection.
pub(super) async fn request<S: AsyncReadExt + Unpin>(stream: &mut S) -> io::Result<String> {
    let mut text = String::new();
    loop {
        text.push(char::from(stream.read_u8().await?));
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return Ok(text);
        }
    }
}

pub(super) async fn answer<S: AsyncWriteExt + Unpin>(stream: &mut S, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    stream.flush().await
}

/// An answer after which the connection is kept.
pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Closes the connection with a reset instead of an orderly end.
pub(super) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}
