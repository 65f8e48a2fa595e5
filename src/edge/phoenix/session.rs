//! One client's Phoenix socket: its channels, and what each message does to them.
//!
//! It is the same for WebSocket and long poll. Only the form of the events differs.

mod consumer;

use super::channel::{self, Channel, Joined, JoinedPresence, Present};
use super::form::{PhoenixForm, Transport};
use super::frame::{self, Message, Ref, Version};
use super::join_params::{self, JoinParams, Named, named_by};
use super::presence;
use super::push::{self, Push};
use super::refresh;
use super::repeats::{self, Repeats};
use super::reply::{self, NotJoined};
use super::settings::{EventLimits, Settings};
use crate::core::event::Sender;
use crate::core::history::Start;
use crate::core::ids::{MapId, SocketId};
use crate::core::limits::LimitName;
use crate::core::subject::Subject;
use crate::delivery::{Dispatcher, Incoming, Link, Mailbox, Next, Protocol, Resume, Subscriber};
use crate::edge::consumers::ConsumerReading;
use crate::edge::error::ApiError;
use crate::edge::joins::Joins;
use crate::edge::lifecycle::{Connected, Subscribed};
use crate::edge::refused::{Quota, Refused};
use crate::edge::subscribe::{Asked, Former, GoesOn, SessionQuota, Wanted};
use crate::hub::{PresenceNews, Who};
use consumer::{ConsumerChannel, ConsumerNote};
use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use std::rc::Rc;
use std::sync::Arc;

/// The limit of the topics that a socket may join.
const CHANNELS: LimitName = LimitName::Setting("limits.channels_per_socket");

/// A client, and how it speaks.
pub(super) struct Client {
    pub(super) who: Who,
    /// Names its session in the cluster.
    pub(super) socket: SocketId,
    pub(super) version: Version,
    pub(super) transport: Transport,
    /// For consumers that it reads.
    pub(super) consumers: Option<ConsumerReading>,
}

/// One client's socket. It lives as long as the connection, or as the long poll's session.
pub(super) struct PhoenixSession {
    dispatcher: Rc<Dispatcher>,
    subscriber: Rc<Subscriber>,
    client: Client,
    max_channels: usize,
    joins: Joins,
    events: EventLimits,
    /// In boxes: a map has four places when it has one channel.
    channels: FxHashMap<String, Box<Channel>>,
    /// The consumers that it reads, by topic.
    consumers: FxHashMap<String, ConsumerChannel>,
    quota: Rc<SessionQuota>,
    /// Set on transports where a push may arrive twice.
    repeats: Option<Repeats>,
    /// What others have to tell it. `None` until the client asks for presence or reads a consumer.
    mailbox: Option<Mailbox<SessionNote>>,
    /// The number of the last watch of presence, or of the last channel of a consumer.
    watches: u64,
    _connected: Option<Connected>,
}

/// What a session is told.
pub(super) enum SessionNote {
    Presence(PresenceNote),
    Consumer(ConsumerNote),
}

/// News of the presence of a channel's subject.
pub(super) struct PresenceNote {
    topic: Arc<str>,
    /// The number of the watch.
    watch: u64,
    news: PresenceNews,
}

impl PhoenixSession {
    /// A session of the client.
    pub(super) fn new(
        dispatcher: &Rc<Dispatcher>,
        subscriber: Rc<Subscriber>,
        client: Client,
        settings: &Settings,
    ) -> Self {
        subscriber.set_sockets(client.socket, &[]);
        Self {
            dispatcher: dispatcher.clone(),
            subscriber,
            _connected: Connected::new(dispatcher.hub(), &client.who, client.socket),
            repeats: (client.transport == Transport::LongPoll).then(Repeats::default),
            client,
            max_channels: settings.max_channels,
            joins: Joins::new(settings.joins),
            events: settings.events,
            channels: FxHashMap::default(),
            consumers: FxHashMap::default(),
            quota: Rc::default(),
            mailbox: None,
            watches: 0,
        }
    }

