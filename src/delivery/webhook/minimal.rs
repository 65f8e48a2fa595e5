//! The smallest thing of the shape that the API needs: literal addresses judged by the allowed networks, and tests
//! sent over plain HTTP. No engine, no TLS, no signatures.

use crate::clock::now_ms;
use crate::core::command::Command;
use crate::core::endpoint::class::{Class, Outcome};
use crate::core::endpoint::progress::Attempt;
use crate::core::endpoint::{Endpoint, Target};
use crate::hub::{Hub, HubError, SealError};
use actix_web::http::Uri;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Why a test was not sent.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// What is secret of the endpoint can't be opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// Its settings can't be used on this node.
    #[error("{0}")]
    Settings(String),
    /// Too many tests wait, or the node stops.
    #[error("too many tests wait on this node")]
    Busy,
    /// It was sent, but the cluster couldn't be told.
    #[error(transparent)]
    Hub(#[from] HubError),
}

/// A target that may be delivered to.
pub struct Checked {
    /// In its normal form.
    pub target: Target,
    /// Its host, for people.
    pub host: String,
}

/// Delivery, as the API sees it.
#[derive(Clone)]
pub struct Webhooks {
    hub: Hub,
    allow: Arc<[IpNet]>,
}

impl Webhooks {
    /// With the networks that may be reached though they are not public.
    pub fn new(hub: Hub, allow: Vec<IpNet>) -> Self {
        Self { hub, allow: allow.into() }
    }

    /// Judges where a target leads; the error says why it can't be one.
    pub async fn check_target(&self, target: &Target) -> Result<Checked, String> {
        let url = match target {
            Target::Http(url) => url,
            Target::Lambda(lambda) => match &lambda.endpoint {
                Some(url) => url,
                None => {
                    let host = format!("lambda.{}.amazonaws.com", lambda.region);
                    return Ok(Checked { target: target.clone(), host });
                }
            },
        };
        let uri: Uri = url.parse().map_err(|_| "must be a URL".to_owned())?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err("must begin with http:// or https://".into());
        }
        let host = uri.host().ok_or("must have a host")?.to_owned();
        let address: Option<IpAddr> = match host.as_str() {
            "localhost" => Some([127, 0, 0, 1].into()),
            host => host.trim_matches(['[', ']']).parse().ok(),
        };
        let inside = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unspecified(),
        };
        if let Some(ip) = address
            && inside(ip)
            && !self.allow.iter().any(|net| net.contains(&ip))
        {
            return Err(format!("{ip} is not a public address"));
        }
        let target = match target {
            Target::Http(_) => Target::Http(uri.to_string()),
            lambda => lambda.clone(),
        };
        Ok(Checked { target, host })
    }

    /// Says why a template can't be one.
    pub fn check_template(&self, source: &str, _content_type: &str) -> Result<(), String> {
        if source.matches("{{").count() == source.matches("}}").count() { Ok(()) } else { Err("unbalanced".into()) }
    }

    /// Says why an expression can't be one.
    pub fn check_expression(expression: &str) -> Result<(), String> {
        if expression.trim().is_empty() { Err("is empty".into()) } else { Ok(()) }
    }

    /// Delivers an event that is in no log, now, from this node.
    pub async fn test(&self, endpoint: Arc<Endpoint>, kind: String, payload: Vec<u8>) -> Result<Attempt, TestError> {
        let private = self.hub.seal()?.open(endpoint.id, &endpoint.sealed)?;
        let message_id = format!("test_{}", Uuid::new_v4().simple());
        let (began, at_ms) = (std::time::Instant::now(), now_ms());
        let timeout = Duration::from_millis(endpoint.timeout_ms.into());
        let sent = match &private.target {
            Target::Http(url) => {
                let client = awc::Client::builder().timeout(timeout).disable_redirects().finish();
                let request = client.post(url).insert_header(("webhook-id", message_id.as_str()));
                request.send_body(payload).await.map(|answer| answer.status().as_u16()).map_err(|e| e.to_string())
            }
            Target::Lambda(_) => Err("no functions here".into()),
        };
        let outcome = match &sent {
            Ok(status) => Outcome::answered(*status, None),
            Err(_) => Outcome::failed(Class::Connect),
        };
        let attempt = Attempt {
            number: 0,
            seq: None,
            message_id,
            events: 1,
            kind,
            attempt: 1,
            at_ms,
            took_ms: u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX),
            class: outcome.class,
            status: outcome.status,
            error: sent.err(),
            answer: String::new(),
            node: self.hub.node_id(),
        };
        self.hub.propose(&Command::NoteAttempt(endpoint.id, Box::new(attempt.clone()))).await?;
        Ok(attempt)
    }
}
