//! Receivers that misbehave in many ways.

use std::{cell::Cell, rc::Rc, time::Duration};

use http::header::{self, HeaderName, HeaderValue};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::{super::*, support::*};

async fn failure(script: &'static str, timeout: Duration) -> Failure {
    let port = serve(move |_, mut stream| async move {
        request(&mut stream).await?;
        answer(&mut stream, script).await
    })
    .await;
    send(&client(&Recorder::routed()), &receiver(port), timeout).await.unwrap_err()
}

#[actix_web::test]
async fn a_body_in_drips_ends_with_the_deadline() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        answer(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
        loop {
            answer(&mut stream, "x").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let answer = send(&client(&Recorder::routed()), &receiver(port), SHORT).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(matches!(&answer.rest, Rest::Broken { class: Class::Timeout, .. }), "{:?}", answer.rest);
    assert!(u128::from(answer.ms) >= SHORT.as_millis() && !answer.head.is_empty(), "{answer:?}");
}

#[actix_web::test]
async fn a_head_in_drips_ends_with_the_deadline() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        answer(&mut stream, "HTTP/1.1 200 OK\r\n").await?;
        for number in 0.. {
            answer(&mut stream, &format!("x-{number}: y\r\n")).await?;
            // Slow enough that the number of headers stays below the limit.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    })
    .await;
    let failure = send(&client(&Recorder::routed()), &receiver(port), SHORT).await.unwrap_err();
    assert_eq!(failure.class, Class::Timeout);
    assert!(failure.message.contains("head did not end"), "{failure:?}");
}

#[actix_web::test]
async fn an_endless_head_is_refused() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        answer(&mut stream, "HTTP/1.1 200 OK\r\nx: ").await?;
        loop {
            answer(&mut stream, &"y".repeat(4096)).await?;
        }
    })
    .await;
    let failure = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap_err();
    assert_eq!(failure.class, Class::Protocol, "{failure}");
}

#[actix_web::test]
async fn only_the_beginning_of_a_huge_answer_is_read() {
    let heads = [
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked",
        "HTTP/1.0 200 OK\r\ncontent-type: text/plain",
    ];
    for head in heads {
        let cut = Rc::new(Cell::new(false));
        let told = cut.clone();
        let port = serve(move |_, mut stream| {
            let told = told.clone();
            async move {
                request(&mut stream).await?;
                answer(&mut stream, &format!("{head}\r\n\r\n")).await?;
                let text = "x".repeat(0xfff0);
                let piece = if head.contains("chunked") { format!("fff0\r\n{text}\r\n") } else { text };
                while answer(&mut stream, &piece).await.is_ok() {}
                told.set(true);
                Ok(())
            }
        })
        .await;
        let got = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap();
        assert_eq!((got.status, got.head.len()), (200, LARGEST_HEAD), "{head}");
        assert!(got.head.iter().all(|byte| *byte == b'x'));
        while !cut.get() {
            tokio::task::yield_now().await;
        }
    }
}

#[actix_web::test]
async fn a_closed_port_refuses_the_connection() {
    // The port is bound, so that no other socket gets it, but not listening.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = closed.local_addr().unwrap().port();
    let failure = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::Connect, "connection refused"));
}

#[actix_web::test]
async fn a_blackhole_ends_with_the_deadline() {
    // The kernel accepts the connection, the listener never does.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let failure = send(&client(&Recorder::routed()), &receiver(port), SHORT).await.unwrap_err();
    assert_eq!(failure.class, Class::Timeout);
    assert!(failure.message.contains("no answer"), "{failure}");

    // Now the kernel does not accept it either: the backlog is full.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let at = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(at)).await {
        queued.push(stream);
        assert!(queued.len() < 100, "the backlog did not fill up");
    }
    let failure = send(&client(&Recorder::routed()), &receiver(at.port()), SHORT).await.unwrap_err();
    assert_eq!(failure.class, Class::Timeout);
    assert!(failure.message.contains("connection"), "{failure}");
}

