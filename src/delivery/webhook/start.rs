//! The interface of webhook delivery: the node starts it, the API calls it, a shutdown drains it.

mod preview;
mod readers;

pub use preview::{AsAttempt, PreviewError};
pub use readers::ReadError;

use super::actor::{Pull, Said};
use super::check::{Checks, forbidden};
use super::client::Outside;
use super::config::WebhookConfig;
use super::evaluate::Evaluator;
use super::gauges::{self, Board};
use super::guard::{Forbidden, Guard, Target as Url};
use super::handover::{self, Leaving};
use super::lambda::Account;
use super::permits::Permits;
use super::sender::{self, BadWebhook, Ended, Now};
use super::shard::Shard;
use super::shared::Shared;
use super::supervise::supervise;
use super::{remembered, report};
use crate::core::command::Command;
use crate::core::consumer::shares::Speed;
use crate::core::event::{Event, NewEvent};
use crate::core::field_error::FieldError;
use crate::core::ids::{EventId, WebhookId};
use crate::core::webhook::outcome::Class;
use crate::core::webhook::records::Attempt;
use crate::core::webhook::{Private, Profile, Target, Webhook};
use crate::hub::{EncryptionError, Hub, HubError};
use crate::metric::exposition::Exposition;
use crate::tls::BadTls;
use actix_rt::{Arbiter, ArbiterHandle};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Tests and checks that may wait for one thread. More are refused.
const MAX_JOBS: usize = 256;
/// Templates that a node renders at once, each of another map and on a thread of its own.
const TEMPLATES: usize = 2;
/// A node that has had no key for this long leaves its webhooks to other nodes.
const ENCRYPTION_PATIENCE: Duration = Duration::from_secs(5);

