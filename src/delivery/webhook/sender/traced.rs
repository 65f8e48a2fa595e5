//! The trace of one request: the header that names it, and its span.

use super::Ended;
use crate::core::event::Event;
use crate::core::trace::TraceContext;
use crate::core::webhook::Webhook;
use crate::core::webhook::outcome::Class;
use crate::spans::{Kind, Open, tracer};
use http::header::{HeaderName, HeaderValue};

/// The trace of a request that is being made.
pub(super) struct Traced {
    context: Option<TraceContext>,
    /// The span, if it is recorded. It ends with this.
    span: Option<Open>,
}

impl Traced {
    /// Begins a request with these events. It belongs to the trace of the first event that has one; the span
    /// names those of the others.
    pub(super) fn begin(webhook: &Webhook, events: &[Event], attempt: u32) -> Self {
        let mut contexts = events.iter().filter_map(|event| event.trace);
        let context = contexts.next();
        let begun = context.and_then(|context| tracer()?.child(context, "webhook", Kind::Client));
        let span = begun.map(|mut span| {
            span.set("waypost.map_id", webhook.map.to_string());
            span.set("waypost.webhook_id", webhook.id.to_string());
            span.set("waypost.attempt", u64::from(attempt));
            span.set("waypost.events", events.len() as u64);
            let of_others = contexts.filter(|other| Some(other.trace()) != context.map(|own| own.trace()));
            of_others.for_each(|other| span.link(other));
            span
        });
        Self { context: span.as_ref().map(Open::context).or(context), span }
    }

    /// The header `traceparent`, if the events belong to a trace.
    pub(super) fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        header_of(self.context?)
    }

    /// Notes the result.
    pub(super) fn ended(mut self, ended: &Ended) {
        let Some(span) = &mut self.span else { return };
        span.set("waypost.class", ended.outcome.class.name().to_owned());
        if let Some(status) = ended.outcome.status {
            span.set("http.response.status_code", u64::from(status));
        }
        if ended.outcome.class != Class::Delivered {
            span.fail(ended.error.as_deref().unwrap_or("not delivered"));
        }
    }
}

/// The header `traceparent` of a trace.
pub(super) fn header_of(context: TraceContext) -> Option<(HeaderName, HeaderValue)> {
    let value = HeaderValue::from_str(&context.to_string()).ok()?;
    Some((HeaderName::from_static("traceparent"), value))
}
