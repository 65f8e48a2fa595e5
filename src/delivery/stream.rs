//! What an event stream (SSE) sends besides its events: the greeting, and keep-alives.

use bytes::Bytes;
use futures_util::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Interval;

/// A greeting, then a keep-alive at each interval. It never ends by itself.
pub struct EventStream {
    greeting: Option<Bytes>,
    keep_alive: Bytes,
    interval: Interval,
}

impl EventStream {
    /// Sends `greeting` at once and then `keep_alive` once per `every`.
    pub fn new(greeting: Bytes, keep_alive: Bytes, every: Duration) -> Self {
        let start = tokio::time::Instant::now() + every;
        Self { greeting: Some(greeting), keep_alive, interval: tokio::time::interval_at(start, every) }
    }
}

impl Stream for EventStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(greeting) = self.greeting.take() {
            return Poll::Ready(Some(greeting));
        }
        self.interval.poll_tick(cx).map(|_| Some(self.keep_alive.clone()))
    }
}
