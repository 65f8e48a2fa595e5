//! Sends spans to the collector that the configuration names: OTLP over HTTP, in JSON. On a thread of its
//! own, so that a collector that hangs holds up nobody. What can't be sent is dropped and counted, and the log says
//! so.

use super::ServerError;
use crate::config::Config;
use crate::core::ids::{NodeId, WebhookId};
use crate::core::webhook::Method;
use crate::delivery::webhook::BadWebhooks;
use crate::delivery::webhook::client::{Client, Outgoing, Outside, Requester};
use crate::delivery::webhook::guard::{Guard, Target};
use crate::metric;
use crate::spans::{self, Span, otlp};
use actix_rt::{Arbiter, ArbiterHandle};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use ipnet::IpNet;
use std::cell::RefCell;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

/// Most spans of one request.
const BATCH: usize = 512;
/// How long spans are gathered for a request.
const GATHER: Duration = Duration::from_millis(200);
/// Longest time of one request.
const WITHIN: Duration = Duration::from_secs(10);
/// How often a request is made before its spans are dropped.
const TRIES: u32 = 3;
/// The pause before the second try. It doubles with each.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a collector gets by asking for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long spans that find the queue full are counted before the log is told of the first ones.
const COUNT: Duration = Duration::from_secs(1);
/// The least pause between two lines of the log about them.
const REPORT: Duration = Duration::from_secs(60);

/// Records spans from now on and sends them, if the configuration names a collector.
pub(super) fn start(config: &Config, node: NodeId) -> Result<(), ServerError> {
    let Some(url) = config.otel.url() else { return Ok(()) };
    // The operator names the collector, so it may be anywhere.
    let anywhere: Vec<IpNet> = ["0.0.0.0/0", "::/0"].iter().filter_map(|net| net.parse().ok()).collect();
    let outside = Outside::new(Guard::new(anywhere), config.webhooks.ca_file.as_deref());
    let outside = outside.map_err(BadWebhooks::from)?;
    let target = Target::parse(url.as_str()).map_err(|error| ServerError::Otel(error.to_string()))?;
    let headers = headers(config.otel.header_list().unwrap_or_default());
    let resource = vec![
        ("service.name", config.otel.service_name.clone()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", node.to_string()),
        ("waypost.node.name", config.node.name()),
    ];
    let Some(spans) = spans::install(config.otel.sample_per_million) else { return Ok(()) };
    let handle: ArbiterHandle = Arbiter::new().handle();
    handle.spawn_fn(move || {
        let client = Client::new(&outside);
        let exporter = Exporter { client, target, headers, resource, fails: RefCell::default() };
        actix_rt::spawn(exporter.run(spans));
        actix_rt::spawn(report_missed());
    });
    Ok(())
}

/// Tells the log how many spans found the queue full: at most once a minute.
async fn report_missed() {
    let Some(tracer) = spans::tracer() else { return };
    loop {
        let dropped = tracer.missed().next(COUNT).await;
        tracing::warn!(
            dropped,
            "spans are dropped: too many wait for the collector (otel.endpoint); lower otel.sample_per_million, or \
             give the collector more room"
        );
        sleep(REPORT).await;
    }
}

/// The headers of each request: the given ones replace those of the same name.
fn headers(given: Vec<(HeaderName, HeaderValue)>) -> Vec<(HeaderName, HeaderValue)> {
    let agent = HeaderValue::from_static(concat!("waypost/", env!("CARGO_PKG_VERSION")));
    let mut all = vec![(USER_AGENT, agent)];
    all.retain(|(name, _)| !given.iter().any(|(other, _)| other == name));
    all.extend(given.into_iter().filter(|(name, _)| *name != CONTENT_TYPE));
    all.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    all
}

struct Exporter {
    client: Client,
    target: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
    resource: Vec<(&'static str, String)>,
    /// Why the last spans were dropped, if they were. The log says so when the reason changes.
    fails: RefCell<Option<String>>,
}

/// What became of a request.
enum Sent {
    /// The collector took the spans, except for so many.
    Taken(u64),
    /// The collector will never take them.
    Refused(String),
    /// The collector may take them later: why it did not, and how long it wants to be left alone, if it says
    /// so.
    Later(String, Option<Duration>),
}

impl Exporter {
    async fn run(self, mut spans: mpsc::Receiver<Span>) {
        while let Some(first) = spans.recv().await {
            let mut batch = vec![first];
            let deadline = Instant::now() + GATHER;
            while batch.len() < BATCH
                && let Ok(Some(next)) = timeout_at(deadline, spans.recv()).await
            {
                batch.push(next);
            }
            self.send(&batch).await;
            if let Some(tracer) = spans::tracer() {
                tracer.settled(batch.len());
            }
        }
    }

    async fn send(&self, batch: &[Span]) {
        let count = batch.len() as u64;
        let body = Bytes::from(otlp::body(&self.resource, batch));
        let mut pause = PAUSE;
        for attempt in 1..=TRIES {
            match self.post(body.clone()).await {
                Sent::Taken(refused) => {
                    let refused = refused.min(count);
                    metrics::counter!(metric::SPANS_SENT).increment(count - refused);
                    return self.dropped(refused, "refused", None);
                }
                Sent::Refused(why) => return self.dropped(count, "refused", Some(&why)),
                Sent::Later(why, _) if attempt == TRIES => {
                    return self.dropped(count, "unreachable", Some(&why));
                }
                Sent::Later(_, asked) => sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE)).await,
            }
            pause *= 2;
        }
    }

    /// Counts spans that were dropped. The log tells when it begins, when the reason changes, and when it is
    /// over.
    fn dropped(&self, count: u64, reason: &'static str, why: Option<&str>) {
        if count > 0 {
            metrics::counter!(metric::SPANS_DROPPED, "reason" => reason).increment(count);
        }
        let before = self.fails.replace(why.map(str::to_owned));
        match why {
            Some(why) if before.as_deref() != Some(why) => {
                // A query may have a secret.
                let collector = self.target.as_str().split('?').next();
                tracing::warn!(collector, why, "spans are dropped (otel.endpoint)");
            }
            None if before.is_some() => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }

    async fn post(&self, body: Bytes) -> Sent {
        let request = Outgoing {
            method: Method::Post,
            url: &self.target,
            headers: self.headers.clone(),
            body,
            timeout: WITHIN,
        };
        // Connections are kept by webhook. No webhook has this id.
        let requester = Requester { id: WebhookId::new(uuid::Uuid::nil()), ambiguous: false };
        match self.client.send(request, requester).await {
            Ok(answer) => match answer.status {
                200..=299 => Sent::Taken(otlp::refused(&answer.head)),
                429 | 502 | 503 | 504 => {
                    let asked = answer.retry_after_ms.map(Duration::from_millis);
                    Sent::Later(format!("the collector answered {}", answer.status), asked)
                }
                status => Sent::Refused(format!("the collector answered {status}")),
            },
            Err(failure) => Sent::Later(failure.message, None),
        }
    }
}
