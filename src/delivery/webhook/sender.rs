//! Requests to one webhook. A sender is made once from the webhook's settings and used for every attempt.
//!
//! Owns the webhook's secrets while the webhook has an actor, and keeps them out of logs and errors. The
//! bytes that are signed are the bytes that are sent.

mod masked;
mod traced;
mod work;

pub use self::masked::ShownRequest;

use self::traced::Traced;
use self::work::{Style, Work, lambda_event};
use super::client::{Answer, Client, Failure, Outgoing, Requester, Rest};
use super::guard::{Guard, Receiver, Target};
use super::lambda::{self, Account, Credentials};
use super::permits::Permits;
use super::redirect;
use super::render::{self, CompiledTemplate, Rendered, Secrets, delivery_id};
use crate::core::consumer::shares::Claim;
use crate::core::event::{Event, MapText};
use crate::core::ids::EventId;
use crate::core::webhook::outcome::{Class, Outcome, Sent, Stage};
use crate::core::webhook::records::KEPT_ANSWER;
use crate::core::webhook::reserved::is_reserved;
use crate::core::webhook::{Invocation, Private, Profile, Target as Address, Webhook};
use crate::hub::Hub;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The headers of a request, each name once.
type Headers = Vec<(HeaderName, HeaderValue)>;

/// Sends to one webhook. The actor makes a new one when the settings change.
pub(super) struct Sender {
    webhook: Arc<Webhook>,
    style: Arc<Style>,
    target: Target,
    function: Option<(crate::core::webhook::Lambda, Credentials)>,
    headers: Headers,
    private: Private,
    /// The permits to render a template.
    templates: Permits,
    /// The index, among all secrets that sign, of the secret that the receiver accepts, as its answers show.
    preferred: Cell<usize>,
}

/// The times at the beginning of an attempt, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// The cluster's time. It is the time that is signed.
    pub(super) time_ms: u64,
    /// The time that decides whether an old secret has expired.
    pub(super) expiry_ms: u64,
}

impl Now {
    pub(super) fn of(hub: &Hub) -> Self {
        let (time_ms, expiry_ms) = hub.clock().both();
        Self { time_ms, expiry_ms }
    }
}

/// The result of one attempt.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// The stage at which the attempt ended, if it had begun and there is no whole answer.
    pub(super) stage: Option<Stage>,
    /// The description of the failure, if the attempt failed.
    pub(super) error: Option<String>,
    /// The beginning of the answer's body, as text.
    pub(super) answer: String,
    pub(super) took_ms: u32,
    pub(super) message_id: String,
}

/// Why a webhook's settings can't be used to send. The text says which.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadWebhook(String);

impl Sender {
    pub(super) fn new(
        webhook: Arc<Webhook>,
        private: Private,
        guard: &Guard,
        account: &Account,
        templates: Permits,
    ) -> Result<Self, BadWebhook> {
        let (target, function) = address(&webhook, &private.target, guard, account)?;
        let template = template(&webhook)?;
        let headers = private.headers.iter().filter_map(|(name, value)| {
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
        });
        let style = Style {
            profile: webhook.profile,
            map: MapText::from(webhook.map),
            topic: topic_name(&webhook),
            key: webhook.key.clone().unwrap_or_else(|| webhook.map.to_string()),
            template,
        };
        Ok(Self {
            style: Arc::new(style),
            target,
            function,
            headers: headers.collect(),
            private,
            templates,
            preferred: Cell::new(0),
            webhook,
        })
    }

    /// What the webhook's requests need permits for.
    pub(super) fn claim(&self) -> Claim<Receiver> {
        let Webhook { map, id, .. } = *self.webhook;
        Claim { map, consumer: id, receiver: self.target.receiver() }
    }

    /// Makes one attempt. During the overlap of a rotation a receiver may refuse the signature of one secret
    /// (401 or 403); then the other secrets are tried at once.
    pub(super) async fn send(
        &self,
        client: &Client,
        events: &[Event],
        gap: Option<EventId>,
        attempt: u32,
        now: Now,
    ) -> Ended {
        // Other requests under way may learn the preferred secret meanwhile. Each tries every secret once by
        // itself.
        let known = if has_one_signature(self.webhook.profile) {
            self.secrets(now.expiry_ms, 0).all().count()
        } else {
            1
        };
        let first = Some(self.preferred.get()).filter(|first| *first < known).unwrap_or(0);
        let mut ended = self.send_once(client, events, gap, attempt, first, now).await;
        for other in (0..known).filter(|other| *other != first) {
            if !matches!(ended.outcome.status, Some(401 | 403)) {
                break;
            }
            ended = self.send_once(client, events, gap, attempt, other, now).await;
            if ended.outcome.class == Class::Delivered {
                self.preferred.set(other);
            }
        }
        ended
    }