#[actix_web::test]
async fn an_address_without_an_answer_does_not_delay_the_next() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        answer(&mut stream, OK).await
    })
    .await;
    let recorder = Recorder::silent_at("2606:4700::1111");
    let names = Names::with("receiver.example", &[&["2606:4700::1111", PUBLIC]]);
    let outside = Outside::new(Guard::default(), None).unwrap();
    let client = Client::through(&outside, names, recorder.clone());
    assert_eq!(send(&client, &receiver(port), LONG).await.unwrap().status, 200);
    assert_eq!(recorder.count(), 2);
}

#[actix_web::test]
async fn a_name_without_an_address_is_reported() {
    let target = Guard::default().target("http://nowhere.example/").unwrap();
    let failure = send(&client(&Recorder::deaf()), &target, LONG).await.unwrap_err();
    assert_eq!((failure.class, failure.message.as_str()), (Class::Dns, "there is no host nowhere.example"));
    let client = Client::through(
        &Outside::new(Guard::default(), None).unwrap(),
        Names::with("receiver.example", &[&[]]),
        Recorder::deaf(),
    );
    assert_eq!(send(&client, &receiver(80), LONG).await.unwrap_err().class, Class::Dns);
}

#[actix_web::test]
async fn an_answer_that_is_not_http_is_reported() {
    for script in
        ["SSH-2.0-OpenSSH_9.6\r\n\r\n", "\u{15}\u{3}\u{1}\0\u{2}\u{2}(\r\n\r\n", "HTTP/1.1 abc X\r\n\r\n"]
    {
        assert_eq!(failure(script, LONG).await.class, Class::Protocol, "{script:?}");
    }
    let both = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx";
    assert_eq!(failure(both, LONG).await.class, Class::Protocol);
}

#[actix_web::test]
async fn a_cut_off_head_counts_as_a_closed_connection() {
    for script in ["", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n"] {
        assert_eq!(failure(script, LONG).await.class, Class::Closed, "{script:?}");
    }
}

#[actix_web::test]
async fn a_cut_off_body_leaves_the_answer_as_it_is() {
    let scripts = [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzzz\r\n",
        "HTTP/1.0 200 OK\r\n\r\nabc",
    ];
    for script in scripts {
        let port = serve(move |_, mut stream| async move {
            request(&mut stream).await?;
            answer(&mut stream, script).await
        })
        .await;
        let got = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap();
        assert_eq!((got.status, &got.head[..]), (200, &b"abc"[..]), "{script:?}");
        // In HTTP/1.0 the end of the connection is the end of the body.
        assert_eq!(got.rest == Rest::None, script.starts_with("HTTP/1.0"), "{:?}", got.rest);
    }
}

#[actix_web::test]
async fn an_answer_before_the_body_was_read_is_received() {
    let port = serve(|_, mut stream| async move {
        let mut head = [0; 64];
        stream.read_exact(&mut head).await?;
        answer(&mut stream, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
            .await
        // The connection closes with most of the body unread: a reset follows the answer.
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for _ in 0..20 {
        let request = Outgoing { body: vec![b'x'; 16 << 20].into(), ..outgoing(&target, LONG) };
        let got = client.send(request, WEBHOOK).await.unwrap();
        assert_eq!((got.status, &got.head[..]), (413, &b"big"[..]));
    }
    assert_eq!(recorder.count(), 20);
}

#[actix_web::test]
async fn the_waits_of_an_answer_are_read() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        let waits = "retry-after: 1.5\r\nx-ratelimit-remaining: 0\r\nx-ratelimit-reset-after: 0.25";
        answer(&mut stream, &format!("HTTP/1.1 429 Slow\r\n{waits}\r\ncontent-length: 4\r\n\r\nslow")).await
    })
    .await;
    let got = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap();
    assert_eq!((got.status, got.retry_after_ms, &got.head[..]), (429, Some(1500), &b"slow"[..]));
    assert_eq!(got.ratelimit, Some(RateLimit { remaining: 0, reset_after_ms: 250 }));
}

