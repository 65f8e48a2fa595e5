//! The end of an answer: whatever a receiver sends, and whenever, no request gets another request's answer.

use std::{cell::Cell, future::Future, io, rc::Rc, time::Duration};

use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{super::*, support::*};
use crate::core::webhook::outcome::Sent;

/// A server that answers every request by the script, with the request's number as the body. Returns the port
/// and the count of requests.
async fn numbering<F, Fut>(script: F) -> (u16, Rc<Cell<usize>>)
where
    F: Fn(TcpStream, usize) -> Fut + Copy + 'static,
    Fut: Future<Output = io::Result<TcpStream>> + 'static,
{
    let taken = Rc::new(Cell::new(0));
    let count = taken.clone();
    let port = serve(move |_, mut stream| {
        let count = count.clone();
        async move {
            loop {
                request(&mut stream).await?;
                count.set(count.get() + 1);
                stream = script(stream, count.get()).await?;
            }
        }
    })
    .await;
    (port, taken)
}

/// Sends three requests. Each must be sent once and get its own answer, over `dials` connections in all.
pub(super) async fn each_gets_its_own<F, Fut>(what: &str, dials: usize, script: F)
where
    F: Fn(TcpStream, usize) -> Fut + Copy + 'static,
    Fut: Future<Output = io::Result<TcpStream>> + 'static,
{
    let (port, taken) = numbering(script).await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for number in 1..=3 {
        let got = send(&client, &target, LONG).await.unwrap_or_else(|failure| panic!("{what}: {failure}"));
        let expected = format!("answer {number}");
        assert_eq!((got.status, &got.head[..], taken.get()), (200, expected.as_bytes(), number), "{what}");
    }
    assert_eq!(recorder.count(), dials, "{what}: connections");
}

pub(super) fn numbered(number: usize) -> String {
    let body = format!("answer {number}");
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

pub(super) const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

#[actix_web::test]
async fn answers_with_many_or_folded_headers_are_read() {
    let many = |count: usize| (0..count).map(|n| format!("x-{n}: value\r\n")).collect::<String>();
    let folded = "x-folded: one\r\n two\r\n\tthree\r\nretry-after:\r\n 7\r\n".to_owned();
    for (more, expected) in [
        (many(97), Ok(None)),
        (many(900), Ok(None)),
        (folded.clone(), Ok(Some(7000))),
        (many(200) + &folded, Ok(Some(7000))),
        (many(1001), Err(Class::Protocol)),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{more}content-length: 2\r\n\r\nok");
        let port = serve(move |_, mut stream| {
            let head = head.clone();
            async move {
                request(&mut stream).await?;
                answer(&mut stream, &head).await?;
                request(&mut stream).await.map(drop)
            }
        })
        .await;
        let recorder = Recorder::routed();
        let got = send(&client(&recorder), &receiver(port), LONG).await;
        let got = got.map(|answer| answer.retry_after_ms).map_err(|failure| failure.class);
        assert_eq!(got, expected, "{}", &more[..more.len().min(60)]);
    }
}

#[actix_web::test]
async fn a_change_of_protocol_ends_the_connection() {
    let port = serve(|number, mut stream| async move {
        request(&mut stream).await?;
        if number == 0 {
            answer(
                &mut stream,
                "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            )
            .await?;
            let _ = stream.read_u8().await;
            return Ok(());
        }
        answer(&mut stream, OK).await
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    assert_eq!(send(&client, &target, LONG).await.unwrap_err().class, Class::Protocol);
    assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
    assert_eq!(recorder.count(), 2);
}

#[actix_web::test]
async fn answers_without_a_body_end_with_their_head() {
    for (head, dials) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", 1),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", 1),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 10\r\n\r\n", 3),
        ("HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", 3),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 10\r\n\r\n0123456789", 3),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n", 3),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 1),
    ] {
        let taken = Rc::new(Cell::new(0));
        let count = taken.clone();
        let port = serve(move |_, mut stream| {
            let count = count.clone();
            async move {
                loop {
                    request(&mut stream).await?;
                    count.set(count.get() + 1);
                    answer(&mut stream, head).await?;
                }
            }
        })
        .await;
        let recorder = Recorder::routed();
        let target = receiver(port);
        let client = client(&recorder);
        for number in 1..=3 {
            let got =
                send(&client, &target, LONG).await.unwrap_or_else(|failure| panic!("{head}: {failure}"));
            assert!(
                matches!(got.status, 204 | 304) && got.head.is_empty() && got.rest == Rest::None,
                "{got:?}"
            );
            assert_eq!(taken.get(), number, "{head}");
        }
        assert_eq!(recorder.count(), dials, "{head}");
    }
}

