//! Asks the issuer with which people sign in to the console: what it says of itself, its keys, and the tokens
//! for a code. It goes where webhooks may go: the same policy for addresses, checked whenever a name is
//! resolved.
//!
//! What is asked is bounded in bytes and in time, and how many ask at a time too. The issuer's document and
//! its keys are kept for a while. A node without an issuer starts nothing.

use super::jwks::key_url;
use super::webhook::client::{Client, Outgoing, Outside, Requester, Rest};
use crate::clock::now_ms;
use crate::core::ids::WebhookId;
use crate::core::jwt::{Claims, JwtError, KeySource, MAX_JWKS_LEN, Verifier};
use crate::core::oidc::{Attempt, Discovery, MAX_DISCOVERY_LEN, OidcSettings, WrongToken};
use crate::core::webhook::Method;
use actix_rt::Arbiter;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use url::form_urlencoded::{Serializer, byte_serialize};

/// Sign-ins that may wait, and that may be under way.
const MOST_WAITING: usize = 64;
const MOST_UNDER_WAY: usize = 16;
/// Longest time of one request.
const WITHIN: Duration = Duration::from_secs(5);
/// Longest wait of a person for all of them.
const ANSWER: Duration = Duration::from_secs(15);
/// How long a document is taken as it is, and how long if no newer one comes.
const FRESH: Duration = Duration::from_secs(600);
const OLDEST: Duration = Duration::from_secs(3600);
/// The pause before keys are fetched again because a token names one that is not known, and before an issuer
/// is asked again that gave no document: anybody can have a node ask.
const PAUSE: Duration = Duration::from_secs(5);

/// Why nobody was signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// Too many people sign in at a time.
    #[error("too many people sign in at the moment")]
    Busy,
    /// The issuer does not answer as it should.
    #[error("the issuer does not answer as it should: {0}")]
    Unavailable(String),
    /// The issuer does not take the code.
    #[error("the issuer refused the sign-in: {0}")]
    Refused(String),
    /// The ID token is not valid.
    #[error("the ID token was refused: {0}")]
    Token(#[from] JwtError),
    /// The ID token is not of this sign-in.
    #[error(transparent)]
    Wrong(#[from] WrongToken),
}

/// The tokens that come for a code. Only the ID token is used.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// How an issuer says what is wrong.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

enum Job {
    Discover(oneshot::Sender<Result<Arc<Discovery>, OidcError>>),
    Exchange { code: String, attempt: Attempt, answer: oneshot::Sender<Result<Claims, OidcError>> },
}

impl Job {
    /// Whether nobody waits for the answer any more.
    fn is_left(&self) -> bool {
        match self {
            Self::Discover(answer) => answer.is_closed(),
            Self::Exchange { answer, .. } => answer.is_closed(),
        }
    }
}

/// The way to the issuer; cheap to clone.
#[derive(Clone)]
pub struct Oidc {
    settings: Arc<OidcSettings>,
    jobs: mpsc::Sender<Job>,
}

impl Oidc {
    /// Starts to ask that issuer, on a thread of its own.
    pub fn start(settings: Arc<OidcSettings>, outside: &Outside) -> Self {
        let (jobs, waiting) = mpsc::channel(MOST_WAITING);
        let (own, outside) = (settings.clone(), outside.clone());
        Arbiter::new().handle().spawn_fn(move || {
            actix_rt::spawn(run(own, outside, waiting));
        });
        Self { settings, jobs }
    }

    /// The settings.
    pub fn settings(&self) -> &OidcSettings {
        &self.settings
    }

    /// What the issuer says of itself.
    pub async fn discovery(&self) -> Result<Arc<Discovery>, OidcError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Discover(answer), answered).await
    }

    /// The claims of the ID token that the issuer gives for the code of an attempt. The token is verified.
    pub async fn claims(&self, code: String, attempt: Attempt) -> Result<Claims, OidcError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Exchange { code, attempt, answer }, answered).await
    }

    async fn ask<T>(
        &self,
        job: Job,
        answered: oneshot::Receiver<Result<T, OidcError>>,
    ) -> Result<T, OidcError> {
        self.jobs.try_send(job).map_err(|_| OidcError::Busy)?;
        match timeout(ANSWER, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(OidcError::Unavailable("it takes too long".to_owned())),
        }
    }
}

