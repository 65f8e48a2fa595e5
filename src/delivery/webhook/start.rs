//! The room's front: started with the node, asked by the API, drained at the end.

use super::check::Checks;
use super::client::Outside;
use super::config::WebhookConfig;
use super::gauges;
use super::guard::{Guard, Target as Url};
use super::handover::{self, Leaving};
use super::lambda::Account;
use super::permits::Permits;
use super::sender::{BadWebhook, Ended, Now, Sender};
use super::shard::Shard;
use super::shared::Shared;
use super::supervise::supervise;
use super::{remembered, report};
use crate::core::command::Command;
use crate::core::event::Event;
use crate::core::field_error::{FieldCode, FieldError};
use crate::core::ids::EventId;
use crate::core::webhook::records::Attempt;
use crate::core::webhook::{Target, Webhook};
use crate::hub::{Encryption, EncryptionError, Hub, HubError};
use crate::tls::BadTls;
use actix_rt::{Arbiter, ArbiterHandle};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Tests and checks that may wait for their thread.
const MAX_JOBS: usize = 256;
const ENCRYPTION_PAUSE: Duration = Duration::from_millis(100);
/// After so long without the key the node leaves webhooks to others.
const ENCRYPTION_PATIENCE: Duration = Duration::from_secs(5);

/// Why webhooks can't be delivered from this node.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhooks {
    /// The authorities of TLS can't be read.
    #[error(transparent)]
    Tls(#[from] BadTls),
}

/// Why a test was not sent.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// What is secret of the webhook can't be opened.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
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

impl From<BadWebhook> for TestError {
    fn from(error: BadWebhook) -> Self {
        Self::Settings(error.to_string())
    }
}

/// Why a target was not found good.
#[derive(Debug)]
pub enum CheckError {
    /// A setting of the webhook is wrong.
    Field(FieldError),
    /// Nobody has time to look: too many checks and tests wait, or the node stops.
    Busy,
}

enum Job {
    Test(Arc<Webhook>, Event, oneshot::Sender<Result<Ended, TestError>>),
    Check(Box<Url>, oneshot::Sender<Result<(), String>>),
    Drain(Duration, oneshot::Sender<()>),
    Resume,
}

/// Delivers to the webhooks that this node owns.
pub struct Webhooks {
    hub: Hub,
    account: Account,
    outside: Outside,
    shards: Vec<mpsc::Sender<Job>>,
    turn: AtomicUsize,
}

impl Webhooks {
    /// Starts the threads. They begin once the node has the key that encrypts webhooks.
    pub fn start(hub: Hub, config: WebhookConfig) -> Result<Self, BadWebhooks> {
        let outside = Outside::new(Guard::new(config.allow_nets.clone()), config.ca_file.as_deref())?
            .keeping(config.connections / config.workers.max(1));
        let permits = Permits::new(config.connections);
        let leaving = Leaving::new(config.workers);
        let account = config.aws.clone();
        let config = Arc::new(config);
        let shards = (0..config.workers).map(|number| {
            let (jobs, asked) = mpsc::channel(MAX_JOBS);
            let part = Part {
                number,
                hub: hub.clone(),
                config: config.clone(),
                outside: outside.clone(),
                permits: permits.clone(),
                leaving: leaving.clone(),
            };
            on_own_thread(move || part.run(asked));
            jobs
        });
        let shards = shards.collect();
        actix_rt::spawn(announce(hub.clone()));
        let of = hub.clone();
        actix_rt::spawn(supervise("webhook_handover", move |_| handover::run(of.clone(), leaving.clone())));
        Ok(Self { hub, account, outside, shards, turn: AtomicUsize::new(0) })
    }

