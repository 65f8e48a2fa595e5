//! One client's Phoenix socket: its channels, and what each message does to them.
//!
//! It is the same for WebSocket and long poll. Only the form of the events differs.

use super::form::{PhoenixForm, Transport};
use super::frame::{self, Message, Ref, Version};
use super::join::{self, JoinParams, map_of};
use super::reply;
use super::settings::Settings;
use crate::core::history::Start;
use crate::core::ids::EventId;
use crate::core::limits::LimitName;
use crate::delivery::{Dispatcher, Incoming, Link, Next, Protocol, Resume, Subscriber, SubscriptionId};
use crate::edge::refused::Refused;
use crate::edge::subscribe::{self, Asked, Former, GoesOn, Opened, SessionQuota};
use crate::hub::Who;
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde_json::{Value, json};
use std::hash::BuildHasher;
use std::rc::Rc;
use std::sync::Arc;

/// The limit of the topics that a socket may join.
const CHANNELS: LimitName = LimitName::Setting("limits.channels_per_socket");

/// One client's socket. It lives as long as the connection, or as the long poll's session.
pub(super) struct PhoenixSession {
    dispatcher: Rc<Dispatcher>,
    subscriber: Rc<Subscriber>,
    who: Who,
    version: Version,
    transport: Transport,
    max_channels: usize,
    channels: FxHashMap<String, Channel>,
    quota: Rc<SessionQuota>,
}

/// A channel that the client has joined. It lives until the client leaves it or joins the topic again.
struct Channel {
    join_ref: Ref,
    subscription: SubscriptionId,
    /// The position after which its subscription began.
    began: EventId,
    /// Digest of the join that made it. Set on transports where a join may arrive twice.
    made_by: Option<u64>,
}

/// A join that succeeded.
struct Joined {
    opened: Opened,
    /// The start that the client asked for.
    start: Start,
    positions: bool,
}

impl PhoenixSession {
    /// A session of the client `who`.
    pub(super) fn new(
        dispatcher: &Rc<Dispatcher>,
        subscriber: Rc<Subscriber>,
        who: Who,
        version: Version,
        transport: Transport,
        settings: &Settings,
    ) -> Self {
        Self {
            dispatcher: dispatcher.clone(),
            subscriber,
            who,
            version,
            transport,
            max_channels: settings.max_channels,
            channels: FxHashMap::default(),
            quota: Rc::default(),
        }
    }

    fn reply(&self, link: &mut dyn Link, to: &Message, status: &str, response: &Value) {
        let payload = json!({"status": status, "response": response});
        link.text(frame::encode_text(
            self.version,
            &to.join_ref,
            &to.reference,
            &to.topic,
            "phx_reply",
            &payload,
        ));
    }

    fn closed(&self, link: &mut dyn Link, topic: &str, join_ref: &Ref) {
        link.text(frame::encode_text(self.version, join_ref, join_ref, topic, "phx_close", &json!({})));
    }

    fn handle(&mut self, message: Message, link: &mut dyn Link) -> Next<Self> {
        match (&*message.topic, &*message.event) {
            ("phoenix", "heartbeat") => self.reply(link, &message, "ok", &json!({})),
            (_, "phx_join") => return self.join(message, link),
            (_, "phx_leave") => self.leave(&message, link),
            _ => match self.channels.get(&message.topic) {
                None => self.reply(link, &message, "error", &json!({"reason": "unmatched topic"})),
                Some(channel) if is_stale(channel, &message) => {}
                Some(_) => {
                    let reason =
                        reply::response("unknown event", "clients publish by POST /api/maps/{map}/events");
                    self.reply(link, &message, "error", &reason);
                }
            },
        }
        Next::Done
    }

    fn leave(&mut self, message: &Message, link: &mut dyn Link) {
        if self.channels.get(&message.topic).is_some_and(|channel| is_stale(channel, message)) {
            return;
        }
        self.reply(link, message, "ok", &json!({}));
        if let Some(channel) = self.channels.remove(&message.topic) {
            self.subscriber.unsubscribe(channel.subscription);
            self.closed(link, &message.topic, &channel.join_ref);
        }
    }

    /// A digest that recognizes a long poll's join when it arrives again: a proxy, or a browser whose
    /// connection broke, may have sent the request twice. The reply to the first one is kept until it
    /// arrives. `None` for a WebSocket, which repeats nothing.
    fn digest(&self, join: &Message) -> Option<u64> {
        let repeats =
            self.transport == Transport::LongPoll && !join.join_ref.is_null() && !join.reference.is_null();
        let payload = || join.payload.as_ref().map(Value::to_string);
        repeats.then(|| FxBuildHasher.hash_one((&join.join_ref, &join.reference, payload())))
    }

