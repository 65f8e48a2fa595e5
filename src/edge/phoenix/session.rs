//! One client's Phoenix socket: its channels, and what each message does to them.
//!
//! It is the same for WebSocket and long poll. Only the form of the events differs.

use super::channel::{self, Channel, Joined, JoinedPresence, Present};
use super::form::{PhoenixForm, Transport};
use super::frame::{self, Message, Ref, Version};
use super::join::{self, JoinParams, Named, named_by};
use super::lifecycle::{Connected, Subscribed};
use super::presence;
use super::push::{self, Push};
use super::repeats::{self, Repeats};
use super::reply::{self, NotJoined};
use super::settings::{EventLimits, Settings};
use crate::core::event::Sender;
use crate::core::history::Start;
use crate::core::ids::{MapId, SocketId};
use crate::core::limits::LimitName;
use crate::core::subject::Subject;
use crate::delivery::{Dispatcher, Incoming, Link, Mailbox, Next, Protocol, Resume, Subscriber};
use crate::edge::error::ApiError;
use crate::edge::joins::Joins;
use crate::edge::refused::{Quota, Refused};
use crate::edge::subscribe::{Asked, Former, GoesOn, SessionQuota, Wanted};
use crate::hub::{PresenceNews, Who};
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
}

/// One client's socket. It lives as long as the connection, or as the long poll's session.
pub(super) struct PhoenixSession {
    dispatcher: Rc<Dispatcher>,
    subscriber: Rc<Subscriber>,
    client: Client,
    max_channels: usize,
    joins: Joins,
    events: EventLimits,
    channels: FxHashMap<String, Channel>,
    quota: Rc<SessionQuota>,
    /// Set on transports where a push may arrive twice.
    repeats: Option<Repeats>,
    /// News of presence. `None` until the client asks for presence.
    mailbox: Option<Mailbox<PresenceNote>>,
    /// The number of the last watch of presence.
    watches: u64,
    _connected: Option<Connected>,
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
        subscriber.set_socket(client.socket);
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

    fn leave(&mut self, message: &Message, link: &mut dyn Link) {
        if self.channels.get(&message.topic).is_some_and(|channel| channel.is_outdated(message)) {
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
        if digest.is_some()
            && self.channels.get(&message.topic).is_some_and(|channel| channel.made_by == digest)
        {
            return Next::Done;
        }
        if let Err(joins) = self.joins.take() {
            self.refuse(&message, &Refused::from(Quota::from(joins)).into(), link);
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
        let Some(Named { map, subject }) = named_by(&message.topic) else {
            self.reply(link, &message, "error", &json!({"reason": "unmatched topic"}));
            return Next::Done;
        };
        let params = match message.value() {
            Ok(payload) => JoinParams::read(&payload, subject),
            Err(frame::FrameError(reason)) => Err(join::invalid(reason)),
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

    fn asked(&self, map: &str, topic: &str, wanted: Wanted, (star, positions): (bool, bool)) -> Asked {
        let Client { version, transport, .. } = self.client;
        let former = self.former(topic, wanted.start, positions);
        let topic = topic.to_owned();
        Asked {
            who: self.client.who.clone(),
            map: map.to_owned(),
            wanted,
            form: Box::new(move |map| Arc::new(PhoenixForm::new(version, transport, &topic, map, star))),
            quota: self.quota.clone(),
            count: true,
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
        let present = presence.map(|presence| self.show_presence(&message, map, presence, link));
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
        self.channels.insert(message.topic, channel);
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
        let tell = move |news| mailbox.send(PresenceNote { topic: topic.clone(), watch, news });
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
    }
}

impl Protocol for PhoenixSession {
    const NAME: &'static str = "phoenix";

    type Note = PresenceNote;

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

    fn mailbox(&self) -> Option<&Mailbox<PresenceNote>> {
        self.mailbox.as_ref()
    }

    fn delivered(&mut self, note: PresenceNote, link: &mut dyn Link) -> Next<Self> {
        let present = self.channels.get(&*note.topic).and_then(|channel| channel.present.as_ref());
        // News of a channel that was left or joined again are outdated.
        if present.is_some_and(|present| present.number == note.watch) {
            link.text(presence::diff(self.client.version, &note.topic, &note.news));
        }
        Next::Done
    }
}
