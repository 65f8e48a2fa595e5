//! One client's Phoenix socket: its channels, and what each message does to them.
//!
//! The same for WebSocket and long poll; only the form in which events are written differs.

use super::form::{PhoenixForm, Transport};
use super::frame::{self, Message, Ref, Version};
use super::join::{JoinParams, map_of, refusal};
use crate::core::access::Scopes;
use crate::core::expression::Condition;
use crate::core::filter::Filter;
use crate::core::frame::View;
use crate::core::history::{Position, Start};
use crate::core::ids::{EventId, MapId};
use crate::delivery::{Incoming, Link, Next, Outbox, Outlet, Protocol, Resume, SubscriptionId};
use crate::hub::{Connection, Grant, Hub, ResumeError, Who};
use rustc_hash::{FxBuildHasher, FxHashMap};
use serde_json::{Value, json};
use std::hash::BuildHasher;
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// Settings of Phoenix sockets.
#[derive(Clone, Debug)]
pub struct PhoenixConfig {
    /// Topics that one socket may join.
    pub max_channels: usize,
}

/// See the module.
pub struct PhoenixSession {
    hub: Hub,
    outlet: Rc<Outlet>,
    outbox: Rc<Outbox>,
    who: Who,
    version: Version,
    transport: Transport,
    max_channels: usize,
    channels: FxHashMap<String, Channel>,
    /// A socket counts once for a map, by however many names it joined it.
    connections: FxHashMap<MapId, Weak<Connection>>,
}

struct Channel {
    join_ref: Ref,
    subscription: SubscriptionId,
    /// The position behind which its subscription began.
    began: EventId,
    /// Digest of the join that made it, where a join may arrive twice.
    made_by: Option<u64>,
}

/// A join that went through.
struct Joined {
    grant: Grant,
    position: Position,
    /// `None` where a filter leaves it open.
    coming: Option<u64>,
    params: JoinParams,
    condition: Option<Arc<Condition>>,
    connection: Rc<Connection>,
}

impl PhoenixSession {
    /// A session of whom `who` says it is.
    pub fn new(
        outlet: &Rc<Outlet>,
        outbox: Rc<Outbox>,
        who: Who,
        version: Version,
        transport: Transport,
        config: &PhoenixConfig,
    ) -> Self {
        Self {
            hub: outlet.hub().clone(),
            outlet: outlet.clone(),
            outbox,
            who,
            version,
            transport,
            max_channels: config.max_channels,
            channels: FxHashMap::default(),
            connections: FxHashMap::default(),
        }
    }

