#![allow(clippy::unwrap_used)]
//! Tests of a shard and its actors, with a real log of one node and a receiver on loopback.

use super::actor::{Changed, Wake, WebhookActor};
use super::client::Outside;
use super::config::WebhookConfig;
use super::guard::{Guard, Target as Url};
use super::handover::Leaving;
use super::lambda::Account;
use super::permits::{Permit, Permits};
use super::report::{Piece, report_all};
use super::shard::Shard;
use super::shared::Shared;
use super::supervise::supervise;
use crate::core::access::{Limits, Retention, Scopes, hash_token};
use crate::core::command::{Activate, Command, CreateMap, NewToken, Publish};
use crate::core::consumer::shares::{Claim, Speed};
use crate::core::consumer::used::Used;
use crate::core::event::NewEvent;
use crate::core::ids::{MapId, TokenId, WebhookId};
use crate::core::webhook::records::Update;
use crate::core::webhook::{
    Defaults, OnWebhook, Origin, Plain, Private, Profile, PutWebhook, RateLimit, RetryPolicy, Target, Webhook,
};
use crate::hub::{Hub, HubConfig, Via};
use actix::Actor;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as Memory};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

mod rates;
mod removed;

/// Requests that may be under way.
const PERMITS: usize = 4;

struct Stage {
    hub: Hub,
    map: MapId,
    permits: Permits,
    shard: Rc<Shard>,
    port: u16,
    received: Arc<AtomicUsize>,
    /// The rate of the webhooks that are made from now on.
    rate: Option<RateLimit>,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = HubConfig {
            admin: None,
            idempotency: Duration::from_secs(60),
            encryption_key: Some([7; 32]),
            expressions_per_topic: 8,
            ephemeral_link_bytes: 1 << 20,
            cut_off_after: None,
            presence_grace: std::time::Duration::from_secs(3),
            channel_joins_per_minute: 0,
            longest_client_token: std::time::Duration::from_secs(86_400),
        };
        let cluster = waypost_cluster::Config {
            data_dir: folder.path().join("data"),
            peer_addr: ([127, 0, 0, 1], 0).into(),
            abort_on_fatal: false,
            ..waypost_cluster::Config::default()
        };
        let hub = Hub::start(config, cluster).await.unwrap();
        until("the encryption", || hub.vault().encryption().is_ok()).await;
        let map = MapId::from_bytes([1; 16]);
        let none = Limits::NONE;
        let token = NewToken {
            id: TokenId::from_bytes([2; 16]),
            name: "t".into(),
            hash: hash_token("t"),
            scopes: Scopes::PUBLISH,
            expires_ms: None,
            subjects: None,
        };
        let retention =
            Retention { events: None, age_seconds: None, bytes: None, webhook_backlog: Default::default() };
        let make =
            CreateMap { id: map, slug: None, name: "m".into(), limits: none, retention, token, max_maps: 9 };
        hub.log().propose(&Command::CreateMap(make)).await.unwrap();
        let permits = Permits::new(PERMITS);
        let outside = Outside::new(Guard::new(vec!["127.0.0.0/8".parse().unwrap()]), None);
        let config = Arc::new(WebhookConfig {
            workers: 1,
            connections: PERMITS,
            window: 4,
            flush: Duration::from_millis(50),
            allow_nets: Vec::new(),
            deny_nets: Vec::new(),
            ca_file: None,
            aws: Account::default(),
        });
        let encryption = hub.vault().encryption().unwrap();
        let both = (permits.clone(), Permits::new(1));
        let shared = Shared::new(0, hub.clone(), config, encryption, outside.unwrap(), both);
        let shard = Shard::new(shared, Leaving::new(1));
        let watch = hub.webhooks().watch();
        let of = shard.clone();
        let again = shard.clone();
        actix_rt::spawn(supervise("test_watch", move |_| again.clone().watch()));
        actix_rt::spawn(supervise("test_news", move |again| of.clone().run(watch.clone(), again)));
        actix_rt::spawn(super::report::run(shard.clone(), Duration::from_millis(50), false));
        actix_rt::spawn(shard.clone().start_idle());
        hub.leases().deliver_here();
        let (port, received) = receiver().await;
        Self { hub, map, permits, shard, port, received, rate: None, _folder: folder }
    }

    async fn webhook(&self, n: u8) -> WebhookId {
        let id = WebhookId::from_bytes([n; 16]);
        let target = Target::Http(format!("http://127.0.0.1:{}/", self.port));
        let private = Private { target, headers: Vec::new(), secret: "secret".into(), previous: Vec::new() };
        let retry = RetryPolicy {
            max_attempts: 3,
            delay_ms: 10,
            factor_percent: 200,
            max_delay_ms: 100,
            jitter_percent: 0,
            ambiguous: true,
        };
        let defaults = Defaults {
            timeout_ms: 5000,
            retry_attempts: None,
            retry_delay_ms: None,
            auto_disable_seconds: None,
        };
        let Plain { webhook, .. } = Plain::new(id, self.map, Origin::Api, Profile::Envelope, &defaults);
        let encrypted = self.hub.vault().encryption().unwrap().encrypt(id, &private).unwrap();
        let (host, rate) = ("127.0.0.1".into(), self.rate);
        let webhook = Webhook { host, fingerprint: [n; 16], encrypted, retry, rate, ..webhook };
        let put = PutWebhook { by: None, webhook, revision: None, start_seq: None };
        self.hub.log().propose(&Command::PutWebhook(Box::new(put))).await.unwrap();
        id
    }

    /// Takes all permits, each for another map and receiver.
    async fn take_all_permits(&self) -> Vec<Permit> {
        let mut taken = Vec::new();
        for n in 50..50 + PERMITS as u8 {
            let receiver = Url::parse(&format!("http://{n}.example/")).unwrap().receiver();
            let map = MapId::from_bytes([n; 16]);
            let consumer = WebhookId::from_bytes([n; 16]);
            taken.push(self.permits.take(Claim { map, consumer, receiver }, Speed::Quick).await);
        }
        taken
    }

    async fn publish(&self) {
        let events = vec![NewEvent::new(Default::default(), "x", "{}")];
        let map = self.hub.access().known().map(self.map).cloned().unwrap();
        let publish = Publish { map: self.map, by: None, events, key: None };
        self.hub.publisher().publish(&map, publish, Via::Rest).await.unwrap();
    }

    async fn activate(&self, webhook: WebhookId, active: bool) {
        let what = Activate { active, seek: None };
        let on = OnWebhook { by: None, map: self.map, webhook, what };
        self.hub.log().propose(&Command::ActivateWebhook(on)).await.unwrap();
    }

    fn actor(&self, webhook: WebhookId) -> actix::Addr<WebhookActor> {
        self.shard.actor(webhook).unwrap()
    }

    fn delivered(&self, webhook: WebhookId) -> u64 {
        self.hub.webhooks().state(webhook).unwrap().unwrap().progress.delivered
    }

    fn update(&self, webhook: WebhookId, reports: u64) -> Update {
        let mut progress = self.hub.webhooks().state(webhook).unwrap().unwrap().progress;
        (progress.delivered, progress.reports) = (1000, progress.reports + reports);
        let born = self.hub.webhooks().directory().get(webhook).unwrap().born;
        let (kept, dropped, attempts, dead_letters, news) = Default::default();
        Update {
            consumer: webhook,
            born,
            progress,
            kept,
            dropped,
            attempts,
            dead_letters,
            disable: None,
            news,
        }
    }
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..3000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(done(), "timed out waiting for {what}");
}

