//! The REST API's errors: `{"code", "error": code, "status", "message", "hint"}`. The status shows whose fault
//! the error is.

use crate::core::command::{Counted, Refusal};
use crate::core::error_code::Code;
use crate::core::field_error::FieldErrors;
use crate::core::json::JsonError;
use crate::core::limits::{Limit, LimitName};
use crate::core::rate::{Exceeded, PublishRates};
use crate::core::subject::Subject;
use crate::core::text::counted;
use crate::edge::audit::facts::ErrorCode;
use crate::hub::{ArchiveError, HubError, ResumeError};
use actix_web::http::StatusCode;
use actix_web::http::header::{ContentType, RETRY_AFTER};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Value, json};
use std::fmt;

/// The limit of what waits for the log. The number of requests that wait is limited too, by `publish.queue`.
const QUEUE: LimitName = LimitName::Setting("publish.queue_bytes");

/// An error answer. It is boxed, because results carry it whose other side is small.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError(Box<Parts>);

/// The content of an [`ApiError`].
#[derive(Clone, Debug, PartialEq)]
struct Parts {
    status: StatusCode,
    code: Code,
    message: String,
    hint: Option<String>,
    /// Index of the bad event in a batch.
    index: Option<usize>,
    /// Seconds after which the client may try again.
    retry_after: Option<u64>,
    extra: Vec<(&'static str, Value)>,
}

impl ApiError {
    /// An error with a stable code.
    pub fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Parts {
            status,
            code,
            message,
            hint: None,
            index: None,
            retry_after: None,
            extra: Vec::new(),
        }))
    }

    /// 400: the request makes no sense.
    pub fn bad_request(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400: the body has faults. The answer lists each of them with its field.
    pub fn invalid_body(errors: &FieldErrors) -> Self {
        Self::bad_request(Code::InvalidBody, errors.to_string()).with("errors", json!(errors))
    }

    /// 401. The hint says what is wrong with the token, or that there is none.
    pub fn unauthorized(hint: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "a valid token is needed").hint(hint)
    }

    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Forbidden, message)
    }

    /// 404.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, format!("{what} was not found"))
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, message)
    }

    /// 415.
    pub fn unsupported_media(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::UnsupportedMediaType, message)
    }

    /// The error of a status that comes without words.
    pub fn of_status(status: StatusCode) -> Self {
        let (code, message) = match status.as_u16() {
            404 => (Code::NotFound, "this path was not found"),
            405 => (Code::MethodNotAllowed, "this path doesn't take the method"),
            408 => {
                return Self::new(status, Code::Timeout, "the head of the request came too slowly")
                    .of(LimitName::Setting("limits.upgrade_timeout_ms"));
            }
            413 => (Code::TooLarge, "the request is too large"),
            431 => {
                return Self::new(status, Code::HeadersTooLarge, "the head of the request is too large")
                    .of(LimitName::Setting("limits.header_bytes"));
            }
            400 => (Code::InvalidRequest, "this is no request that HTTP allows"),
            401..=499 => (Code::Refused, "the request was refused"),
            503 => return Self::unavailable("the node can't do this now"),
            _ => (Code::Internal, "the request failed inside the server"),
        };
        Self::new(status, code, message)
    }

    /// 429: the client may try again in `wait_ms` milliseconds.
    pub fn too_fast(code: Code, message: impl Into<String>, wait_ms: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message).retry_after(wait_ms.div_ceil(1000).max(1))
    }

    /// 503.
    fn later(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// 503: the server's fault. Nothing was changed.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::later(Code::Unavailable, message)
            .hint("nothing was changed; try again, or another node")
            .retry_after(1)
    }

    /// Adds what the caller can do about the error.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the index of the bad event in a batch.
    pub fn at(mut self, index: usize) -> Self {
        self.0.index = Some(index);
        self
    }

    /// Adds one more field.
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.extra.push((name, value));
        self
    }

    /// Names the limit that was reached: its value, its setting, and for a limit of maps its name there.
    pub fn of_limit(self, name: LimitName, value: u64) -> Self {
        self.with("limit", value.into()).of(name)
    }

    /// Names the limit that was reached, and the command that raises it, where its value is not known.
    pub fn of(mut self, name: LimitName) -> Self {
        self.0.hint = Some(match self.0.hint.take() {
            Some(hint) => format!("{hint}; {name}"),
            None => name.to_string(),
        });
        self.0.extra.extend(name.setting().map(|setting| ("setting", setting.into())));
        self.0.extra.extend(name.of_map().map(|of_map| ("map_limit", of_map.into())));
        self.0.extra.extend(name.raise().map(|command| ("raise", command.into())));
        self
    }

    /// The JSON of the answer.
    pub fn body(&self) -> Value {
        // `code` is in every error. `error` repeats it, and `status` the status, for clients that look there.
        let mut body = json!({
            "error": self.0.code,
            "message": self.0.message,
            "code": self.0.code,
            "status": self.0.status.as_u16(),
        });
        if let Some(hint) = &self.0.hint {
            body["hint"] = hint.as_str().into();
        }
        if let Some(index) = self.0.index {
            body["index"] = index.into();
        }
        for (name, value) in &self.0.extra {
            body[*name] = value.clone();
        }
        body
    }

    /// The message and what the caller can do about it, for protocols whose errors are one text.
    pub fn text(&self) -> String {
        match &self.0.hint {
            Some(hint) => format!("{}; {hint}", self.0.message),
            None => self.0.message.clone(),
        }
    }

    fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// An answer with the error's status and `body`, which is in the form of another API.
    pub fn answer(&self, body: &Value) -> HttpResponse {
        self.with_code(self.head().json(body))
    }

    fn head(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.0.status);
        if let Some(seconds) = self.0.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response
    }

    fn with_code(&self, mut response: HttpResponse) -> HttpResponse {
        response.extensions_mut().insert(ErrorCode(self.0.code));
        response
    }
}