    /// The checks of settings on this node.
    pub fn checks(&self) -> Checks<'_> {
        Checks::new(self.outside.guard(), &self.account)
    }

    /// Resolves the name of a target that passed the other checks: one that points inside is refused now, one that has no
    /// address yet is checked when it is dialled.
    ///
    /// # Errors
    /// The fault of `url` or `lambda`, or that nobody has time.
    pub async fn check_name(&self, target: &Target) -> Result<(), CheckError> {
        let url = self.checks().url(target).map_err(CheckError::Field)?;
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Check(Box::new(url), answer)).map_err(|_| CheckError::Busy)?;
        let field = if matches!(target, Target::Http(_)) { "url" } else { "lambda" };
        let blocked = |why| CheckError::Field(FieldError::new(field, FieldCode::NotPublic, why));
        answered.await.map_err(|_| CheckError::Busy)?.map_err(blocked)
    }

    /// Sends one event to a webhook, at once and outside of its order, and remembers the attempt.
    pub async fn test(
        &self,
        webhook: Arc<Webhook>,
        kind: String,
        payload: Vec<u8>,
    ) -> Result<Attempt, TestError> {
        let id = EventId::new(
            self.hub.clock().time_ms(),
            getrandom::u64().unwrap_or(0),
            getrandom::u32().unwrap_or(0),
        );
        let at_ms = self.hub.clock().time_ms();
        let event = Event {
            id,
            seq: 0,
            subject: Default::default(),
            time_ms: at_ms,
            kind: kind.into(),
            payload: payload.into(),
        };
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Test(webhook.clone(), event.clone(), answer))?;
        let ended = answered.await.map_err(|_| TestError::Busy)??;
        let attempt = remembered::attempt(&ended, &[event], 1, at_ms, self.hub.node_id());
        self.hub.log().propose(&Command::NoteAttempt(webhook.id, Box::new(attempt.clone()))).await?;
        Ok(attempt)
    }

    /// Begins no more requests, waits for those under way, tells the cluster, and gives the webhooks to other nodes.
    pub async fn drain(&self, within: Duration) {
        let mut drained = Vec::new();
        for shard in &self.shards {
            let (done, is_done) = oneshot::channel();
            if shard.try_send(Job::Drain(within, done)).is_ok() {
                drained.push(is_done);
            }
        }
        // Whoever isn't done by then is overtaken by the next owner, which tries again what isn't known.
        let _ = tokio::time::timeout(
            within + Duration::from_millis(500),
            futures_util::future::join_all(drained),
        )
        .await;
        self.hub.leases().rest(Duration::from_secs(1)).await;
    }

    /// Takes deliveries up again after [`Webhooks::drain`].
    pub async fn resume(&self) {
        for shard in &self.shards {
            // Jobs are few; a full queue empties.
            let _ = shard.send(Job::Resume).await;
        }
        self.hub.leases().deliver_again().await;
    }

    /// Asks the threads in turn: none of them does this for everybody.
    fn ask(&self, job: Job) -> Result<(), TestError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let shard = self.shards.get(turn % self.shards.len().max(1)).ok_or(TestError::Busy)?;
        shard.try_send(job).map_err(|_| TestError::Busy)
    }
}

/// What a thread is started with.
struct Part {
    number: usize,
    hub: Hub,
    config: Arc<WebhookConfig>,
    outside: Outside,
    permits: Permits,
    leaving: Leaving,
}

impl Part {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let encryption = encryption(&self.hub).await;
        let watch = self.hub.webhooks().watch();
        let flush = self.config.flush;
        let shared = Shared::new(self.number, self.hub, self.config, encryption, self.outside, self.permits);
        let shard = Shard::new(shared, self.leaving);
        let of = shard.clone();
        actix_rt::spawn(supervise("webhook_watch", move |_| of.clone().watch()));
        let of = shard.clone();
        actix_rt::spawn(supervise("webhook_gauges", move |_| gauges::run(of.clone())));
        let of = shard.clone();
        actix_rt::spawn(supervise("webhook_reports", move |again| report::run(of.clone(), flush, again)));
        let of = shard.clone();
        actix_rt::spawn(supervise("webhook_news", move |again| of.clone().run(watch.clone(), again)));
        while let Some(job) = jobs.recv().await {
            actix_rt::spawn(carry_out(shard.clone(), job));
        }
    }
}

async fn carry_out(shard: Rc<Shard>, job: Job) {
    // Who asked may have hung up.
    match job {
        Job::Test(webhook, event, answer) => drop(answer.send(test(&shard.shared, webhook, event).await)),
        Job::Check(url, answer) => drop(answer.send(shard.shared.client.check(&url).await)),
        Job::Resume => shard.go_on(),
        Job::Drain(within, done) => {
            shard.come_to_rest(within).await;
            report::flush(&shard).await;
            let _ = done.send(());
        }
    }
}

async fn test(shared: &Shared, webhook: Arc<Webhook>, event: Event) -> Result<Ended, TestError> {
    let private = shared.encryption.open(webhook.id, &webhook.encrypted)?;
    let sender = Sender::new(webhook, private, shared.outside.guard(), &shared.config.aws)?;
    let _permit = shared.permits.take(true).await.ok_or(TestError::Busy)?;
    Ok(sender.send(&shared.client, &[event], None, 1, Now::of(&shared.hub)).await)
}

/// The key that opens webhooks, once the node has it.
async fn encryption(hub: &Hub) -> Arc<Encryption> {
    loop {
        match hub.vault().encryption() {
            Ok(encryption) => return encryption,
            Err(_) => tokio::time::sleep(ENCRYPTION_PAUSE).await,
        }
    }
}

/// Has this node own webhooks, once it can open them. Until then others have them, also those that it owned in an
/// earlier run.
async fn announce(hub: Hub) {
    while tokio::time::timeout(ENCRYPTION_PATIENCE, encryption(&hub)).await.is_err() {
        hub.leases().cannot_deliver_yet();
    }
    hub.leases().deliver_here();
}

fn on_own_thread<F: Future<Output = ()> + 'static>(work: impl FnOnce() -> F + Send + 'static) {
    let arbiter = Arbiter::new();
    let handle: ArbiterHandle = arbiter.handle();
    handle.spawn_fn(move || {
        actix_rt::spawn(work());
    });
}