/// Why this node can't deliver webhooks.
#[derive(Debug, thiserror::Error)]
pub enum BadWebhooks {
    /// The certificate authorities for TLS can't be read.
    #[error(transparent)]
    Tls(#[from] BadTls),
}

/// Why a test was not sent, or a check not made.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The webhook's secrets can't be decrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
    /// The webhook's settings can't be used on this node.
    #[error("{0}")]
    Settings(String),
    /// Too many tests are waiting, or the node is stopping.
    #[error("too many tests wait on this node")]
    Busy,
    /// The test was sent, but its attempt could not be recorded in the cluster.
    #[error(transparent)]
    Hub(#[from] HubError),
}

impl From<BadWebhook> for TestError {
    fn from(error: BadWebhook) -> Self {
        Self::Settings(error.to_string())
    }
}

/// Why a target was refused.
#[derive(Debug)]
pub enum CheckError {
    /// A setting of the webhook is wrong.
    Field(FieldError),
    /// The check was not made.
    NotMade(TestError),
}

enum Job {
    Test(Arc<Webhook>, Box<Event>, oneshot::Sender<Result<Ended, TestError>>),
    Check(Box<Url>, oneshot::Sender<Result<(), Forbidden>>),
    Drain(Duration, oneshot::Sender<()>),
    Resume,
    /// A reader of the consumer asks for events.
    Pull(WebhookId, Pull),
    /// A reader of the consumer says what it has done with its events.
    Said(WebhookId, Said),
}

/// Delivers to the webhooks that this node owns. Lives as long as the node; its threads do the work.
pub struct Webhooks {
    hub: Hub,
    account: Account,
    outside: Outside,
    queues: Board,
    /// The permits to render a template, those of the threads.
    templates: Permits,
    shards: Vec<mpsc::Sender<Job>>,
    turn: AtomicUsize,
}

impl Webhooks {
    /// Starts the threads. They begin to deliver once the node has the key that encrypts webhooks.
    pub fn start(hub: Hub, config: WebhookConfig) -> Result<Self, BadWebhooks> {
        let guard = Guard::new(config.allow_nets.clone()).denying(config.deny_nets.clone());
        let outside = Outside::new(guard, config.ca_file.as_deref())?
            .keeping(config.connections / config.workers.max(1));
        let permits = Permits::new(config.connections);
        let templates = Permits::new(TEMPLATES);
        let leaving = Leaving::new(config.workers);
        let queues = Board::default();
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
                templates: templates.clone(),
                leaving: leaving.clone(),
                queues: queues.clone(),
            };
            on_own_thread(move || part.run(asked));
            jobs
        });
        let shards = shards.collect();
        actix_rt::spawn(announce(hub.clone()));
        let of = hub.clone();
        actix_rt::spawn(supervise("webhook_handover", move |_| handover::run(of.clone(), leaving.clone())));
        Ok(Self { hub, account, outside, queues, templates, shards, turn: AtomicUsize::new(0) })
    }

    /// Writes the metrics of the queues of this node's webhooks.
    pub fn write_metrics(&self, out: &mut Exposition) {
        let directory = self.hub.webhooks().directory();
        let is_there = |id| directory.get(id).is_some();
        self.queues.write(is_there, self.hub.clock().time_ms(), out);
    }

    /// What all clients of this node share on the way to the outside.
    pub fn outside(&self) -> &Outside {
        &self.outside
    }

    /// The checks of settings that this node can make.
    pub fn checks(&self) -> Checks<'_> {
        Checks::new(self.outside.guard(), &self.account)
    }

    /// Why this node could not deliver to the webhook; `None` if nothing in its settings speaks against it.
    pub fn obstacle(&self, webhook: &Webhook, private: &Private) -> Option<String> {
        let sender = sender::check(webhook, private, self.outside.guard(), &self.account);
        let unusable = sender.err().map(|error| error.to_string());
        unusable.or_else(|| Some(Evaluator::new(webhook).err()?.to_string()))
    }

    /// Resolves the name of a target that passed the other checks. A name with an address that webhooks must
    /// not go to is refused now. A name that has no address yet is accepted, and checked when it is dialled.
    ///
    /// # Errors
    /// [`CheckError::Field`] names `url` or `lambda`; [`CheckError::NotMade`] when the check could not be made.
    pub async fn check_name(&self, target: &Target, profile: Profile) -> Result<(), CheckError> {
        let url = self.checks().url(target, profile).map_err(CheckError::Field)?;
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Check(Box::new(url.clone()), answer)).map_err(CheckError::NotMade)?;
        let field = if matches!(target, Target::Http(_)) { "url" } else { "lambda" };
        let refused = |why: Forbidden| CheckError::Field(forbidden(field, &url, &why));
        answered.await.map_err(|_| CheckError::NotMade(TestError::Busy))?.map_err(refused)
    }

    /// Sends one event to a webhook, at once and out of order, and records the attempt. Returns the attempt, and
    /// the event, which is stored nowhere.
    pub async fn test(
        &self,
        webhook: Arc<Webhook>,
        kind: String,
        payload: Vec<u8>,
    ) -> Result<(Attempt, Event), TestError> {
        let id = EventId::new(
            self.hub.clock().time_ms(),
            getrandom::u64().unwrap_or(0),
            getrandom::u32().unwrap_or(0),
        );
        let at_ms = self.hub.clock().time_ms();
        let event = NewEvent::new(Default::default(), kind, payload).placed(id, 0, at_ms);
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Test(webhook.clone(), Box::new(event.clone()), answer))?;
        let ended = answered.await.map_err(|_| TestError::Busy)??;
        let events = std::slice::from_ref(&event);
        let attempt = remembered::attempt(&ended, events, 1, at_ms, self.hub.node_id());
        self.hub.log().propose(&Command::NoteAttempt(webhook.id, Box::new(attempt.clone()))).await?;
        Ok((attempt, event))
    }

    /// Begins no more requests, waits for those under way, reports to the cluster, and gives the webhooks to
    /// other nodes.
    pub async fn drain(&self, within: Duration) {
        let mut drained = Vec::new();
        for shard in &self.shards {
            let (done, is_done) = oneshot::channel();
            // The requests of readers may fill the queue for a moment.
            if let Ok(Ok(())) = tokio::time::timeout(within, shard.send(Job::Drain(within, done))).await {
                drained.push(is_done);
            }
        }
        // A thread that is not done by then is overtaken by the next owner, which repeats whatever was not
        // reported.
        let _ = tokio::time::timeout(
            within + Duration::from_millis(500),
            futures_util::future::join_all(drained),
        )
        .await;
        self.hub.leases().rest(Duration::from_secs(1)).await;
    }

    /// Begins deliveries again after [`Webhooks::drain`].
    pub async fn resume(&self) {
        for shard in &self.shards {
            // Jobs are few, and the threads keep taking them, so a full queue empties.
            let _ = shard.send(Job::Resume).await;
        }
        self.hub.leases().deliver_again().await;
    }

    /// Gives the job to the threads in turn, so that no thread does all of them. They take jobs once the node has
    /// the key that encrypts webhooks.
    fn ask(&self, job: Job) -> Result<(), TestError> {
        self.hub.vault().encryption()?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let shard = self.shards.get(turn % self.shards.len().max(1)).ok_or(TestError::Busy)?;
        shard.try_send(job).map_err(|_| TestError::Busy)
    }
}