    fn reply(&self, link: &mut dyn Link, to: &Message, status: &str, response: &Value) {
        let payload = json!({"status": status, "response": response});
        link.text(frame::encode_text(
            self.client.version,
            &to.join_ref,
            &to.reference,
            &to.topic,
            "phx_reply",
            &payload,
        ));
    }

    fn closed(&self, link: &mut dyn Link, topic: &str, join_ref: &Ref) {
        link.text(frame::encode_text(
            self.client.version,
            join_ref,
            join_ref,
            topic,
            "phx_close",
            &json!({}),
        ));
    }

    fn handle(&mut self, message: Message, link: &mut dyn Link) -> Next<Self> {
        match (&*message.topic, &*message.event) {
            ("phoenix", "heartbeat") => self.reply(link, &message, "ok", &json!({})),
            (_, "phx_join") => return self.join(message, link),
            (_, "phx_leave") => self.leave(&message, link),
            ("phoenix", "access_token") => return self.refresh(message, link),
            (topic, "access_token")
                if self.channels.contains_key(topic) || self.consumers.contains_key(topic) =>
            {
                return self.refresh(message, link);
            }
            _ if self.consumers.contains_key(&message.topic) => {
                return self.answer_consumer(message, link);
            }
            _ => match self.channels.get(&message.topic) {
                None => self.reply(link, &message, "error", &json!({"reason": "unmatched topic"})),
                Some(channel) if channel.is_outdated(&message) => {}
                // The reply to the first one is kept until it arrives.
                Some(_) if self.repeats.as_mut().is_some_and(|repeats| repeats.has(&message)) => {}
                Some(channel) => {
                    let sender = Sender { socket: self.client.socket, user: channel.user() };
                    let of = (channel.map, channel.subject.as_ref());
                    return self.push(push::read(&message, of, sender, self.events), message, link);
                }
            },
        }
        Next::Done
    }

    /// Publishes a push. The next message waits until the client has the reply.
    fn push(&self, push: Result<Push, ApiError>, message: Message, link: &mut dyn Link) -> Next<Self> {
        let push = match push {
            Ok(push) => push,
            Err(error) => {
                self.reply(link, &message, "error", &reply::unpublished(&error));
                return Next::Done;
            }
        };
        let dispatcher = self.dispatcher.clone();
        let who = self.client.who.clone();
        Next::Await(Box::pin(async move {
            let placed = push.publish(dispatcher.hub(), who).await;
            let resume: Resume<Self> = Box::new(move |session, link| match placed {
                Ok(placed) => session.reply(link, &message, "ok", &reply::published(&placed)),
                Err(error) => session.reply(link, &message, "error", &reply::unpublished(&error)),
            });
            resume
        }))
    }

    /// The client presents a newer token. It counts as a join, because it makes as much work.
    fn refresh(&mut self, message: Message, link: &mut dyn Link) -> Next<Self> {
        if let Err(joins) = self.joins.take() {
            let refused = Refused::from(Quota::from(joins));
            self.reply(link, &message, "error", &reply::refused(&refused));
            return Next::Done;
        }
        let Some(token) = refresh::token_of(&message) else {
            self.reply(link, &message, "error", &refresh::no_token());
            return Next::Done;
        };
        let (dispatcher, who) = (self.dispatcher.clone(), self.client.who.clone());
        Next::Await(Box::pin(async move {
            let found = refresh::find(dispatcher.hub(), &token, &who).await;
            let resume: Resume<Self> =
                Box::new(move |session, link| session.refreshed(&message, found, link));
            resume
        }))
    }

    /// From now on the session lives by the new token, if that may take the place of the old one.
    fn refreshed(&mut self, message: &Message, found: Option<Who>, link: &mut dyn Link) {
        let Some(who) = found else { return self.reply(link, message, "error", &refresh::invalid()) };
        if !refresh::may_replace(self.dispatcher.hub(), &who, &self.client.who) {
            return self.reply(link, message, "error", &refresh::other());
        }
        self.subscriber.set_client(who.client().cloned());
        self.consumers.values().for_each(|channel| channel.set_who(who.clone()));
        self.reply(link, message, "ok", &refresh::done(&who));
        self.client.who = who;
    }