/// Returns the bytes of a request as the server reads them.
async fn on_the_wire(url: impl Fn(u16) -> String, headers: &[(&str, &str)], method: Method) -> String {
    let seen = Rc::new(RefCell::new(String::new()));
    let log = seen.clone();
    let port = serve(move |_, mut stream| {
        let log = log.clone();
        async move {
            *log.borrow_mut() = request(&mut stream).await?;
            answer(&mut stream, OK).await
        }
    })
    .await;
    let target = Guard::default().target(&url(port)).unwrap();
    let header = |(name, value): &(&str, &str)| {
        (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
    };
    let headers = headers.iter().map(header).collect();
    let request = Outgoing { method, headers, ..outgoing(&target, LONG) };
    client(&Recorder::routed()).send(request, WEBHOOK).await.unwrap();
    seen.take()
}

#[actix_web::test]
async fn requests_have_the_expected_bytes() {
    let url = |port| format!("http://RECEIVER.example:{port}/a%20b?c=d#e");
    let text =
        on_the_wire(url, &[("x-webhook-event", "a"), ("content-type", "application/json")], Method::Put)
            .await;
    assert!(text.starts_with("PUT /a%20b?c=d HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("\r\nhost: receiver.example:"), "{text}");
    assert!(
        text.contains("\r\nx-webhook-event: a\r\n") && text.contains("\r\nuser-agent: waypost/"),
        "{text}"
    );
    assert!(
        text.contains("\r\naccept-encoding: identity\r\n") && text.ends_with("\r\n\r\n{\"a\":1}"),
        "{text}"
    );

    let own = [
        ("host", "evil.example"),
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("expect", "100-continue"),
        ("upgrade", "h2c"),
        ("user-agent", "mine/1"),
        ("authorization", "Bearer t"),
    ];
    let text = on_the_wire(url, &own, Method::Post).await;
    for unwanted in
        ["evil.example", "chunked", "close", "100-continue", "h2c", "waypost/", "content-length: 0"]
    {
        assert!(!text.contains(unwanted), "{unwanted} in {text}");
    }
    assert!(
        text.contains("\r\nuser-agent: mine/1\r\n") && text.contains("\r\nauthorization: Bearer t\r\n"),
        "{text}"
    );
    assert_eq!(text.matches("\r\ncontent-length: 7\r\n").count(), 1, "{text}");
}

#[actix_web::test]
async fn the_host_header_leaves_out_only_the_schemes_own_port() {
    let table = [
        ("http://receiver.example", "receiver.example"),
        ("http://receiver.example:443", "receiver.example:443"),
        ("https://receiver.example:443", "receiver.example"),
        ("https://receiver.example:80", "receiver.example:80"),
        ("https://[2606:4700::1111]:8443", "[2606:4700::1111]:8443"),
    ];
    for (url, host) in table {
        let target = Guard::default().target(url).unwrap();
        let built = exchange::build(&outgoing(&target, LONG));
        assert_eq!(built.headers().get(header::HOST).unwrap(), host, "{url}");
    }
}

#[actix_web::test]
async fn a_request_in_flight_is_dropped_with_its_future() {
    let ended = Rc::new(Cell::new(false));
    let told = ended.clone();
    let port = serve(move |_, mut stream| {
        let told = told.clone();
        async move {
            request(&mut stream).await?;
            let _ = stream.read_u8().await;
            told.set(true);
            Ok(())
        }
    })
    .await;
    let client = client(&Recorder::routed());
    let target = receiver(port);
    assert_eq!(send(&client, &target, SHORT).await.unwrap_err().class, Class::Timeout);
    while !ended.get() {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn a_functions_kind_of_error_is_kept_short() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        let kind = "x".repeat(125_000);
        let head = format!("HTTP/1.1 200 OK\r\nx-amz-function-error: {kind}\r\ncontent-length: 0\r\n\r\n");
        answer(&mut stream, &head).await
    })
    .await;
    let answer = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap();
    assert_eq!(answer.function_error.map(|kind| kind.len()), Some(100));
}