    fn join(&mut self, message: Message, link: &mut dyn Link) -> Next<Self> {
        let digest = self.digest(&message);
        if digest.is_some()
            && self.channels.get(&message.topic).is_some_and(|channel| channel.made_by == digest)
        {
            return Next::Done;
        }
        if !self.channels.contains_key(&message.topic) && self.channels.len() >= self.max_channels {
            let response = reply::of_limit(
                "too many channels joined",
                "the socket has joined as many topics as it may",
                (CHANNELS, self.max_channels as u64),
            );
            self.reply(link, &message, "error", &response);
            return Next::Done;
        }
        let Some(map) = map_of(&message.topic) else {
            self.reply(link, &message, "error", &json!({"reason": "unmatched topic"}));
            return Next::Done;
        };
        let params = match &message.payload {
            Some(payload) => JoinParams::from_payload(payload),
            None => Err(join::invalid("join parameters must be JSON")),
        };
        let JoinParams { wanted, star, positions } = match params {
            Ok(params) => params,
            Err(bad) => {
                self.refuse(&message, &bad.into(), link);
                return Next::Done;
            }
        };
        let version = self.version;
        let transport = self.transport;
        let topic = message.topic.clone();
        let start = wanted.start;
        let former = self.former(&topic, start, positions);
        let asked = Asked {
            who: self.who.clone(),
            map: map.to_owned(),
            wanted,
            form: Box::new(move |map| Arc::new(PhoenixForm::new(version, transport, &topic, map, star))),
            quota: self.quota.clone(),
            count: true,
            former,
        };
        // The future has its own copies, because the session may be gone before it ends.
        let dispatcher = self.dispatcher.clone();
        Next::Await(Box::pin(async move {
            let result = subscribe::open(&dispatcher, asked).await;
            let joined = result.map(|opened| Joined { opened, start, positions });
            let resume: Resume<Self> = Box::new(move |session, link| match joined {
                Ok(joined) => session.joined(message, digest, joined, link),
                Err(refused) => session.refuse(&message, &refused, link),
            });
            resume
        }))
    }

    /// The subscription that a join replaces when it resumes on the socket that it never left.
    fn former(&self, topic: &str, start: Start, positions: bool) -> Option<Former> {
        let channel = self.channels.get(topic).filter(|_| matches!(start, Start::After(_)))?;
        Some(Former { subscriber: self.subscriber.clone(), id: channel.subscription, positions })
    }

    fn refuse(&mut self, join: &Message, refused: &Refused, link: &mut dyn Link) {
        self.reply(link, join, "error", &reply::refused(refused));
        self.close_former(&join.topic, link);
    }

    /// Sends the reply first, then the close of the old channel, then events.
    fn joined(&mut self, message: Message, digest: Option<u64>, joined: Joined, link: &mut dyn Link) {
        let Joined { opened, start, positions } = joined;
        let position = opened.position;
        // If a client resumes on the socket that it never left, the events handed to it since then are still
        // on their way. They are not sent again.
        let resumed = opened.goes_on.and_then(|goes_on| {
            let former = self.channels.get(&message.topic)?;
            (former.subscription == goes_on.id).then_some((goes_on, former.began))
        });
        // Events that this socket was shown or has passed are no gap, even if retention has removed them
        // since.
        let gap = match (resumed, start) {
            (Some((_, began)), Start::After(id)) if id >= began && id <= position.before => None,
            _ => position.gap,
        };
        let began = resumed.map_or(position.before, |(_, began)| began);
        let (before, coming) =
            resumed.map_or((position.before, opened.coming), |(goes_on, _)| (goes_on.before, goes_on.coming));
        let response = reply::joined(before, position.head_seq, coming, gap);
        self.reply(link, &message, "ok", &response);
        let subscription = match resumed {
            Some((GoesOn { id, .. }, _)) => {
                if let Some(channel) = self.channels.remove(&message.topic) {
                    self.closed(link, &message.topic, &channel.join_ref);
                }
                self.subscriber.go_on(id);
                id
            }
            None => {
                // The former subscription may be the last one of its topic. It ends before the topic is asked
                // for again.
                self.close_former(&message.topic, link);
                opened.attach(&self.dispatcher, &self.subscriber, positions)
            }
        };
        let channel = Channel { join_ref: message.join_ref, subscription, began, made_by: digest };
        self.channels.insert(message.topic, channel);
    }

    /// The client joins a topic again: its old channel is closed under the old join_ref.
    fn close_former(&mut self, topic: &str, link: &mut dyn Link) {
        if let Some(former) = self.channels.remove(topic) {
            self.subscriber.unsubscribe(former.subscription);
            self.closed(link, topic, &former.join_ref);
        }
    }
}

fn is_stale(channel: &Channel, message: &Message) -> bool {
    !message.join_ref.is_null() && message.join_ref != channel.join_ref
}

impl Protocol for PhoenixSession {
    const NAME: &'static str = "phoenix";

    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self> {
        let decoded = match &message {
            Incoming::Text(text) => frame::decode_text(self.version, text),
            Incoming::Binary(bytes) => frame::decode_binary(bytes),
        };
        match decoded {
            Ok(message) => self.handle(message, link),
            Err(frame::FrameError(reason)) => Next::Close(1003, reason),
        }
    }

    fn subscriber(&self) -> &Rc<Subscriber> {
        &self.subscriber
    }
}