/// A receiver that accepts everything, one request a connection. Returns its port and its count of requests.
async fn receiver() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let received = Arc::new(AtomicUsize::new(0));
    let count = received.clone();
    actix_rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            count.fetch_add(1, Memory::Relaxed);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    });
    (port, received)
}

#[actix_web::test]
async fn a_waiting_request_does_not_begin_once_the_webhook_is_disabled() {
    let stage = Stage::new().await;
    let id = stage.webhook(1).await;
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    let taken = stage.take_all_permits().await;
    stage.publish().await;
    // By then the request waits for a permit. Then the webhook is disabled.
    tokio::time::sleep(Duration::from_millis(200)).await;
    stage.activate(id, false).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(taken);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.received.load(Memory::Relaxed), 1);
    stage.activate(id, true).await;
    until("the delivery of the waiting event", || stage.delivered(id) == 2).await;
    assert_eq!(stage.received.load(Memory::Relaxed), 2);
    stage.hub.shutdown().await;
}

#[actix_web::test]
async fn a_report_that_is_too_large_does_not_hold_up_others() {
    let stage = Stage::new().await;
    let large = stage.webhook(1).await;
    let small = stage.webhook(2).await;
    stage.publish().await;
    until("deliveries", || stage.delivered(large) == 1 && stage.delivered(small) == 1).await;
    let much = Update { dropped: vec![u64::MAX; 1 << 20], ..stage.update(large, 100) };
    let after = stage.update(large, 200);
    let little = stage.update(small, 100);
    let pieces = [(large, much, false), (large, after, true), (small, little, true)];
    let pieces = pieces.map(|(id, update, last)| Piece::new(stage.actor(id), update, last));
    tokio::time::timeout(Duration::from_secs(30), report_all(&stage.shard, pieces.into())).await.unwrap();
    assert_eq!(
        (stage.delivered(large), stage.delivered(small)),
        (1, 1000),
        "the update that follows the large one waits too"
    );
    stage.hub.shutdown().await;
}

