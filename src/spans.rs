//! Spans: what this node did for an event of a trace, from when to when. They go to a collector
//! (`otel.endpoint`).
//!
//! Without a collector there is no tracer, and every question for it costs one branch. With one, a span is
//! put into a bounded queue when it ends. Nobody waits for the queue: a span that finds it full is dropped
//! and counted, for the metrics and for the log. Which spans are made is decided where a trace begins: a
//! publisher that sends a `traceparent` decides for its own, and of the traces that begin here a share is
//! recorded.

mod missed;
pub mod otlp;

use crate::clock::now_ns;
use crate::core::trace::{SpanId, TraceContext, TraceId};
use crate::metric;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

pub use missed::Missed;

/// Spans that may wait for the collector.
const QUEUE: usize = 8192;
/// Other spans that one span names at most.
const LINKS: usize = 32;
/// The share of [`install`] that is all.
pub const ALL: u32 = 1_000_000;

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// The tracer of this process, if spans are recorded.
pub fn tracer() -> Option<&'static Tracer> {
    TRACER.get()
}

/// Records spans from now on: of a million traces that begin here, `per_million`. The result gets the spans.
/// `None` if they are recorded already.
pub fn install(per_million: u32) -> Option<mpsc::Receiver<Span>> {
    let (queue, spans) = mpsc::channel(QUEUE);
    let full = metrics::counter!(metric::SPANS_DROPPED, "reason" => "full");
    let (missed, open) = (Missed::default(), AtomicU64::new(0));
    TRACER.set(Tracer { queue, per_million, full, missed, open }).ok().map(|()| spans)
}

/// What records spans. Lives as long as the process.
pub struct Tracer {
    queue: mpsc::Sender<Span>,
    per_million: u32,
    full: metrics::Counter,
    missed: Missed,
    /// Spans that were put into the queue and are neither handed over nor dropped.
    open: AtomicU64,
}

impl Tracer {
    /// Begins a span of a trace, if the trace is recorded.
    pub fn child(&self, of: TraceContext, name: &'static str, kind: Kind) -> Option<Open> {
        self.child_since(of, name, kind, Moment::now())
    }

    /// Like [`Tracer::child`], for what began before.
    pub fn child_since(
        &self,
        of: TraceContext,
        name: &'static str,
        kind: Kind,
        began: Moment,
    ) -> Option<Open> {
        if !of.is_sampled() {
            return None;
        }
        Some(Open::new(of.at(random()?), Some(of.span()), name, kind, began))
    }

    /// Begins a trace, if it is among those that are recorded.
    pub fn root(&self, name: &'static str, kind: Kind) -> Option<Open> {
        let trace: TraceId = random()?;
        if place(&trace) >= self.per_million {
            return None;
        }
        Some(Open::new(TraceContext::begin(trace, random()?), None, name, kind, Moment::now()))
    }

    /// Notes that so many spans of the queue are handed over or dropped.
    pub fn settled(&self, spans: usize) {
        self.open.fetch_sub(spans as u64, Ordering::Relaxed);
    }

    /// Waits until all spans are handed over or dropped, for at most so long.
    pub async fn settle(&self, within: Duration) {
        let deadline = Instant::now() + within;
        while self.open.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The spans that found the queue full, for the log.
    pub fn missed(&self) -> &Missed {
        &self.missed
    }

    fn put(&self, span: Span) {
        self.open.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(span).is_err() {
            self.open.fetch_sub(1, Ordering::Relaxed);
            self.full.increment(1);
            self.missed.add();
        }
    }
}

/// Where a random trace id stands among a million.
fn place(trace: &TraceId) -> u32 {
    let random = u128::from_be_bytes(*trace) as u64;
    (random % u64::from(ALL)) as u32
}

/// A random id, which is not all zeros. `None` if the system has no random numbers.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut id = [0; N];
    getrandom::fill(&mut id).ok()?;
    (id != [0; N]).then_some(id)
}

/// A moment, by both clocks: spans are placed by the wall clock and measured by the other.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    unix_ns: u64,
    at: Instant,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self { unix_ns: now_ns(), at: Instant::now() }
    }

    /// This moment if spans are recorded.
    pub fn if_recorded() -> Option<Self> {
        tracer().map(|_| Self::now())
    }
}