/// The values that one thread is started with.
struct Part {
    number: usize,
    hub: Hub,
    config: Arc<WebhookConfig>,
    outside: Outside,
    permits: Permits,
    templates: Permits,
    leaving: Leaving,
    queues: Board,
}

impl Part {
    async fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let encryption = self.hub.vault().known_encryption().await;
        let watch = self.hub.webhooks().watch();
        let flush = self.config.flush;
        let queues = self.queues;
        let permits = (self.permits, self.templates);
        let shared = Shared::new(self.number, self.hub, self.config, encryption, self.outside, permits);
        let shard = Shard::new(shared, self.leaving);
        let of = shard.clone();
        actix_rt::spawn(supervise("webhook_watch", move |_| of.clone().watch()));
        let of = shard.clone();
        actix_rt::spawn(supervise("webhook_gauges", move |_| gauges::run(of.clone(), queues.clone())));
        let of = shard.clone();
        actix_rt::spawn(supervise("webhook_starts", move |_| of.clone().start_idle()));
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
    // The caller may have gone: an answer that can't be sent is dropped.
    match job {
        Job::Test(webhook, event, answer) => drop(answer.send(test(&shard.shared, webhook, *event).await)),
        Job::Check(url, answer) => drop(answer.send(shard.shared.client.check(&url).await)),
        Job::Resume => shard.go_on(),
        Job::Pull(consumer, pull) => shard.pull(consumer, pull),
        Job::Said(consumer, said) => shard.hear(consumer, said),
        Job::Drain(within, done) => {
            shard.come_to_rest(within).await;
            report::flush(&shard).await;
            let _ = done.send(());
        }
    }
}

async fn test(shared: &Shared, webhook: Arc<Webhook>, event: Event) -> Result<Ended, TestError> {
    let private = shared.encryption.open(webhook.id, &webhook.encrypted)?;
    let stream = shared.hub.access().known().map(webhook.map).map(|map| map.topic);
    let sender = shared.sender(webhook, private)?;
    let _permit = shared.permits.take(sender.claim(), Speed::Unknown).await;
    let ended = sender.send(&shared.client, &[event], None, 1, Now::of(&shared.hub)).await;
    if let Some(stream) = stream {
        // Tests are few: each has a meter of its own.
        shared.hub.quota().usage().meter(stream).attempted(ended.outcome.class != Class::Delivered);
    }
    Ok(ended)
}

/// Lets this node own webhooks once it can decrypt them. Until then other nodes own them, also those that
/// this node owned in an earlier incarnation.
async fn announce(hub: Hub) {
    while tokio::time::timeout(ENCRYPTION_PATIENCE, hub.vault().known_encryption()).await.is_err() {
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
