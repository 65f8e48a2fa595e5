//! How far a request came, at every stage and by every kind of end. A request that was not sent is tried
//! again. For one that may have been taken the webhook's settings decide.

use std::{net::IpAddr, rc::Rc};

use futures_util::future::LocalBoxFuture;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{super::*, support::*};
use crate::core::consumer::verdict::Verdict;
use crate::core::webhook::{
    Profile,
    outcome::{Outcome, Sent, Stage},
};
use crate::delivery::webhook::resolve::NoAddress;

/// A name server that never answers.
struct Silence;

impl Resolve for Silence {
    fn resolve<'a>(&'a self, _: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, NoAddress>> {
        Box::pin(std::future::pending())
    }
}

fn through(names: Rc<dyn Resolve>, recorder: Rc<Recorder>) -> Client {
    Client::through(&Outside::new(Guard::default(), None).unwrap(), names, recorder)
}

/// The request must fail as expected for both kinds of webhook, and each kind must then act by its settings.
async fn ends(
    what: &str,
    client: &Client,
    target: &Target,
    timeout: Duration,
    expected: (Class, Sent, Stage),
) {
    for webhook in [WEBHOOK, CHAT] {
        // A large body is more than the kernel buffers while the receiver does not read.
        let body = vec![b'x'; if what.contains("large") { 32 << 20 } else { 10 }].into();
        let request = Outgoing { body, ..outgoing(target, timeout) };
        let failure = client.send(request, webhook).await.unwrap_err();
        assert_eq!(
            (failure.class, failure.sent, failure.stage),
            (expected.0, expected.1, Some(expected.2)),
            "{what}"
        );
        let outcome = Outcome { sent: failure.sent, ..Outcome::failed(failure.class) };
        let again = failure.sent == Sent::Nothing || webhook.ambiguous;
        let verdict = if again { Verdict::Again } else { Verdict::GiveUp };
        assert_eq!(outcome.verdict(Profile::Slack, 1, webhook.ambiguous), verdict, "{what}");
    }
}

fn secure(port: u16) -> Target {
    Guard::default().target(&format!("https://receiver.example:{port}/")).unwrap()
}

#[actix_web::test]
async fn nothing_is_sent_before_there_is_a_connection() {
    let nothing = |class, stage| (class, Sent::Nothing, stage);
    let silent = through(Rc::new(Silence), Recorder::routed());
    ends("no name server", &silent, &receiver(80), SHORT, nothing(Class::Timeout, Stage::Dns)).await;
    let missing = through(Names::with("other.example", &[&[PUBLIC]]), Recorder::routed());
    ends("no name", &missing, &receiver(80), LONG, nothing(Class::Dns, Stage::Dns)).await;
    let inside = through(Names::with("receiver.example", &[&["10.0.0.1"]]), Recorder::routed());
    ends("inside", &inside, &receiver(80), LONG, nothing(Class::Blocked, Stage::Dns)).await;
    ends("refused", &client(&Recorder::deaf()), &receiver(80), LONG, nothing(Class::Connect, Stage::Connect))
        .await;
    let dropped = client(&Recorder::silent_at(PUBLIC));
    ends("dropped", &dropped, &receiver(80), SHORT, nothing(Class::Timeout, Stage::Connect)).await;
}

/// The kernel drops the SYN, as the firewall of a receiver would.
#[actix_web::test]
async fn a_full_backlog_fails_the_connection() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let at = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(at)).await {
        queued.push(stream);
        assert!(queued.len() < 100, "the backlog did not fill up");
    }
    let client = client(&Recorder::routed());
    let expected = (Class::Timeout, Sent::Nothing, Stage::Connect);
    ends("backlog", &client, &receiver(at.port()), Duration::from_secs(1), expected).await;
}

#[actix_web::test]
async fn a_handshake_sends_nothing_of_the_request() {
    let nothing = |class| (class, Sent::Nothing, Stage::Tls);
    let client = client(&Recorder::routed());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    ends("never accepted", &client, &secure(port), SHORT, nothing(Class::Timeout)).await;
    let port =
        serve(|_, mut stream| async move { stream.read_to_end(&mut Vec::new()).await.map(|_| ()) }).await;
    ends("says nothing", &client, &secure(port), SHORT, nothing(Class::Timeout)).await;
    let port = serve(|_, _| async { Ok(()) }).await;
    ends("closes", &client, &secure(port), LONG, nothing(Class::Tls)).await;
    let port =
        serve(|_, mut stream| async move { answer(&mut stream, "HTTP/1.1 400 Bad\r\n\r\n").await }).await;
    ends("no TLS", &client, &secure(port), LONG, nothing(Class::Tls)).await;
}

