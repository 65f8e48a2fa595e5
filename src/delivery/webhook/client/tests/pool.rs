//! Connections that are kept, and those that end while they are idle.

use std::{cell::Cell, rc::Rc};

use std::time::{Duration, Instant};

use super::{super::Rest, support::*};
use crate::core::webhook::outcome::Class;
use crate::delivery::webhook::dial::Trip;

#[actix_web::test]
async fn a_connection_is_used_again() {
    let port = serve(|_, mut stream| async move {
        loop {
            request(&mut stream).await?;
            answer(&mut stream, OK).await?;
        }
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for _ in 0..5 {
        assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
    }
    assert_eq!(recorder.count(), 1);
}

#[actix_web::test]
async fn a_connection_that_ended_while_idle_is_not_used() {
    let ended = Rc::new(Cell::new(false));
    let told = ended.clone();
    let port = serve(move |_, mut stream| {
        let told = told.clone();
        async move {
            request(&mut stream).await?;
            answer(&mut stream, OK).await?;
            drop(stream);
            told.set(true);
            Ok(())
        }
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for dials in 1..=3 {
        assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
        assert_eq!(recorder.count(), dials);
        while !ended.replace(false) {
            tokio::task::yield_now().await;
        }
    }
}

/// How a kept connection ends when the next request arrives.
#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
    HalfAnswer,
}

/// Starts a server whose first connection answers once and ends with the second request. Its other
/// connections either answer once too, or end at once. Returns the outcome of the second request and the
/// number of connections.
async fn cut_off(end: End, others_answer: bool) -> (Result<u16, Class>, usize) {
    let port = serve(move |number, mut stream| async move {
        if number == 0 || others_answer {
            request(&mut stream).await?;
            answer(&mut stream, OK).await?;
        }
        request(&mut stream).await?;
        match end {
            End::Close => {}
            End::Reset => reset(stream),
            End::HalfAnswer => answer(&mut stream, "HTTP/1.1 200").await?,
        }
        Ok(())
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
    let second = send(&client, &target, LONG).await;
    (second.map(|answer| answer.status).map_err(|failure| failure.class), recorder.count())
}

#[actix_web::test]
async fn a_request_is_repeated_once_when_its_kept_connection_ends() {
    for end in [End::Close, End::Reset] {
        assert_eq!(cut_off(end, true).await, (Ok(200), 2), "{end:?}");
        assert_eq!(
            cut_off(end, false).await,
            (Err(Class::Closed), 2),
            "{end:?}: the request is repeated only once"
        );
    }
    assert_eq!(
        cut_off(End::HalfAnswer, true).await,
        (Err(Class::Closed), 1),
        "a request whose answer has begun is not repeated"
    );
}

#[actix_web::test]
async fn a_new_connection_that_ends_is_a_failure() {
    for linger in [false, true] {
        let port = serve(move |_, mut stream| async move {
            request(&mut stream).await?;
            if linger {
                reset(stream);
            }
            Ok(())
        })
        .await;
        let recorder = Recorder::routed();
        let failure = send(&client(&recorder), &receiver(port), LONG).await.unwrap_err();
        assert_eq!((failure.class, recorder.count()), (Class::Closed, 1), "{failure}");
    }
}

#[actix_web::test]
async fn a_connection_that_was_idle_for_long_is_closed() {
    let open = Rc::new(Cell::new(0));
    let count = open.clone();
    let port = serve(move |_, mut stream| {
        let count = count.clone();
        async move {
            count.set(count.get() + 1);
            while request(&mut stream).await.is_ok() {
                answer(&mut stream, OK).await?;
            }
            count.set(count.get() - 1);
            Ok(())
        }
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
    client.pool.borrow_mut().age(Duration::from_secs(29));
    client.tidy();
    assert_eq!((client.pool.borrow().len(), open.get()), (1, 1));
    client.pool.borrow_mut().age(Duration::from_secs(30));
    client.tidy();
    while open.get() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
    assert_eq!(recorder.count(), 2);
}

#[actix_web::test]
async fn a_body_without_a_length_is_not_the_next_answer() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        answer(&mut stream, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await?;
        // If the next request came on this connection, the body would follow it.
        request(&mut stream).await?;
        answer(&mut stream, "HTTP/1.1 500 Not an answer\r\ncontent-length: 0\r\n\r\n").await
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for dials in 1..=3 {
        let got = send(&client, &target, LONG).await.unwrap();
        assert_eq!((got.status, got.rest), (200, Rest::Unread));
        assert!(
            u128::from(got.ms) < LONG.as_millis(),
            "the client does not wait for a body that may never end"
        );
        assert_eq!(recorder.count(), dials);
    }
}

#[actix_web::test]
async fn an_idle_connection_is_used_again_with_a_new_codec() {
    let port = serve(|_, mut stream| async move {
        loop {
            request(&mut stream).await?;
            answer(&mut stream, OK).await?;
        }
    })
    .await;
    let recorder = Recorder::routed();
    let target = receiver(port);
    let client = client(&recorder);
    for _ in 0..3 {
        assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
        assert_eq!((client.pool.borrow().len(), client.pool.borrow().codecs()), (1, 1));
        client.pool.borrow_mut().age(Duration::from_secs(2));
        client.tidy();
        assert_eq!((client.pool.borrow().len(), client.pool.borrow().codecs()), (1, 0));
    }
    assert_eq!(recorder.count(), 1);
}

/// The end of the connection, or an answer without a request, comes after the check of a kept connection and
/// before the request.
#[actix_web::test]
async fn bytes_after_the_check_are_not_an_answer() {
    for late in ["", "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"] {
        let go = Rc::new(Cell::new(false));
        let told = go.clone();
        let port = serve(move |number, mut stream| {
            let told = told.clone();
            async move {
                request(&mut stream).await?;
                answer(&mut stream, OK).await?;
                while number == 0 && !told.get() {
                    tokio::task::yield_now().await;
                }
                answer(&mut stream, late).await
            }
        })
        .await;
        let recorder = Recorder::routed();
        let target = receiver(port);
        let client = client(&recorder);
        assert_eq!(send(&client, &target, LONG).await.unwrap().status, 200);
        let kept = client.pool.borrow_mut().take(WEBHOOK, &target, Instant::now()).unwrap();
        go.set(true);
        while kept.wire().is_quiet() {
            tokio::task::yield_now().await;
        }
        // This gives the thread's runtime time to notice it.
        tokio::time::sleep(Duration::from_millis(10)).await;
        let trip = Rc::new(Trip::new());
        let outgoing = outgoing(&target, LONG);
        let begun = client.begin(&outgoing, &trip, CHAT, Some(kept));
        // If the request were never given back, the exchange would wait for ever.
        let exchange = tokio::time::timeout(LONG, begun).await.unwrap();
        let exchange = exchange.unwrap_or_else(|(class, why)| panic!("{late:?}: {class:?}: {why}"));
        let (answer, _) = exchange.end(tokio::time::Instant::now() + LONG).await;
        assert_eq!((answer.status, recorder.count()), (200, 2), "{late:?}");
    }
}
