//! Notes from a session's mailbox, and the protocol's own ping, over a real socket.

use super::*;
use crate::delivery::{End, MAX_NOTES, Mailbox, Resume};

/// Sends a text for each note.
struct Noted {
    subscriber: Rc<Subscriber>,
    mailbox: Mailbox<u64>,
    idle_after: Option<Duration>,
}

impl Protocol for Noted {
    const NAME: &'static str = "noted";

    type Note = u64;

    /// A number asks for as many notes, sent from another thread. Everything else fills the mailbox.
    fn message(&mut self, message: Incoming, _: &mut dyn Link) -> Next<Self> {
        let Incoming::Text(text) = message else { return Next::Close(1003, "text only") };
        let mailbox = self.mailbox.clone();
        match text.parse::<u64>() {
            Ok(count) => drop(std::thread::spawn(move || (0..count).for_each(|note| mailbox.send(note)))),
            Err(_) => (0..=MAX_NOTES as u64).for_each(|note| mailbox.send(note)),
        }
        Next::Done
    }

    fn subscriber(&self) -> &Rc<Subscriber> {
        &self.subscriber
    }

    fn mailbox(&self) -> Option<&Mailbox<u64>> {
        Some(&self.mailbox)
    }

    /// Awaits something for each tenth note. The next note waits behind it.
    fn delivered(&mut self, note: u64, link: &mut dyn Link) -> Next<Self> {
        if note % 10 != 9 {
            link.text(note.to_string());
            return Next::Done;
        }
        Next::Await(Box::pin(async move {
            tokio::task::yield_now().await;
            let resume: Resume<Self> = Box::new(move |_, link| link.text(note.to_string()));
            resume
        }))
    }

    fn idle_after(&self) -> Option<Duration> {
        self.idle_after
    }

    fn idle(&mut self) -> Option<String> {
        Some("still there?".to_owned())
    }

    fn close_code(end: End) -> (u16, &'static str) {
        match end {
            End::TooSlow => (4100, "over capacity"),
            _ => (end.code(), end.reason()),
        }
    }
}

/// Sends notes at `/notes`; asks silent clients after a second at `/notes/idle`.
pub(super) async fn notes(
    request: HttpRequest,
    payload: Payload,
    hub: Data<Hub>,
) -> Result<HttpResponse, actix_web::Error> {
    let dispatcher = Dispatcher::of_this_thread(&hub, &CONFIG);
    let subscriber = Subscriber::new(&dispatcher, &crate::hub::Who::Admin, 8 * 1024);
    let idle_after = request.path().ends_with("/idle").then_some(Duration::from_secs(1));
    let protocol = Noted { subscriber, mailbox: Mailbox::new(), idle_after };
    let rate = MessageRate { per_second: 1_000_000, burst: 1_000_000 };
    let config = WsConfig { max_message_bytes: MAX_BYTES, rate, deflate: false };
    let handshake = Handshake::read(&request, &[]).unwrap();
    start(&request, (handshake, payload), &dispatcher, protocol, &config)
}

#[test]
fn notes_of_another_thread_arrive_in_order() {
    const SENT: u64 = 1000;
    with_server(|addr| {
        let mut ws = Ws::connect(addr, "/notes").unwrap();
        ws.text(&SENT.to_string()).unwrap();
        for note in 0..SENT {
            assert_eq!(next(&mut ws), Message::Text(note.to_string()));
        }
    });
}

#[test]
fn a_session_whose_mailbox_is_full_ends_with_the_protocol_s_own_code() {
    with_server(|addr| {
        let mut ws = Ws::connect(addr, "/notes").unwrap();
        ws.text("fill it").unwrap();
        assert!(matches!(next(&mut ws), Message::Close(Some(4100), reason) if reason == "over capacity"));
    });
}

#[test]
fn a_silent_client_is_asked_again_after_each_sign_of_life() {
    with_server(|addr| {
        let mut ws = Ws::connect(addr, "/notes/idle").unwrap();
        for _ in 0..2 {
            assert_eq!(next(&mut ws), Message::Text("still there?".to_owned()));
            ws.text("0").unwrap();
        }
    });
}