#[actix_web::test]
async fn a_request_sent_without_an_answer_may_have_been_taken() {
    let maybe = |class, stage| (class, Sent::Maybe, stage);
    let client = client(&Recorder::routed());
    let port = serve(|_, stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
        Ok(())
    })
    .await;
    ends("large, never read", &client, &receiver(port), SHORT, maybe(Class::Timeout, Stage::Write)).await;
    ends("never read", &client, &receiver(port), SHORT, maybe(Class::Timeout, Stage::Wait)).await;
    let ended = [("closed", false), ("reset", true)];
    for (what, hard) in ended {
        let port = serve(move |_, mut stream| async move {
            request(&mut stream).await?;
            if hard {
                reset(stream);
            }
            Ok(())
        })
        .await;
        ends(what, &client, &receiver(port), LONG, maybe(Class::Closed, Stage::Wait)).await;
    }
    let scripts = [
        ("HTTP/1.1 200", Class::Closed),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n", Class::Closed),
        ("HTTP/1.1 100 Continue\r\n\r\n", Class::Closed),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n", Class::Protocol),
        ("HTTP/1.1 abc X\r\n\r\n", Class::Protocol),
    ];
    for (script, class) in scripts {
        let port = serve(move |_, mut stream| async move {
            request(&mut stream).await?;
            answer(&mut stream, script).await
        })
        .await;
        ends(script, &client, &receiver(port), LONG, maybe(class, Stage::Head)).await;
    }
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        answer(&mut stream, "HTTP/1.1 200 OK\r\n").await?;
        std::future::pending().await
    })
    .await;
    ends("half a head", &client, &receiver(port), SHORT, maybe(Class::Timeout, Stage::Head)).await;
}

/// A kept connection ends when a request arrives. A request that must not be repeated is sent once. A request
/// of which nothing was sent goes out on another connection.
#[actix_web::test]
async fn only_repeatable_requests_are_repeated_after_a_kept_connection() {
    for (webhook, dials) in [(WEBHOOK, 2), (CHAT, 1)] {
        let port = serve(move |number, mut stream| async move {
            request(&mut stream).await?;
            answer(&mut stream, OK).await?;
            request(&mut stream).await?;
            if number > 0 { answer(&mut stream, OK).await } else { Ok(()) }
        })
        .await;
        let recorder = Recorder::routed();
        let target = receiver(port);
        let client = client(&recorder);
        client.send(outgoing(&target, LONG), webhook).await.unwrap();
        client.pool.borrow_mut().age(Duration::ZERO);
        let second = client.send(outgoing(&target, LONG), webhook).await;
        match second {
            Ok(answer) => assert!(answer.status == 200 && webhook.ambiguous),
            Err(failure) => {
                assert_eq!((failure.class, failure.sent), (Class::Closed, Sent::Maybe));
                assert!(!webhook.ambiguous, "{failure}");
            }
        }
        assert_eq!(recorder.count(), dials);
    }
}

/// The receiver's own limit on idle connections must not close one while it carries a request that is sent
/// only once.
#[actix_web::test]
async fn a_request_that_is_sent_once_uses_no_connection_that_was_idle() {
    let port = serve(|_, mut stream| async move {
        loop {
            request(&mut stream).await?;
            answer(
                &mut stream,
                "HTTP/1.1 200 OK\r\nkeep-alive: timeout=20, max=100\r\ncontent-length: 0\r\n\r\n",
            )
            .await?;
        }
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    let mut dials = [0; 2];
    for (index, idle) in [(0, 0), (1, 2), (1, 18), (1, 19)] {
        for webhook in [WEBHOOK, CHAT] {
            client.pool.borrow_mut().age(Duration::from_secs(idle));
            let before = recorder.count();
            client.send(outgoing(&target, LONG), webhook).await.unwrap();
            if index == 1 {
                dials[usize::from(!webhook.ambiguous)] += recorder.count() - before;
            }
        }
    }
    assert_eq!(
        dials,
        [1, 3],
        "a connection is closed after a second, or earlier if its receiver would close it"
    );
}