async fn run(settings: Arc<OidcSettings>, outside: Outside, mut jobs: mpsc::Receiver<Job>) {
    let inquiry = Inquiry { client: Client::new(&outside), outside, settings, known: Mutex::default() };
    let inquiry = Rc::new(inquiry);
    let permits = Arc::new(Semaphore::new(MOST_UNDER_WAY));
    while let Some(job) = jobs.recv().await {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        if job.is_left() {
            continue;
        }
        let inquiry = inquiry.clone();
        actix_rt::spawn(async move {
            inquiry.answer(job).await;
            drop(permit);
        });
    }
}

/// What is kept of the issuer's documents.
#[derive(Default)]
struct Known {
    discovery: Option<(Instant, Arc<Discovery>)>,
    /// When the issuer's document last failed to come, and why.
    failed: Option<(Instant, OidcError)>,
    keys: Option<(Instant, Arc<Vec<Verifier>>)>,
}

impl Known {
    /// The issuer's document, if it came within that time.
    fn discovery(&self, within: Duration) -> Option<Arc<Discovery>> {
        let (came, discovery) = self.discovery.as_ref()?;
        (came.elapsed() < within).then(|| discovery.clone())
    }
}

/// What asks, on its thread.
struct Inquiry {
    client: Client,
    outside: Outside,
    settings: Arc<OidcSettings>,
    known: Mutex<Known>,
}

impl Inquiry {
    /// Whoever asked may have left.
    async fn answer(&self, job: Job) {
        match job {
            Job::Discover(answer) => drop(answer.send(self.discovery().await)),
            Job::Exchange { code, attempt, answer } => {
                drop(answer.send(self.exchange(&code, &attempt).await));
            }
        }
    }