/// An answer with a JSON body that ends its line: people read it in a terminal.
pub fn as_line(response: &mut HttpResponseBuilder, body: &Value) -> HttpResponse {
    response.content_type(ContentType::json()).body(format!("{body}\n"))
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        self.with_code(as_line(&mut self.head(), &self.body()))
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self::invalid_body(&errors)
    }
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        let message = error.to_string();
        match error {
            JsonError::UnsafeInteger(_) => Self::bad_request(Code::UnsafeInteger, message),
            JsonError::TooDeep(most) => Self::bad_request(Code::TooDeep, message)
                .of_limit(LimitName::Setting("limits.json_depth"), most as u64),
            JsonError::Syntax(_) => Self::bad_request(Code::InvalidJson, message),
        }
    }
}

impl From<HubError> for ApiError {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Refused(refusal) => refusal.into(),
            HubError::TooFast { exceeded, rates } => too_fast_publishes(exceeded, rates),
            HubError::Unavailable(message) => Self::unavailable(message),
            HubError::QueueFull => Self::unavailable(error.to_string()).of(QUEUE),
            HubError::MapQueueFull => Self::too_fast(Code::MapQueueFull, error.to_string(), 1000)
                .hint("nothing was changed; wait for the answers to earlier requests")
                .of(QUEUE),
            HubError::DiskFull => Self::later(Code::DiskFull, error.to_string())
                .hint("nothing was changed; make room on the disk of the data directory (the cluster's status shows which); publishing then resumes by itself")
                .retry_after(5),
            HubError::Unknown => Self::later(Code::UnknownOutcome, error.to_string())
                .hint("repeat the request with the same Idempotency-Key to be sure that it is stored once")
                .retry_after(1),
            HubError::TooLarge(limit) => {
                let bytes = counted(limit, "byte", "bytes");
                Self::too_large(format!("one request may store at most {bytes}"))
                    .hint("send fewer events at once, or a stream of NDJSON")
                    .of_limit(LimitName::Fixed, limit as u64)
            }
            HubError::Internal(message) => {
                tracing::error!(message, "a request failed inside the server");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the request failed inside the server")
            }
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownMap => Self::not_found("the map"),
            Refusal::UnknownToken => Self::not_found("the token"),
            Refusal::Forbidden => Self::forbidden("the token doesn't open this"),
            Refusal::SlugTaken => conflict(Code::SlugTaken, "another map has this slug"),
            Refusal::IdTaken => conflict(Code::IdTaken, "another one has this id"),
            Refusal::Limit(counted, limit) => limit_reached(counted, limit),
            Refusal::TooManySubjects(limit) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, Code::LimitReached, many_subjects(limit))
                    .hint("delete the history of subjects that are not needed")
                    .of_limit(LimitName::OfMap(&Limit::SUBJECTS), limit.into())
            }
            Refusal::Rate(exceeded) => too_fast_publishes(exceeded, PublishRates::default()),
            Refusal::TooManyKeys { limit, wait_ms } => too_many_keys(limit.into(), wait_ms),
            Refusal::KeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                Code::IdempotencyKeyReused,
                "the Idempotency-Key was used for another body",
            )
            .hint("use a new key for each request, and the same key only to repeat it"),
            Refusal::UnknownWebhook => {
                Self::new(StatusCode::NOT_FOUND, Code::WebhookNotFound, "the webhook was not found")
            }
            Refusal::TargetTaken(other) => {
                conflict(Code::UrlTaken, format!("webhook {other} of this map has the same target"))
            }
            Refusal::Changed => conflict(Code::ChangedMeanwhile, "another request changed it meanwhile")
                .hint("nothing was changed; read it again and repeat the change"),
            Refusal::Stale(_) => Self::unavailable("this node does not deliver for the webhook any more"),
            Refusal::Configured => configured("webhook"),
            Refusal::Busy => conflict(Code::TooMuchWaits, "too much work waits for the node that delivers")
                .hint("wait until some of it is done, or cancel replays")
                .of(LimitName::Fixed),
            Refusal::Inactive => conflict(Code::WebhookInactive, "the webhook is not active")
                .hint("enable it first; it continues where it stopped"),
            Refusal::Ephemeral => conflict(
                Code::EphemeralSubject,
                "the map's channel rules make the subject ephemeral: its events are not stored",
            )
            .hint("the rules were changed meanwhile; repeat the request"),
            Refusal::UnknownEvent => {
                Self::new(StatusCode::NOT_FOUND, Code::EventNotFound, "the event was not found")
            }
            Refusal::AppIdTaken => conflict(Code::AppIdTaken, "another map has an app with this id"),
            Refusal::AppKeyTaken => conflict(Code::KeyTaken, "there is an app with this key"),
            Refusal::UnknownApp => Self::not_found("the app"),
            Refusal::UnknownSource => Self::not_found("the ingest source"),
            Refusal::SystemMap => system_map(),
            Refusal::ConfiguredApp => configured("app"),
            Refusal::Malformed => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Internal,
                "the cluster refused the command",
            )
            .hint("all nodes must run the same release"),
        }
    }
}

