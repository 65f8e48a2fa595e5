//! Tests of whole sessions over real sockets, with a protocol that echoes.

mod autobahn;
mod notes;

use super::*;
use crate::delivery::{DispatcherConfig, Incoming, Link, Next, Subscriber};
use crate::hub::{Hub, HubConfig};
use actix_web::web::{Data, scope, to};
use actix_web::{App, HttpServer};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use testkit::ws::{Message, Ws, opcode};

/// Largest message in bytes. It is more than a frame's head of four bytes can express.
const MAX_BYTES: usize = 70_000;
const LIMIT: Duration = Duration::from_secs(60);
const CONFIG: DispatcherConfig = DispatcherConfig {
    ring_bytes: 1 << 20,
    ring_events: 1024,
    rings_bytes: 1 << 20,
    stall_seconds: 60,
    least_bytes: 1,
    idle_seconds: 600,
    join_seconds: 600,
    position_seconds: 60,
};

/// Sends each message back. With `marks` a binary message comes with a text before and a text behind it.
struct Echo {
    subscriber: Rc<Subscriber>,
    marks: bool,
}

impl Protocol for Echo {
    const NAME: &'static str = "echo";

    type Note = std::convert::Infallible;

    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self> {
        match message {
            Incoming::Text(text) => link.text(text.to_string()),
            Incoming::Binary(bytes) if self.marks => {
                link.text("before".to_owned());
                link.binary(bytes);
                link.text("behind".to_owned());
            }
            Incoming::Binary(bytes) => link.binary(bytes),
        }
        Next::Done
    }

    fn subscriber(&self) -> &Rc<Subscriber> {
        &self.subscriber
    }
}

/// Echoes with marks at `/`, plainly at `/plain`, and at `/slow` to a client that may send little. Refuses at
/// `/refused`.
async fn echo(
    request: HttpRequest,
    payload: Payload,
    hub: Data<Hub>,
) -> Result<HttpResponse, actix_web::Error> {
    let dispatcher = Dispatcher::of_this_thread(&hub, &CONFIG);
    let subscriber = Subscriber::new(&dispatcher, &crate::hub::Who::Admin, 8 * 1024);
    let protocol = Echo { subscriber, marks: request.path() == "/" };
    let rate = match request.path() {
        "/slow" => MessageRate { per_second: 50, burst: 10 },
        _ => MessageRate { per_second: 1_000_000, burst: 1_000_000 },
    };
    let config = WsConfig { max_message_bytes: MAX_BYTES, rate, deflate: request.path() != "/plain" };
    let handshake = Handshake::read(&request, &[]).unwrap();
    if request.path() == "/refused" {
        return Ok(refuse(handshake, "no", 4001, "gone"));
    }
    start(&request, (handshake, payload), &dispatcher, protocol, &config)
}

/// Runs a server for as long as `client` runs against it.
fn with_server(client: impl FnOnce(SocketAddr) + Send + 'static) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = waypost_cluster::Config {
        data_dir: folder.path().to_owned(),
        peer_addr: ([127, 0, 0, 1], 0).into(),
        ..waypost_cluster::Config::default()
    };
    let config = HubConfig {
        admin: None,
        idempotency: LIMIT,
        encryption_key: None,
        expressions_per_topic: 1,
        ephemeral_link_bytes: 1 << 20,
        cut_off_after: None,
        presence_grace: std::time::Duration::from_secs(3),
        channel_joins_per_minute: 0,
        longest_client_token: std::time::Duration::from_secs(86_400),
    };
    actix_rt::System::new().block_on(async move {
        let hub = Hub::start(config, cluster).await.unwrap();
        let data = Data::new(hub.clone());
        let server = HttpServer::new(move || {
            let notes = scope("/notes").default_service(to(notes::notes));
            App::new().app_data(data.clone()).service(notes).default_service(to(echo))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let addr = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        let server = actix_rt::spawn(server);
        actix_rt::task::spawn_blocking(move || client(addr)).await.unwrap();
        handle.stop(false).await;
        server.await.unwrap().unwrap();
        hub.shutdown().await;
    });
}

fn next(ws: &mut Ws) -> Message {
    ws.read(LIMIT).unwrap().expect("an answer")
}

fn echoed(ws: &mut Ws, bytes: &[u8]) {
    assert!(matches!(next(ws), Message::Text(text) if text == "before"));
    assert!(matches!(next(ws), Message::Binary(back) if back == bytes), "{} bytes", bytes.len());
    assert!(matches!(next(ws), Message::Text(text) if text == "behind"));
}

#[test]
fn binary_messages_go_both_ways_in_order_and_bounded() {
    with_server(|addr| {
        let mut ws = Ws::connect(addr, "/").unwrap();
        for len in [0, 2, 125, 126, 0xffff, MAX_BYTES] {
            let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8 ^ 0xff).collect();
            ws.binary(&bytes).unwrap();
            echoed(&mut ws, &bytes);
        }
        ws.frame(false, opcode::BINARY, b"\xff\xfe").unwrap();
        ws.frame(true, opcode::CONTINUATION, b"\x00").unwrap();
        echoed(&mut ws, b"\xff\xfe\x00");
        ws.text("and a text").unwrap();
        assert!(matches!(next(&mut ws), Message::Text(text) if text == "and a text"));
        ws.binary(&vec![0; MAX_BYTES + 1]).unwrap();
        let told =
            format!("a message has at most {MAX_BYTES} bytes; the limit is the setting limits.frame_bytes");
        assert_eq!(next(&mut ws), Message::Close(Some(1009), told));

        let mut ws = Ws::connect(addr, "/").unwrap();
        ws.frame(false, opcode::BINARY, &vec![0; MAX_BYTES]).unwrap();
        ws.frame(true, opcode::CONTINUATION, b"x").unwrap();
        assert!(matches!(next(&mut ws), Message::Close(Some(1009), _)), "fragments together");
    });
}

#[test]
fn a_refused_client_gets_a_text_and_a_close_frame() {
    with_server(|addr| {
        let mut ws = Ws::connect(addr, "/refused").unwrap();
        assert_eq!(next(&mut ws), Message::Text("no".to_owned()));
        assert_eq!(next(&mut ws), Message::Close(Some(4001), "gone".to_owned()));
        assert_eq!(next(&mut ws), Message::End);
    });
}

/// A client that sends at once more than it may is read later. It loses nothing, and is not closed.
#[test]
fn a_fast_client_is_slowed_down() {
    const SENT: usize = 60;
    with_server(|addr| {
        let mut ws = Ws::connect(addr, "/slow").unwrap();
        let began = Instant::now();
        (0..SENT).for_each(|n| ws.text(&n.to_string()).unwrap());
        for n in 0..SENT {
            assert_eq!(next(&mut ws), Message::Text(n.to_string()));
        }
        // Ten at once, then fifty a second.
        assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    });
}