    /// The issuer's document. One fetch at a time: the others wait for it, and fail with it.
    async fn discovery(&self) -> Result<Arc<Discovery>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some(discovery) = known.discovery(FRESH) {
            return Ok(discovery);
        }
        let failed = known.failed.clone().filter(|(when, _)| when.elapsed() < PAUSE);
        let fetched = match failed {
            Some((_, error)) => Err(error),
            None => self.fetch_discovery().await.inspect_err(|error| {
                let issuer = &self.settings.issuer;
                tracing::warn!(%issuer, %error, "the issuer of OpenID Connect gives no document");
                known.failed = Some((Instant::now(), error.clone()));
            }),
        };
        match fetched {
            Ok(discovery) => {
                let discovery = Arc::new(discovery);
                known.discovery = Some((Instant::now(), discovery.clone()));
                Ok(discovery)
            }
            Err(error) => known.discovery(OLDEST).ok_or(error),
        }
    }

    async fn fetch_discovery(&self) -> Result<Discovery, OidcError> {
        let issuer = &self.settings.issuer;
        let text = self.fetch(&Discovery::url_of(issuer), MAX_DISCOVERY_LEN).await?;
        Discovery::read(&text, issuer).map_err(|error| OidcError::Unavailable(error.to_string()))
    }

    async fn fetch(&self, url: &str, most: usize) -> Result<String, OidcError> {
        let target = key_url(self.outside.guard(), url).map_err(|why| unavailable(url, &why))?;
        let document = self.client.fetch(&target, most, WITHIN).await;
        let document = document.map_err(|error| unavailable(url, &error.to_string()))?;
        String::from_utf8(document.into()).map_err(|_| unavailable(url, "the document is not UTF-8"))
    }

    /// Verifies an ID token. If it names a key that is not known, newer keys are fetched once.
    async fn verify(&self, discovery: &Discovery, token: &str) -> Result<Claims, OidcError> {
        let verifiers = self.verifiers(discovery, FRESH).await?;
        match verified(&verifiers, token) {
            Err(JwtError::UnknownKey) => {
                let newer = self.verifiers(discovery, PAUSE).await?;
                Ok(verified(&newer, token)?)
            }
            found => Ok(found?),
        }
    }

    /// The verifiers with keys that came within that time.
    async fn verifiers(
        &self,
        discovery: &Discovery,
        within: Duration,
    ) -> Result<Arc<Vec<Verifier>>, OidcError> {
        let mut known = self.known.lock().await;
        if let Some((came, verifiers)) = &known.keys
            && came.elapsed() < within
        {
            return Ok(verifiers.clone());
        }
        let source = KeySource::Jwks(self.fetch(&discovery.keys_url, MAX_JWKS_LEN).await?);
        let OidcSettings { issuer, client_id, .. } = &*self.settings;
        let build = |algorithm| Verifier::new(algorithm, &source, Some(&**issuer), Some(&**client_id));
        let built: Vec<_> = discovery.algorithms.iter().map(|algorithm| build(*algorithm)).collect();
        // A document has keys of some algorithms, and of the others none.
        let verifiers: Vec<Verifier> = built.iter().flatten().cloned().collect();
        if let (true, Some(Err(error))) = (verifiers.is_empty(), built.first()) {
            return Err(OidcError::Unavailable(error.to_string()));
        }
        let verifiers = Arc::new(verifiers);
        known.keys = Some((Instant::now(), verifiers.clone()));
        Ok(verifiers)
    }

    /// Gives the code back for tokens, and checks the ID token.
    async fn exchange(&self, code: &str, attempt: &Attempt) -> Result<Claims, OidcError> {
        let discovery = self.discovery().await?;
        let url = &discovery.token_url;
        let target = key_url(self.outside.guard(), url).map_err(|why| unavailable(url, &why))?;
        let (headers, body) = redemption(&self.settings, discovery.secret_in_body, code, attempt)?;
        let request = Outgoing { method: Method::Post, url: &target, headers, body, timeout: WITHIN };
        // No webhook has this id: no connection is shared with one.
        let requester = Requester { id: WebhookId::from_bytes([0; 16]), ambiguous: false };
        let answer = self.client.send(request, requester).await;
        let answer = answer.map_err(|failure| unavailable(url, &failure.message))?;
        if answer.status != 200 {
            let told: Option<Refusal> = serde_json::from_slice(&answer.head).ok();
            let told: String = told.map_or_else(String::new, |told| told.error.chars().take(100).collect());
            return Err(match answer.status {
                400..=499 => OidcError::Refused(format!("status {} {told}", answer.status)),
                status => unavailable(url, &format!("status {status}")),
            });
        }
        if answer.rest != Rest::None {
            return Err(unavailable(url, "the answer is too long, or broke off"));
        }
        let tokens: Result<Tokens, _> = serde_json::from_slice(&answer.head);
        let Tokens { id_token } = tokens.map_err(|_| unavailable(url, "the answer has no ID token"))?;
        let claims = self.verify(&discovery, &id_token).await?;
        attempt.check(&claims, &self.settings.client_id)?;
        Ok(claims)
    }
}

/// The headers and the body of the request for tokens.
fn redemption(
    settings: &OidcSettings,
    secret_in_body: bool,
    code: &str,
    attempt: &Attempt,
) -> Result<(Vec<(HeaderName, HeaderValue)>, Bytes), OidcError> {
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ];
    let mut body = Serializer::new(String::new());
    body.append_pair("grant_type", "authorization_code")
        .append_pair("code", code)
        .append_pair("redirect_uri", &settings.redirect_uri)
        .append_pair("code_verifier", &attempt.verifier);
    match &settings.client_secret {
        Some(secret) if !secret_in_body => {
            let escaped = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let both = format!("{}:{}", escaped(&settings.client_id), escaped(secret.expose()));
            let value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(both)));
            let mut value = value.map_err(|_| OidcError::Unavailable("the client's secret".to_owned()))?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        secret => {
            body.append_pair("client_id", &settings.client_id);
            if let Some(secret) = secret {
                body.append_pair("client_secret", secret.expose());
            }
        }
    }
    Ok((headers, body.finish().into()))
}

/// The claims of a token that one of the verifiers accepts. A token is asked of each, so it does not choose
/// its algorithm itself.
fn verified(verifiers: &[Verifier], token: &str) -> Result<Claims, JwtError> {
    let mut refused = JwtError::WrongAlgorithm;
    for verifier in verifiers {
        match verifier.verify(token, now_ms()) {
            Ok(claims) => return Ok(claims),
            Err(JwtError::WrongAlgorithm) => {}
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

fn unavailable(url: &str, why: &str) -> OidcError {
    OidcError::Unavailable(format!("{url}: {why}"))
}
