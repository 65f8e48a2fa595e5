//! Interim answers, which are no answers: however many come, and in whatever pieces.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::framing::{CONTINUE, each_gets_its_own, numbered};
use super::{super::*, support::*};
use crate::core::webhook::outcome::{Sent, Stage};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\ncontent-length: 5\r\n\r\n";

#[actix_web::test]
async fn interim_answers_are_skipped() {
    for interim in [CONTINUE, "HTTP/1.1 102 Processing\r\n\r\n", HINTS, "HTTP/1.1 199 What\r\nx: y\r\n\r\n"] {
        for often in [1, 5] {
            let all = interim.repeat(often);
            let port = serve(move |_, mut stream| {
                let all = all.clone();
                async move {
                    for number in 1.. {
                        request(&mut stream).await?;
                        answer(&mut stream, &format!("{all}{}", numbered(number))).await?;
                    }
                    Ok(())
                }
            })
            .await;
            let recorder = Recorder::routed();
            let target = receiver(port);
            let client = client(&recorder);
            for number in 1..=3 {
                let got = send(&client, &target, LONG).await.unwrap();
                assert_eq!(
                    (got.status, &got.head[..]),
                    (200, format!("answer {number}").as_bytes()),
                    "{interim}"
                );
            }
            assert_eq!(recorder.count(), 1, "{interim}: the connection is kept");
        }
    }
}

#[actix_web::test]
async fn interim_answers_come_in_any_pieces_and_at_any_time() {
    each_gets_its_own("byte by byte", 1, |mut stream, number| async move {
        for piece in format!("{HINTS}{}", numbered(number)).chars() {
            answer(&mut stream, &piece.to_string()).await?;
            tokio::task::yield_now().await;
        }
        Ok(stream)
    })
    .await;
    each_gets_its_own("a slow end", 1, |mut stream, number| async move {
        answer(&mut stream, CONTINUE).await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        answer(&mut stream, &numbered(number)).await?;
        Ok(stream)
    })
    .await;
    // Some servers answer `Expect` before they read the body, even to requests without that header.
    let port = serve(|_, mut stream| async move {
        answer(&mut stream, "").await?;
        stream.read_u8().await?;
        answer(&mut stream, CONTINUE).await?;
        request(&mut stream).await?;
        answer(&mut stream, OK).await
    })
    .await;
    assert_eq!(send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap().status, 200);
}

#[actix_web::test]
async fn an_interim_answer_alone_is_not_an_answer() {
    let failure_of = async |script: &'static str, timeout| {
        let port = serve(move |_, mut stream| async move {
            request(&mut stream).await?;
            answer(&mut stream, script).await?;
            if timeout == SHORT {
                let _ = stream.read_u8().await;
            }
            Ok(())
        })
        .await;
        let failure = send(&client(&Recorder::routed()), &receiver(port), timeout).await.unwrap_err();
        (failure.class, failure.sent, failure.stage)
    };
    let maybe = |class| (class, Sent::Maybe, Some(Stage::Head));
    assert_eq!(failure_of(CONTINUE, LONG).await, maybe(Class::Closed));
    assert_eq!(failure_of(CONTINUE, SHORT).await, maybe(Class::Timeout));
    let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n";
    assert_eq!(failure_of(switch, LONG).await, maybe(Class::Protocol));
}

#[actix_web::test]
async fn interim_answers_without_end_are_refused() {
    let port = serve(|_, mut stream| async move {
        request(&mut stream).await?;
        loop {
            answer(&mut stream, &CONTINUE.repeat(100)).await?;
        }
    })
    .await;
    let failure = send(&client(&Recorder::routed()), &receiver(port), LONG).await.unwrap_err();
    assert_eq!((failure.class, failure.sent), (Class::Protocol, Sent::Maybe), "{failure}");
}