/// Says that as many subjects of a map have events as may have some.
pub fn many_subjects(limit: u32) -> String {
    let have = counted(limit, "subject of the map has", "subjects of the map have");
    format!("{have} events, as many as may have some")
}

/// 403: the system map does not allow it to anybody.
fn system_map() -> ApiError {
    let message = "the system map has the server's events alone: nobody else publishes to it, and it stays";
    ApiError::new(StatusCode::FORBIDDEN, Code::SystemMap, message)
        .hint("read it, give it webhooks and consumers, and tokens with the scopes subscribe and manage")
}

/// 403: the caller's token is limited to other subjects.
pub fn forbidden_subject(subject: &Subject) -> ApiError {
    let name = subject.as_str();
    ApiError::forbidden(format!("the token may not publish to the subject {name:?}"))
        .hint("name a subject that the token permits")
}

fn limit_reached(kind: Counted, limit: u32) -> ApiError {
    let (what, whose, name) = match kind {
        Counted::Maps => ("map", "of the cluster", LimitName::Setting("limits.maps")),
        Counted::Tokens => ("token", "of the map", LimitName::Setting("limits.tokens_per_map")),
        Counted::Connections => ("socket", "of the map", LimitName::OfMap(&Limit::CONNECTIONS)),
        Counted::Webhooks => ("webhook", "of the map", LimitName::OfMap(&Limit::WEBHOOKS)),
        Counted::Apps => ("app", "of the map", LimitName::Fixed),
        Counted::Sources => ("ingest source", "of the map", LimitName::Fixed),
        Counted::Members => ("member", "of the channel", LimitName::OfRule("members_max")),
        Counted::Revocations => ("revocation", "of the map's client tokens", LimitName::Fixed),
        Counted::Issuers => ("issuer", "of the map", LimitName::Fixed),
        Counted::AdminTokens => ("token", "of the cluster beside the admin token", LimitName::Fixed),
        Counted::Consumers => ("consumer", "of the map", LimitName::Fixed),
        Counted::Replays => ("replay", "of the webhook that have not ended", LimitName::Fixed),
    };
    let hint = match kind {
        Counted::Replays => "wait until one has ended, or cancel one",
        _ => "delete what is not needed",
    };
    let there = counted(limit, &format!("{what} {whose}"), &format!("{what}s {whose}"));
    let are = if limit == 1 { "is" } else { "are" };
    let message = format!("there {are} {there}, as many as there may be");
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, Code::LimitReached, message)
        .hint(hint)
        .of_limit(name, limit.into())
}