    fn reply(&self, link: &mut dyn Link, to: &Message, status: &str, response: &Value) {
        let payload = json!({"status": status, "response": response});
        link.text(frame::encode_text(self.version, &to.join_ref, &to.reference, &to.topic, "phx_reply", &payload));
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
                    let reason = refusal("unknown event", "clients publish by POST /api/maps/{map}/events");
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
            self.outbox.unsubscribe(channel.subscription);
            self.closed(link, &message.topic, &channel.join_ref);
        }
    }

    /// A join of a long poll, by which it is known when it comes again: a proxy, or a browser whose connection
    /// broke, may have sent its request twice. The reply to the first is kept until it arrives. A WebSocket
    /// repeats nothing.
    fn digest(&self, join: &Message) -> Option<u64> {
        let repeats = self.transport == Transport::LongPoll && !join.join_ref.is_null() && !join.reference.is_null();
        let payload = || join.payload.as_ref().map(Value::to_string);
        repeats.then(|| FxBuildHasher.hash_one((&join.join_ref, &join.reference, payload())))
    }

    fn join(&mut self, message: Message, link: &mut dyn Link) -> Next<Self> {
        let digest = self.digest(&message);
        if digest.is_some() && self.channels.get(&message.topic).is_some_and(|channel| channel.made_by == digest) {
            return Next::Done;
        }
        if !self.channels.contains_key(&message.topic) && self.channels.len() >= self.max_channels {
            self.reply(link, &message, "error", &json!({"reason": "too many channels joined"}));
            return Next::Done;
        }
        let Some(map) = map_of(&message.topic) else {
            self.reply(link, &message, "error", &json!({"reason": "unmatched topic"}));
            return Next::Done;
        };
        let params = match &message.payload {
            Some(payload) => JoinParams::from_payload(payload),
            None => Err(refusal("invalid params", "join parameters must be JSON")),
        };
        let params = match params {
            Ok(params) => params,
            Err(response) => {
                self.reply(link, &message, "error", &response);
                self.close_former(&message.topic, link);
                return Next::Done;
            }
        };
        let pending = Pending {
            hub: self.hub.clone(),
            who: self.who.clone(),
            map: map.to_owned(),
            connections: self.connections.clone(),
        };
        Next::Await(Box::pin(async move {
            let result = pending.join(params).await;
            let resume: Resume<Self> = Box::new(move |session, link| session.joined(message, digest, result, link));
            resume
        }))
    }

    /// The reply first, then the old channel's end, then events.
    fn joined(&mut self, message: Message, digest: Option<u64>, result: Result<Joined, Value>, link: &mut dyn Link) {
        // What was granted when the join began may have been revoked since.
        let result = result.and_then(|joined| {
            let granted = self.hub.still_granted(&joined.grant, Scopes::SUBSCRIBE);
            if granted { Ok(joined) } else { Err(unauthorized()) }
        });
        match result {
            Err(response) => {
                self.reply(link, &message, "error", &response);
                self.close_former(&message.topic, link);
            }
            Ok(joined) => self.subscribe(message, digest, joined, link),
        }
    }

    fn subscribe(&mut self, message: Message, digest: Option<u64>, joined: Joined, link: &mut dyn Link) {
        let Joined { grant, position, coming, params, condition, connection } = joined;
        let (map, has_condition) = (grant.map.id, condition.is_some());
        self.connections.retain(|_, connection| connection.strong_count() > 0);
        self.connections.insert(map, Rc::downgrade(&connection));
        let form = PhoenixForm::new(self.version, self.transport, &message.topic, map, params.star);
        let view = View::new(Arc::new(form), condition);
        let shows = (grant.map.topic, view.key().clone());
        let former = self.channels.get(&message.topic).map(|channel| (channel.subscription, channel.began));
        // Who resumes on the socket that it never left has in flight what was handed to it since: that is not repeated.
        let resumed = former.filter(|_| matches!(params.start, Start::After(_))).and_then(|(former, began)| {
            let at = self.outbox.go_on(former, &shows, &params.filter, position.next_seq, params.positions)?;
            Some((former, at, began))
        });
        // What this socket was shown all along, or passed, is no gap, even where retention has taken it since.
        let gap = match (&resumed, params.start) {
            (Some((_, _, began)), Start::After(id)) if id >= *began && id <= position.before => None,
            _ => position.gap,
        };
        let began = resumed.map_or(position.before, |(_, _, began)| began);
        let (before, coming) = match resumed {
            Some((_, at, _)) if at > position.next_seq => {
                let before = self.position_before(&grant, at).unwrap_or(position.before);
                let all = params.filter == Filter::All && !has_condition;
                let left = (position.head_seq + 1).saturating_sub(at);
                (before, (all || left == 0).then_some(left))
            }
            _ => (position.before, coming),
        };
        let mut response = json!({
            "last_event_id": before.to_string(),
            "last_seq": position.head_seq,
            "backfill": coming,
            "gap": gap.is_some(),
        });
        if let Some(oldest) = gap {
            response["oldest_id"] = oldest.map(|id| id.to_string()).into();
        }
        self.reply(link, &message, "ok", &response);
        let subscription = match resumed {
            Some((former, ..)) => {
                if let Some(channel) = self.channels.remove(&message.topic) {
                    self.closed(link, &message.topic, &channel.join_ref);
                }
                former
            }
            None => {
                // The former may have been the last of its topic: it is gone before the topic is asked for again.
                self.close_former(&message.topic, link);
                let feed = self.outlet.feed(grant.map.topic, view);
                self.outbox.subscribe(feed, map, position.next_seq, params.filter, params.positions, Some(connection))
            }
        };
        let channel = Channel { join_ref: message.join_ref, subscription, began, made_by: digest };
        self.channels.insert(message.topic, channel);
    }

    /// The position by which a reader starts at `seq`, if that event is kept.
    fn position_before(&self, grant: &Grant, seq: u64) -> Option<EventId> {
        let found = self.hub.archive().id_now(grant.map.topic, seq.checked_sub(1)?);
        found.inspect_err(|error| tracing::error!(%error, "a position can't be read")).ok().flatten()
    }

    /// A topic joined again: the channel that it had is closed under its old join_ref.
    fn close_former(&mut self, topic: &str, link: &mut dyn Link) {
        if let Some(former) = self.channels.remove(topic) {
            self.outbox.unsubscribe(former.subscription);
            self.closed(link, topic, &former.join_ref);
        }
    }
}

fn is_stale(channel: &Channel, message: &Message) -> bool {
    !message.join_ref.is_null() && message.join_ref != channel.join_ref
}

/// An unknown map and one that the token doesn't open look the same.
fn unauthorized() -> Value {
    json!({"reason": "unauthorized", "message": "there is no such map, or the token doesn't open it"})
}

fn unavailable(message: &str) -> Value {
    refusal("unavailable", message)
}

/// A join while it awaits: its own copies, since the session may be gone before it is through.
struct Pending {
    hub: Hub,
    who: Who,
    map: String,
    connections: FxHashMap<MapId, Weak<Connection>>,
}

impl Pending {
    async fn join(self, mut params: JoinParams) -> Result<Joined, Value> {
        let map = match self.hub.map(&self.map).await {
            Ok(Some(map)) if self.who.may(map.id, Scopes::SUBSCRIBE) => map,
            Ok(_) => return Err(unauthorized()),
            Err(error) => return Err(unavailable(&error.to_string())),
        };
        let connection = match self.connections.get(&map.id).and_then(Weak::upgrade) {
            Some(connection) => connection,
            None => Rc::new(self.hub.take_connection(map.id, self.who.by()).await.map_err(|limit| {
                json!({"reason": "too many connections", "message": "the map has as many sockets as it may have", "limit": limit})
            })?),
        };
        let condition = params.expression.take().map(|expression| self.hub.condition(&map, expression));
        let condition = condition
            .transpose()
            .map_err(|error| json!({"reason": "too many filters", "message": error.to_string(), "limit": error.0}))?;
        let position = self.hub.locate(map.topic, params.start).await.map_err(|error| match error {
            ResumeError::Behind(error) => unavailable(&format!("this node is behind what you have seen: {error}")),
            ResumeError::Archive(error) => unavailable(&error.to_string()),
        })?;
        let coming = self.hub.count_coming(map.topic, &position, &params.filter, condition.as_ref()).await;
        let coming = coming.map_err(|error| unavailable(&error.to_string()))?;
        let grant = Grant { map, who: self.who };
        Ok(Joined { grant, position, coming, params, condition, connection })
    }
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

    fn outbox(&self) -> &Rc<Outbox> {
        &self.outbox
    }
}