    fn leave(&mut self, message: &Message, link: &mut dyn Link) {
        if self.channels.get(&message.topic).is_some_and(|channel| channel.is_outdated(message))
            || self.consumers.get(&message.topic).is_some_and(|channel| channel.is_outdated(message))
        {
            return;
        }
        self.reply(link, message, "ok", &json!({}));
        self.close_former(&message.topic, link);
    }

    /// A digest that recognizes a long poll's join when it arrives again. The reply to the first one is kept
    /// until it arrives. `None` for a WebSocket, which repeats nothing.
    fn digest(&self, join: &Message) -> Option<u64> {
        let repeats = self.client.transport == Transport::LongPoll && !join.join_ref.is_null();
        if repeats { repeats::digest(join) } else { None }
    }

    fn join(&mut self, message: Message, link: &mut dyn Link) -> Next<Self> {
        let digest = self.digest(&message);
        let topic = &message.topic;
        if digest.is_some()
            && (self.channels.get(topic).is_some_and(|channel| channel.made_by == digest)
                || self.consumers.get(topic).is_some_and(|channel| channel.made_by == digest))
        {
            return Next::Done;
        }
        if let Err(joins) = self.joins.take() {
            self.refuse(&message, &Refused::from(Quota::from(joins)).into(), link);
            return Next::Done;
        }
        if !self.has_joined(&message.topic) && self.channels.len() + self.consumers.len() >= self.max_channels
        {
            let response = reply::of_limit(
                "too many channels joined",
                "the socket has joined as many topics as it may",
                (CHANNELS, self.max_channels as u64),
            );
            self.reply(link, &message, "error", &response);
            return Next::Done;
        }
        if let Some(name) = consumer::named_by(&message.topic) {
            return self.join_consumer(name.to_owned(), message, digest, link);
        }
        let Some(Named { map, subject }) = named_by(&message.topic) else {
            self.reply(link, &message, "error", &json!({"reason": "unmatched topic"}));
            return Next::Done;
        };
        let params = match message.value() {
            Ok(payload) => JoinParams::read(&payload, subject),
            Err(frame::FrameError(reason)) => Err(join_params::invalid(reason)),
        };
        let JoinParams { wanted, star, positions, presence } = match params {
            Ok(params) => params,
            Err(bad) => {
                self.refuse(&message, &Refused::from(bad).into(), link);
                return Next::Done;
            }
        };
        let asked = self.asked(map, &message.topic, wanted, (star, positions));
        let socket = self.client.socket;
        // The future has its own copies, because the session may be gone before it ends.
        let dispatcher = self.dispatcher.clone();
        Next::Await(Box::pin(async move {
            let joined = channel::open(&dispatcher, asked, presence, (socket, positions)).await;
            let resume: Resume<Self> = Box::new(move |session, link| match joined {
                Ok(joined) => session.joined(message, digest, joined, link),
                Err(why) => session.refuse(&message, &why, link),
            });
            resume
        }))
    }

    fn has_joined(&self, topic: &str) -> bool {
        self.channels.contains_key(topic) || self.consumers.contains_key(topic)
    }

    fn asked(&self, map: &str, topic: &str, wanted: Wanted, (star, positions): (bool, bool)) -> Asked {
        let Client { version, transport, .. } = self.client;
        let former = self.former(topic, wanted.start, positions);
        let topic = topic.to_owned();
        let compression = self.subscriber.compression();
        Asked {
            who: self.client.who.clone(),
            map: map.to_owned(),
            wanted,
            form: Box::new(move |map| {
                compression.form(Arc::new(PhoenixForm::new(version, transport, &topic, map, star)))
            }),
            quota: self.quota.clone(),
            count: true,
            tells_start: true,
            former,
        }
    }

    /// The subscription that a join replaces when it resumes on the socket that it never left.
    fn former(&self, topic: &str, start: Start, positions: bool) -> Option<Former> {
        let channel = self.channels.get(topic).filter(|_| matches!(start, Start::After(_)))?;
        Some(Former { subscriber: self.subscriber.clone(), id: channel.subscription, positions })
    }

