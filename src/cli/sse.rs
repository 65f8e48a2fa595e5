//! The frames of an event stream, as an answer carries them. It reads them by the rules of Server-Sent Events and
//! does not interpret them.

use std::{cell::Cell, pin::Pin, rc::Rc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream::unfold};
use sse_stream::SseByteStream;
use tokio::time::timeout;

pub(super) use sse_stream::{Error as BadStream, Sse as Frame};

use super::http1::Answer;

/// Most bytes that may come without completing a frame.
const MOST_PENDING: usize = 64 * 1024 * 1024;

/// A frame does not end.
#[derive(Debug, thiserror::Error)]
#[error("a frame of more than 64 MiB")]
struct Endless;

/// What a stream has carried.
#[derive(Default)]
struct Carried {
    anything: Cell<bool>,
    /// Bytes since the last frame was complete.
    pending: Cell<usize>,
}

impl Carried {
    fn note(&self, bytes: Bytes) -> Result<Bytes, Endless> {
        self.anything.set(true);
        self.pending.set(self.pending.get().saturating_add(bytes.len()));
        if self.pending.get() > MOST_PENDING { Err(Endless) } else { Ok(bytes) }
    }
}

/// The frames of one answer.
pub(super) struct Frames {
    stream: Pin<Box<dyn Stream<Item = Result<Frame, BadStream>>>>,
    carried: Rc<Carried>,
}

impl Frames {
    /// The frames end when the connection breaks, or when it has carried nothing for that long, not even a
    /// keep-alive.
    pub(super) fn of(answer: Answer, silence: Duration) -> Self {
        let carried = Rc::new(Carried::default());
        let noted = carried.clone();
        let bytes = unfold(answer, move |mut answer: Answer| {
            let noted = noted.clone();
            async move {
                let Ok(Some(Ok(bytes))) = timeout(silence, answer.next()).await else { return None };
                Some((noted.note(bytes), answer))
            }
        });
        Self::over(bytes, carried)
    }

    fn over(bytes: impl Stream<Item = Result<Bytes, Endless>> + 'static, carried: Rc<Carried>) -> Self {
        Self { stream: Box::pin(SseByteStream::new(bytes)), carried }
    }

    /// The next frame with data; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Result<Frame, BadStream>> {
        loop {
            let frame = self.stream.next().await?;
            self.carried.pending.set(0);
            match frame {
                Ok(frame) if frame.data.as_deref().is_none_or(str::is_empty) => {}
                other => return Some(other),
            }
        }
    }

    /// Whether anything came.
    pub(super) fn has_carried(&self) -> bool {
        self.carried.anything.get()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::stream::iter;

    /// Frames of a text that comes in pieces of so many bytes.
    fn frames(text: &'static [u8], size: usize) -> Frames {
        let carried = Rc::new(Carried::default());
        let noted = carried.clone();
        let pieces = text.chunks(size).map(move |piece| noted.note(Bytes::from_static(piece)));
        Frames::over(iter(pieces), carried)
    }

    #[actix_web::test]
    async fn frames_come_out_whole_however_the_bytes_are_cut() {
        let text =
            "event: connected\ndata: {}\n\n: keepalive\n\nevent: a\r\nid: 01\r\ndata: é\r\ndata: 2\r\n\r\ndata: half"
                .as_bytes();
        for size in 1..text.len() {
            let mut frames = frames(text, size);
            let connected = Frame::default().event("connected").data("{}");
            assert_eq!(frames.next().await.unwrap().unwrap(), connected, "cut in {size}");
            let event = Frame::default().event("a").id("01").data("é\n2");
            assert_eq!(frames.next().await.unwrap().unwrap(), event, "cut in {size}");
            assert!(frames.next().await.is_none() && frames.has_carried(), "cut in {size}");
        }
    }

    #[actix_web::test]
    async fn what_is_no_event_stream_is_an_error() {
        assert!(frames(b"data: \xff\n\n", 3).next().await.unwrap().is_err());
        let carried = Rc::new(Carried::default());
        carried.pending.set(MOST_PENDING);
        let noted = carried.clone();
        let bytes = iter([noted.note(Bytes::from_static(b"d"))]);
        let endless = Frames::over(bytes, carried).next().await.unwrap().unwrap_err();
        assert!(endless.to_string().contains("more than"), "{endless}");
    }
}