    async fn send_once(
        &self,
        client: &Client,
        events: &[Event],
        gap: Option<EventId>,
        attempt: u32,
        preferred: usize,
        now: Now,
    ) -> Ended {
        let message_id = delivery_id(events).unwrap_or_default();
        let now_ms = now.time_ms;
        let deadline = Instant::now() + Duration::from_millis(self.webhook.timeout_ms.into());
        let style = self.style.clone();
        let secrets = self.secrets(now.expiry_ms, preferred);
        let work = Work { style, secrets, gap, attempt, now_ms };
        let traced = Traced::begin(&self.webhook, events, attempt);
        let outgoing = match work.render(events, deadline, (&self.templates, self.claim())).await {
            Ok(mut rendered) => {
                rendered.headers.extend(traced.header());
                self.outgoing(rendered, now_ms, deadline.saturating_duration_since(Instant::now()))
            }
            Err(failure) => Err(failure),
        };
        let result = match outgoing {
            Ok(outgoing) => client.send(outgoing, self.webhook()).await,
            Err(failure) => Err(failure),
        };
        let ended = match result {
            Ok(answer) => self.answered(&answer, message_id),
            Err(failure) => self.failed(failure, message_id),
        };
        traced.ended(&ended);
        ended
    }

    fn failed(&self, failure: Failure, message_id: String) -> Ended {
        let Failure { class, sent, stage, message, ms: took_ms } = failure;
        let outcome = Outcome { sent, ..Outcome::failed(class) };
        let error = Some(self.in_words(class, sent, message));
        Ended { outcome, stage, error, answer: String::new(), took_ms, message_id }
    }

    /// Adds to the description of a failure the limit that it names, and that it is not retried, if so. A dead
    /// letter shows this text too.
    fn in_words(&self, class: Class, sent: Sent, mut message: String) -> String {
        if class == Class::Timeout {
            message.push_str(&format!(" (timeout_ms {})", self.webhook.timeout_ms));
        }
        if sent == Sent::Maybe && !self.webhook.retry.ambiguous {
            message.push_str("; the receiver may have taken it, so it is not sent again");
        }
        message
    }

    fn webhook(&self) -> Requester {
        Requester { id: self.webhook.id, ambiguous: self.webhook.retry.ambiguous }
    }

    fn secrets(&self, expiry_ms: u64, preferred: usize) -> Secrets {
        let previous = self.private.previous_at(expiry_ms).map(|(secret, _)| secret.clone());
        Secrets { current: self.private.secret.clone(), previous: previous.collect(), preferred }
    }

    fn outgoing(&self, rendered: Rendered, now_ms: u64, timeout: Duration) -> Result<Outgoing<'_>, Failure> {
        self.addressed(self.with_own(rendered.headers), rendered.body, now_ms, timeout)
    }

    /// The headers of a request, and the webhook's own beside them or in their place.
    fn with_own(&self, mut headers: Headers) -> Headers {
        let profile = self.webhook.profile;
        for (name, value) in self.headers.iter().filter(|(name, _)| !is_reserved(profile, name.as_str())) {
            headers.retain(|(built_in, _)| built_in != name);
            headers.push((name.clone(), value.clone()));
        }
        headers
    }

    /// The request to the target with these headers and this body; to a function, its invocation with them.
    fn addressed(
        &self,
        headers: Headers,
        body: Bytes,
        now_ms: u64,
        timeout: Duration,
    ) -> Result<Outgoing<'_>, Failure> {
        match &self.function {
            Some((function, credentials)) => {
                let event = lambda_event(&headers, &body);
                lambda::invoke(function, &self.target, credentials, event, timeout, now_ms)
                    .map_err(|error| Failure::unsent(Class::Internal, error.to_string()))
            }
            None => {
                let method = self.webhook.method;
                let url = &self.target;
                Ok(Outgoing { method, url, headers, body, timeout })
            }
        }
    }

    fn answered(&self, answer: &Answer, message_id: String) -> Ended {
        let asked_pause = matches!(answer.status, 429 | 503).then_some(answer.retry_after_ms).flatten();
        // Only Discord's rate-limit headers have one defined meaning. Other receivers use them in different
        // ways.
        let allowance = answer.ratelimit.as_ref().filter(|_| self.webhook.profile == Profile::Discord);
        let used_up =
            allowance.filter(|allowance| allowance.remaining == 0).map(|allowance| allowance.reset_after_ms);
        let (mut outcome, mut error) = match &self.function {
            Some((function, _)) => lambda::outcome(function.invocation, answer, crate::clock::now_ms()),
            None => by_status(self.webhook.profile, answer, asked_pause.or(used_up)),
        };
        if let Some((class, message)) = self.unread_answer(answer, &outcome) {
            outcome = Outcome { class, sent: Sent::Maybe, ..outcome };
            error = Some(self.in_words(class, Sent::Maybe, message));
        }
        let stage = matches!(answer.rest, Rest::Broken { .. }).then_some(Stage::Body);
        Ended { outcome, stage, error, answer: shown(&answer.head), took_ms: answer.ms, message_id }
    }

    /// The class and the reason where an awaited function's answer is unknown: the answer is in the body, and
    /// the body broke off.
    fn unread_answer(&self, answer: &Answer, outcome: &Outcome) -> Option<(Class, String)> {
        let (function, _) = self.function.as_ref()?;
        let awaited = function.invocation == Invocation::RequestResponse && answer.function_error.is_none();
        let Rest::Broken { class, message } = &answer.rest else { return None };
        let open = awaited && matches!(outcome.class, Class::Delivered | Class::Function);
        open.then(|| (*class, message.clone()))
    }
}