#[actix_web::test]
async fn an_actor_of_an_earlier_ownership_reports_nothing() {
    let stage = Stage::new().await;
    let id = stage.webhook(1).await;
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    // Its count of reports alone would let the cluster accept it.
    let earlier = stage.actor(id);
    let update = stage.update(id, 1 << 48);
    // The webhook is lost and owned again: a new actor goes on.
    stage.shard.start_over().await;
    stage.publish().await;
    until("another delivery", || stage.delivered(id) == 2).await;
    assert!(stage.actor(id) != earlier);
    report_all(&stage.shard, [Piece::new(earlier, update, true)].into()).await;
    assert_eq!(stage.delivered(id), 2);
    stage.hub.shutdown().await;
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Panic;

impl actix::Handler<Panic> for WebhookActor {
    type Result = ();

    #[allow(clippy::panic)]
    fn handle(&mut self, _: Panic, _: &mut Self::Context) {
        panic!("the test asked for a panic");
    }
}

#[actix_web::test]
async fn an_actor_that_panics_starts_again_after_a_pause() {
    let stage = Stage::new().await;
    let id = stage.webhook(1).await;
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    for seconds in [1, 2] {
        let began = Instant::now();
        let before = stage.delivered(id);
        stage.actor(id).do_send(Panic);
        stage.publish().await;
        until("a delivery by another actor", || stage.delivered(id) > before).await;
        assert!(began.elapsed() >= Duration::from_secs(seconds), "{:?}", began.elapsed());
    }
    stage.hub.shutdown().await;
}

#[actix_web::test]
async fn a_webhook_created_again_under_its_id_has_a_new_actor() {
    let stage = Stage::new().await;
    let id = stage.webhook(1).await;
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    let earlier = stage.actor(id);
    let born = stage.hub.webhooks().directory().get(id).unwrap().born;
    let on = OnWebhook { by: None, map: stage.map, webhook: id, what: Origin::Api };
    stage.hub.log().propose(&Command::DeleteWebhook(on)).await.unwrap();
    stage.hub.log().propose(&Command::Tick).await.unwrap();
    assert_eq!(stage.webhook(1).await, id);
    assert!(stage.hub.webhooks().directory().get(id).unwrap().born != born);
    stage.publish().await;
    until("a delivery to the new webhook", || stage.delivered(id) == 1).await;
    assert!(stage.actor(id) != earlier, "the new webhook has its own actor");
    assert_eq!(stage.received.load(Memory::Relaxed), 2);
    stage.hub.shutdown().await;
}

#[actix_web::test]
async fn an_actor_ignores_the_settings_of_a_later_webhook_with_its_id() {
    let mut stage = Stage::new().await;
    let id = stage.webhook(1).await;
    let earlier = stage.hub.webhooks().directory().get(id).unwrap().clone();
    let on = OnWebhook { by: None, map: stage.map, webhook: id, what: Origin::Api };
    stage.hub.log().propose(&Command::DeleteWebhook(on)).await.unwrap();
    stage.hub.log().propose(&Command::Tick).await.unwrap();
    let (port, received) = receiver().await;
    let of_earlier = std::mem::replace(&mut stage.received, received);
    stage.port = port;
    stage.webhook(1).await;
    // The new webhook's revision must differ from the earlier one's.
    stage.activate(id, false).await;
    stage.activate(id, true).await;
    assert!(stage.hub.webhooks().directory().get(id).unwrap().revision != earlier.revision);
    // An actor that the shard has not retired yet gets the message first.
    let topic = stage.hub.access().known().map(stage.map).unwrap().topic;
    let (shared, used) = (stage.shard.shared.clone(), Used::Nothing);
    let loaded = WebhookActor::load(shared, stage.shard.clone(), earlier, topic, &used);
    let actor = loaded.unwrap().unwrap().start();
    actor.send(Changed).await.unwrap();
    stage.publish().await;
    until("a delivery to the new webhook", || stage.received.load(Memory::Relaxed) == 1).await;
    actor.send(Wake).await.unwrap();
    until("a delivery to the earlier receiver", || of_earlier.load(Memory::Relaxed) == 1).await;
    assert_eq!(stage.received.load(Memory::Relaxed), 1);
    stage.hub.shutdown().await;
}