    fn refuse(&mut self, join: &Message, why: &NotJoined, link: &mut dyn Link) {
        self.reply(link, join, "error", &reply::not_joined(why));
        self.close_former(&join.topic, link);
    }

    /// Sends the reply first, then the close of the old channel, then who is present, then events.
    fn joined(&mut self, message: Message, digest: Option<u64>, joined: Joined, link: &mut dyn Link) {
        let Joined { opened, start, positions, presence } = joined;
        let map = opened.grant.map.id;
        let subject = channel::subject_of(&opened.topic.selector);
        // If a client resumes on the socket that it never left, the events handed to it since then are still
        // on their way. They are not sent again.
        let resumed = opened.goes_on.and_then(|goes_on| {
            let former = self.channels.get(&message.topic)?;
            (former.subscription == goes_on.id).then_some((goes_on, former.began))
        });
        let began = resumed.map_or(opened.position.before, |(_, began)| began);
        self.reply(link, &message, "ok", &channel::answer(&opened, resumed, start));
        let subscription = match resumed {
            Some((GoesOn { id, .. }, _)) => {
                if let Some(channel) = self.channels.remove(&message.topic) {
                    self.closed(link, &message.topic, &channel.join_ref);
                    channel.leave();
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
        let present = presence.map(|presence| Box::new(self.show_presence(&message, map, presence, link)));
        let hub = self.dispatcher.hub();
        let subscribed = |subject: &Subject| Subscribed::new(hub, (map, subject.clone()), self.client.socket);
        let channel = Channel {
            join_ref: message.join_ref,
            subscription,
            began,
            made_by: digest,
            map,
            _subscribed: subject.as_ref().map(subscribed),
            subject,
            present,
        };
        self.channels.insert(message.topic, Box::new(channel));
    }

    /// Shows who is present, and from now on who comes and goes.
    fn show_presence(
        &mut self,
        join: &Message,
        map: MapId,
        presence: JoinedPresence,
        link: &mut dyn Link,
    ) -> Present {
        let JoinedPresence { subject, member } = presence;
        self.watches += 1;
        let watch = self.watches;
        let topic: Arc<str> = join.topic.as_str().into();
        let mailbox = self.mailbox.get_or_insert_default().clone();
        let tell = move |news| {
            let note = PresenceNote { topic: topic.clone(), watch, news };
            mailbox.send(SessionNote::Presence(note));
        };
        let (members, kept) = self.dispatcher.hub().presence().watch(map, &subject, tell);
        link.text(presence::state(self.client.version, &join.topic, &join.join_ref, &members));
        Present { number: watch, member, _watch: kept }
    }

    /// Ends the channel of a topic, if there is one: the client leaves it, or joins the topic again.
    fn close_former(&mut self, topic: &str, link: &mut dyn Link) {
        if let Some(former) = self.channels.remove(topic) {
            self.subscriber.unsubscribe(former.subscription);
            self.closed(link, topic, &former.join_ref);
            former.leave();
        }
        if let Some(former) = self.consumers.remove(topic) {
            self.closed(link, topic, &former.join_ref);
        }
    }
}

impl Protocol for PhoenixSession {
    const NAME: &'static str = "phoenix";

    type Note = SessionNote;

    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self> {
        let decoded = match &message {
            Incoming::Text(text) => frame::decode_text(self.client.version, text),
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

    fn mailbox(&self) -> Option<&Mailbox<SessionNote>> {
        self.mailbox.as_ref()
    }

    fn delivered(&mut self, note: SessionNote, link: &mut dyn Link) -> Next<Self> {
        let note = match note {
            SessionNote::Presence(note) => note,
            SessionNote::Consumer(note) => {
                self.tell_consumer(note, link);
                return Next::Done;
            }
        };
        let present = self.channels.get(&*note.topic).and_then(|channel| channel.present.as_ref());
        // News of a channel that was left or joined again are outdated.
        if present.is_some_and(|present| present.number == note.watch) {
            link.text(presence::diff(self.client.version, &note.topic, &note.news));
        }
        Next::Done
    }
}