/// Decides by the status what an answer means. For Slack, a refusal in the body of a 2xx answer decides.
fn by_status(profile: Profile, answer: &Answer, pause_ms: Option<u64>) -> (Outcome, Option<String>) {
    let outcome = Outcome::answered(answer.status, pause_ms);
    if outcome.class != Class::Delivered {
        let leads_to = answer.location.as_deref().map(|to| redirect::shown(to, profile.is_chat()));
        return (outcome, Some(redirect::answered("", answer.status, leads_to.as_deref())));
    }
    match slack_refusal(&answer.head).filter(|_| profile == Profile::Slack) {
        Some(why) => (Outcome { class: Class::Status, ..outcome }, Some(why)),
        None => (outcome, None),
    }
}

/// Some Slack URLs answer 200 to every message, and report a refusal in the body.
fn slack_refusal(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Said {
        ok: bool,
        error: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    let error: String =
        said.error.unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
    (!said.ok).then(|| format!("the receiver answered with ok = false: {error}"))
}

/// The name under which clients join the topic that the webhook's events come from.
pub(super) fn topic_name(webhook: &Webhook) -> String {
    format!("events:map:{}", webhook.map)
}

/// Checks that this node can use the settings to send.
pub(super) fn check(
    webhook: &Webhook,
    private: &Private,
    guard: &Guard,
    account: &Account,
) -> Result<(), BadWebhook> {
    address(webhook, &private.target, guard, account)?;
    template(webhook).map(drop)
}

fn template(webhook: &Webhook) -> Result<Option<CompiledTemplate>, BadWebhook> {
    let compiled = webhook
        .template
        .as_ref()
        .map(|template| CompiledTemplate::new(&template.body, &template.content_type));
    compiled.transpose().map_err(|error| BadWebhook(error.to_string()))
}

fn address(
    webhook: &Webhook,
    address: &Address,
    guard: &Guard,
    account: &Account,
) -> Result<(Target, Option<(crate::core::webhook::Lambda, Credentials)>), BadWebhook> {
    match address {
        Address::Http(url) => {
            // The address is checked when it is dialled: the rules may have changed since the webhook was
            // created.
            let url = render::dialled(webhook.profile, url);
            Ok((Target::parse(&url).map_err(|error| BadWebhook(error.to_string()))?, None))
        }
        Address::Lambda(function) => {
            let credentials = account.credentials.clone();
            let credentials =
                credentials.ok_or_else(|| BadWebhook("this node has no AWS credentials".into()))?;
            let target =
                lambda::target(function, account, guard).map_err(|error| BadWebhook(error.to_string()))?;
            Ok((target, Some((function.clone(), credentials))))
        }
    }
}

fn has_one_signature(profile: Profile) -> bool {
    matches!(profile, Profile::Wanderer | Profile::Envelope | Profile::Broadcasting | Profile::Pusher)
}

/// The beginning of an answer, as text that can be shown.
fn shown(head: &Bytes) -> String {
    String::from_utf8_lossy(&head[..head.len().min(KEPT_ANSWER)]).into_owned()
}

#[cfg(test)]
mod tests;