#[actix_web::test]
async fn bytes_after_an_answer_are_not_an_answer() {
    for behind in ["HTTP/1.1 500 Nobody's\r\ncontent-length: 0\r\n\r\n", "x", "\r\n", CONTINUE] {
        let port = serve(move |_, mut stream| async move {
            for number in 1.. {
                request(&mut stream).await?;
                answer(&mut stream, &format!("{}{behind}", numbered(number))).await?;
            }
            Ok(())
        })
        .await;
        let recorder = Recorder::routed();
        let target = receiver(port);
        let client = client(&recorder);
        for dials in 1..=3 {
            let got =
                send(&client, &target, LONG).await.unwrap_or_else(|failure| panic!("{behind:?}: {failure}"));
            assert_eq!((got.status, &got.head[..]), (200, &b"answer 1"[..]), "{behind:?}");
            assert_eq!(recorder.count(), dials, "{behind:?}: a new connection");
        }
    }
}

/// The late bytes are a 408 for a request that did not come, or an answer that is sent twice, for example.
#[actix_web::test]
async fn bytes_on_an_idle_connection_are_not_an_answer() {
    for late in ["HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "\0"]
    {
        let idle = Rc::new(Cell::new(false));
        let came = Rc::new(Cell::new(0));
        let go = idle.clone();
        let told = came.clone();
        let port = serve(move |_, mut stream| {
            let go = go.clone();
            let told = told.clone();
            async move {
                request(&mut stream).await?;
                answer(&mut stream, &numbered(told.get() + 1)).await?;
                while !go.get() {
                    tokio::task::yield_now().await;
                }
                answer(&mut stream, late).await?;
                go.set(false);
                told.set(told.get() + 1);
                let _ = stream.read_u8().await;
                Ok(())
            }
        })
        .await;
        let recorder = Recorder::routed();
        let target = receiver(port);
        let client = client(&recorder);
        for number in 1..=3 {
            let got = send(&client, &target, LONG).await.unwrap();
            assert_eq!((got.status, &got.head[..]), (200, format!("answer {number}").as_bytes()), "{late:?}");
            assert_eq!(client.pool.borrow().len(), 1, "{late:?}: the connection is kept");
            idle.set(true);
            // Loopback has delivered everything that was written before the count rises.
            while came.get() < number {
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(recorder.count(), 3, "{late:?}");
    }
}

#[actix_web::test]
async fn a_receiver_that_speaks_first_is_sent_nothing() {
    let port = serve(|_, mut stream| async move {
        answer(&mut stream, "220 mail.example ESMTP\r\n").await?;
        let _ = stream.read_u8().await;
        Ok(())
    })
    .await;
    // The greeting may arrive before the request is sent, or while it is.
    let failure = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap_err();
    assert_eq!(failure.class, Class::Protocol, "{failure}");
}

#[actix_web::test]
async fn an_ambiguous_end_closes_the_connection() {
    each_gets_its_own("length and chunks", 3, |mut stream, number| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n";
        answer(&mut stream, &format!("{head}8\r\nanswer {number}\r\n0\r\n\r\n")).await?;
        Ok(stream)
    })
    .await;
    each_gets_its_own("the same length twice", 1, |mut stream, number| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\ncontent-length: 8\r\n\r\n";
        answer(&mut stream, &format!("{head}answer {number}")).await?;
        Ok(stream)
    })
    .await;
    for head in ["content-length: 8\r\ncontent-length: 9", "content-length: 8, 9", "content-length: +8"] {
        let port = serve(move |_, mut stream| async move {
            request(&mut stream).await?;
            answer(&mut stream, &format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nanswer 11")).await
        })
        .await;
        let failure = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap_err();
        assert_eq!((failure.class, failure.sent), (Class::Protocol, Sent::Maybe), "{head}: {failure}");
    }
}

#[actix_web::test]
async fn every_kind_of_end_is_recognised() {
    each_gets_its_own("chunks", 1, |mut stream, number| async move {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        answer(&mut stream, &format!("{head}7;a=b\r\nanswer \r\n1\r\n{number}\r\n0\r\n\r\n")).await?;
        Ok(stream)
    })
    .await;
    each_gets_its_own("trailers", 1, |mut stream, number| async move {
        let head = "HTTP/1.1 200 OK\r\ntrailer: x\r\ntransfer-encoding: chunked\r\n\r\n";
        answer(&mut stream, &format!("{head}8\r\nanswer {number}\r\n0\r\nx: HTTP/1.1 500 X\r\n\r\n")).await?;
        Ok(stream)
    })
    .await;
    each_gets_its_own("connection: close", 3, |mut stream, number| async move {
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 8\r\n\r\n";
        answer(&mut stream, &format!("{head}answer {number}")).await?;
        Ok(stream)
    })
    .await;
    each_gets_its_own("HTTP/1.0", 3, |mut stream, number| async move {
        answer(&mut stream, &format!("HTTP/1.0 200 OK\r\ncontent-length: 8\r\n\r\nanswer {number}")).await?;
        Ok(stream)
    })
    .await;
    each_gets_its_own("HTTP/1.0 that is kept", 1, |mut stream, number| async move {
        let head = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 8\r\n\r\n";
        answer(&mut stream, &format!("{head}answer {number}")).await?;
        Ok(stream)
    })
    .await;
    each_gets_its_own("until the end", 3, |mut stream, number| async move {
        answer(&mut stream, &format!("HTTP/1.1 200 OK\r\n\r\nanswer {number}")).await?;
        drop(stream);
        Err(io::ErrorKind::ConnectionAborted.into())
    })
    .await;
}

#[actix_web::test]
async fn an_answer_before_the_whole_request_closes_the_connection() {
    // The server answers, keeps the connection open, and reads no further.
    let port = serve(|_, mut stream| async move {
        stream.read_exact(&mut [0; 64]).await?;
        answer(&mut stream, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig").await?;
        std::future::pending().await
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for dials in 1..=3 {
        let request = Outgoing { body: vec![b'x'; 16 << 20].into(), ..outgoing(&target, LONG) };
        let got = client.send(request, WEBHOOK).await.unwrap();
        assert_eq!((got.status, &got.head[..]), (413, &b"big"[..]));
        assert_eq!((recorder.count(), client.pool.borrow().len()), (dials, 0));
    }
}

/// Whatever a receiver does, no webhook sees an answer to another webhook's request.
#[actix_web::test]
async fn webhooks_share_no_connection() {
    let port = serve(|connection, mut stream| async move {
        loop {
            request(&mut stream).await?;
            answer(&mut stream, &numbered(connection)).await?;
        }
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for _ in 0..5 {
        for (webhook, expected) in [(WEBHOOK, "answer 0"), (CHAT, "answer 1")] {
            client.pool.borrow_mut().age(Duration::ZERO);
            let got = client.send(outgoing(&target, LONG), webhook).await.unwrap();
            assert_eq!(&got.head[..], expected.as_bytes());
        }
    }
    assert_eq!(recorder.count(), 2);
}