/// What a span is to the spans around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A part of this node's own work.
    Internal,
    /// A request that this node got.
    Server,
    /// A request that this node made.
    Client,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The trace, and the span in it.
    pub context: TraceContext,
    /// The span that it is a part of.
    pub parent: Option<SpanId>,
    /// What was done.
    pub name: &'static str,
    /// What the span is to others.
    pub kind: Kind,
    /// When it began, in nanoseconds since 1970.
    pub began_ns: u64,
    /// When it ended, in nanoseconds since 1970.
    pub ended_ns: u64,
    /// More about it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Spans of other traces that it belongs to as well.
    pub links: Vec<TraceContext>,
    /// Why what was done failed, if it did.
    pub error: Option<String>,
}

/// A span that has not ended. It ends when this is dropped.
#[derive(Debug)]
pub struct Open {
    span: Option<Span>,
    context: TraceContext,
    began: Moment,
}

impl Open {
    fn new(
        context: TraceContext,
        parent: Option<SpanId>,
        name: &'static str,
        kind: Kind,
        began: Moment,
    ) -> Self {
        let span = Span {
            context,
            parent,
            name,
            kind,
            began_ns: began.unix_ns,
            ended_ns: began.unix_ns,
            attributes: Vec::new(),
            links: Vec::new(),
            error: None,
        };
        Self { span: Some(span), context, began }
    }

    /// The trace, at this span.
    pub fn context(&self) -> TraceContext {
        self.context
    }

    /// Adds an attribute.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.span {
            span.attributes.push((name, value.into()));
        }
    }

    /// Names another trace that the span belongs to. Beyond a number of them they are left out.
    pub fn link(&mut self, to: TraceContext) {
        if let Some(span) = &mut self.span
            && span.links.len() < LINKS
        {
            span.links.push(to);
        }
    }

    /// Says why what was done failed.
    pub fn fail(&mut self, why: impl ToString) {
        if let Some(span) = &mut self.span {
            span.error = Some(why.to_string());
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(mut span) = self.span.take() else { return };
        let took = u64::try_from(self.began.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        span.ended_ns = span.began_ns.saturating_add(took);
        if let Some(tracer) = tracer() {
            tracer.put(span);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn tracer(per_million: u32, room: usize) -> (Tracer, mpsc::Receiver<Span>) {
        let (queue, spans) = mpsc::channel(room);
        let (full, missed) = (metrics::Counter::noop(), Missed::default());
        (Tracer { queue, per_million, full, missed, open: AtomicU64::new(0) }, spans)
    }

    #[test]
    fn traces_that_begin_here_are_recorded_by_their_share() {
        let begun =
            |per_million| (0..400).filter_map(|_| tracer(per_million, 1).0.root("x", Kind::Server)).count();
        assert_eq!((begun(0), begun(ALL)), (0, 400));
        let some = begun(ALL / 2);
        assert!((100..300).contains(&some), "{some} of 400");
    }

    #[test]
    fn who_began_a_trace_decides_whether_it_is_recorded() {
        let (tracer, _spans) = tracer(ALL, 1);
        let of = |flags: &str| {
            TraceContext::parse(&format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}"))
                .unwrap()
        };
        assert!(tracer.child(of("00"), "x", Kind::Internal).is_none());
        let open = tracer.child(of("01"), "x", Kind::Internal).unwrap();
        assert_eq!(open.context().trace(), of("01").trace());
        assert_ne!(open.context().span(), of("01").span());
        assert_eq!(open.span.as_ref().unwrap().parent, Some(of("01").span()));
    }

    #[tokio::test]
    async fn a_span_that_finds_the_queue_full_is_dropped_and_counted() {
        let (tracer, mut spans) = tracer(ALL, 1);
        let mut open = tracer.root("x", Kind::Server).unwrap();
        open.set("a", 1_u64);
        let span = open.span.clone().unwrap();
        tracer.put(span.clone());
        tracer.put(span.clone());
        assert_eq!(tracer.open.load(Ordering::Relaxed), 1);
        assert_eq!(tracer.missed().next(Duration::ZERO).await, 1);
        assert_eq!(spans.try_recv(), Ok(span));
        assert!(spans.try_recv().is_err());
        tracer.settled(1);
        assert_eq!(tracer.open.load(Ordering::Relaxed), 0);
    }
}
