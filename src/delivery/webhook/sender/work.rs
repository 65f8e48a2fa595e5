//! One request to be rendered: what it is made of, and the thread that renders it.

use super::super::client::Failure;
use super::super::guard::Receiver;
use super::super::permits::Permits;
use super::super::render::{self, CompiledTemplate, Rendered, Rendering, Secrets};
use crate::core::consumer::shares::{Claim, Speed};
use crate::core::event::{Event, MapText, push_json_string};
use crate::core::ids::EventId;
use crate::core::webhook::Profile;
use crate::core::webhook::outcome::Class;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use std::sync::Arc;
use std::time::Instant;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// What all requests to the webhook have in common, except for the secrets.
pub(super) struct Style {
    pub(super) profile: Profile,
    pub(super) map: MapText,
    pub(super) topic: String,
    pub(super) key: String,
    pub(super) template: Option<CompiledTemplate>,
}

/// One request to be rendered. It owns its data, so that it can be rendered on another thread.
pub(super) struct Work {
    pub(super) style: Arc<Style>,
    pub(super) secrets: Secrets,
    pub(super) gap: Option<EventId>,
    pub(super) attempt: u32,
    pub(super) now_ms: u64,
}

impl Work {
    /// Renders the request. A template is rendered on another thread, since this one delivers for other
    /// webhooks too. Maps take turns: each renders one template at a time.
    pub(super) async fn render(
        self,
        events: &[Event],
        deadline: Instant,
        (templates, claim): (&Permits, Claim<Receiver>),
    ) -> Result<Rendered, Failure> {
        if self.style.template.is_none() {
            return self.run(events);
        }
        let events = events.to_vec();
        let apart = async {
            let permit = templates.take(claim, Speed::Quick).await;
            let run = move || {
                let _permit = permit;
                self.run(&events)
            };
            spawn_blocking(run).await.ok()
        };
        match timeout(deadline.saturating_duration_since(Instant::now()), apart).await {
            Ok(Some(rendered)) => rendered,
            // Templates of other webhooks may have used up the time, so this attempt is retried.
            _ => {
                let message = "the template was not rendered in time".to_owned();
                Err(Failure::unsent(Class::Internal, message))
            }
        }
    }

    fn run(&self, events: &[Event]) -> Result<Rendered, Failure> {
        let Style { profile, map, topic, key, template } = &*self.style;
        let template = template.as_ref();
        let rendering = Rendering { profile: *profile, map, topic, key, template, secrets: &self.secrets };
        render::render(&rendering, events, self.gap, self.attempt, self.now_ms)
            .map_err(|error| Failure::unsent(Class::Render, error.to_string()))
    }
}

/// The payload of a function's invocation: the request that an HTTP receiver would get, in the format in
/// which API gateways pass it on.
pub(super) fn lambda_event(headers: &[(HeaderName, HeaderValue)], body: &Bytes) -> Bytes {
    let mut event = b"{\"headers\":{".to_vec();
    for (index, (name, value)) in headers.iter().enumerate() {
        if index > 0 {
            event.push(b',');
        }
        push_json_string(&spelled(name), &mut event);
        event.push(b':');
        push_json_string(&String::from_utf8_lossy(value.as_bytes()), &mut event);
    }
    event.extend_from_slice(b"},\"body\":");
    push_json_string(&String::from_utf8_lossy(body), &mut event);
    event.push(b'}');
    event.into()
}

/// A header's name in its usual spelling (`Content-Type`): functions compare these names letter by letter.
fn spelled(name: &HeaderName) -> String {
    if name.as_str().starts_with("webhook-") {
        return name.as_str().to_owned();
    }
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    let parts: Vec<String> = name.as_str().split('-').filter(|part| !part.is_empty()).map(capital).collect();
    parts.join("-")
}