/// Only the configuration file changes it.
fn configured(what: &str) -> ApiError {
    conflict(Code::Configured, format!("the {what} is defined in the configuration file"))
        .hint("change it there, and restart the nodes")
}

/// 409: the state of what the request is about does not allow it.
fn conflict(code: Code, message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::CONFLICT, code, message)
}

/// The map remembers as many idempotency keys as it may.
fn too_many_keys(limit: u64, wait_ms: u64) -> ApiError {
    let message = format!(
        "the map remembers {}, as many as it may",
        counted(limit, "idempotency key", "idempotency keys")
    );
    ApiError::too_fast(Code::TooManyIdempotencyKeys, message, wait_ms)
        .hint(
            "nothing was stored; keys that are remembered still work; publish without a key, or wait until the \
             oldest expires",
        )
        .of_limit(LimitName::OfMap(&Limit::IDEMPOTENCY_KEYS), limit)
}

/// The value of the rate is named where it is known: the state machine does not report it.
fn too_fast_publishes(exceeded: Exceeded, rates: PublishRates) -> ApiError {
    let (what, limit, value, wait_ms) = match exceeded {
        Exceeded::Events(wait_ms) => ("events", &Limit::PUBLISHES_PER_SECOND, rates.events, wait_ms),
        Exceeded::Bytes(wait_ms) => {
            ("bytes of events", &Limit::PUBLISH_BYTES_PER_SECOND, rates.bytes, wait_ms)
        }
    };
    let message = format!("the map takes no more {what} in this second");
    let error = ApiError::too_fast(Code::PublishRate, message, wait_ms);
    match value {
        Some(value) => error.of_limit(LimitName::OfMap(limit), value.into()),
        None => error.of(LimitName::OfMap(limit)),
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        tracing::error!(%error, "a request met an unreadable store");
        Self::unavailable(error.to_string())
    }
}

impl From<ResumeError> for ApiError {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::Behind(_) => Self::unavailable(error.to_string()),
            ResumeError::Archive(error) => error.into(),
        }
    }
}
