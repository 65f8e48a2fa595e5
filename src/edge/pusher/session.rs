//! One client's Pusher socket: its channels, its user, and what each message does to them.

mod auth;
mod client_event;
mod member;
mod sign_in;
mod subscribe;
mod wanted;

use super::close::{Close, of_end};
use super::counts::Counted;
use super::frame::{self, ClientMessage};
use super::note::Note;
use super::quota::Place;
use super::state::Pusher;
use crate::core::channel::Kind;
use crate::core::ids::SocketId;
use crate::core::lifecycle::Lifecycle;
use crate::core::subject::Subject;
use crate::delivery::{Dispatcher, End, Incoming, Link, Mailbox, Next, Protocol, Subscriber, SubscriptionId};
use crate::edge::joins::{ClientRate, Joins};
use crate::edge::subscribe::SessionQuota;
use crate::hub::{Hub, OpenApp, PresenceNews};
use actix_web::web::Data;
use member::Membership;
use rustc_hash::FxHashMap;
use sign_in::SignedIn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One client's socket. It lives as long as the connection.
pub(super) struct PusherSession {
    dispatcher: Rc<Dispatcher>,
    subscriber: Rc<Subscriber>,
    pusher: Data<Pusher>,
    app: Arc<OpenApp>,
    socket: SocketId,
    channels: FxHashMap<Arc<str>, Subscription>,
    /// The number of the next subscription.
    next_subscription: u64,
    user: Option<SignedIn>,
    client_rate: ClientRate,
    joins: Joins,
    mailbox: Mailbox<Note>,
    quota: Rc<SessionQuota>,
    _place: Place,
}

/// A channel that the client has subscribed to.
struct Subscription {
    /// Its number within the session.
    number: u64,
    id: SubscriptionId,
    subject: Subject,
    kind: Kind,
    /// The client's membership, on a presence channel.
    member: Option<Membership>,
    _counted: Option<Counted>,
}

impl PusherSession {
    /// A session of a client of `app`. It has a place among the connections of the app.
    pub(super) fn new(
        dispatcher: &Rc<Dispatcher>,
        subscriber: Rc<Subscriber>,
        pusher: Data<Pusher>,
        (app, socket): (Arc<OpenApp>, SocketId),
        place: Place,
    ) -> Self {
        subscriber.set_sockets(socket, &[]);
        dispatcher.hub().presence().note(app.map, Lifecycle::ConnectionEstablished { socket });
        Self {
            dispatcher: dispatcher.clone(),
            subscriber,
            client_rate: ClientRate::new(pusher.settings.client_events),
            joins: Joins::new(pusher.settings.joins),
            pusher,
            app,
            socket,
            channels: FxHashMap::default(),
            next_subscription: 0,
            user: None,
            mailbox: Mailbox::new(),
            quota: place.quota().clone(),
            _place: place,
        }
    }

    fn hub(&self) -> &Hub {
        self.dispatcher.hub()
    }

    /// Tells those who want it what happened.
    fn note(&self, fact: Lifecycle) {
        self.hub().presence().note(self.app.map, fact);
    }

    fn handle(&mut self, message: ClientMessage, link: &mut dyn Link) -> Next<Self> {
        match message {
            ClientMessage::Ping => link.text(frame::pong()),
            ClientMessage::Pong => {}
            ClientMessage::Subscribe(asked) => return self.subscribe(asked, link),
            ClientMessage::Unsubscribe(channel) => self.unsubscribe(&channel),
            ClientMessage::SignIn(asked) => return self.sign_in(asked, link),
            ClientMessage::Event(event) => return self.client_event(event, link),
            ClientMessage::Unknown(event) => {
                let shown: String = event.chars().take(100).collect();
                link.text(frame::error(None, &format!("{shown} is not an event that clients send")));
            }
        }
        Next::Done
    }

    /// Ends the connection soon, after what is handled now.
    fn end_soon(&self, close: Close) {
        self.mailbox.send(Note::End(close));
    }
}

/// Says why the connection ends, and ends it.
fn closed<P>(close: Close, link: &mut dyn Link) -> Next<P> {
    link.text(frame::error(Some(close.code()), close.message()));
    Next::Close(close.code(), close.message())
}

impl Protocol for PusherSession {
    const NAME: &'static str = "pusher";
    const NEEDS_SUBSCRIPTION: bool = false;

    type Note = Note;

    fn opened(&mut self, link: &mut dyn Link) {
        link.text(frame::established(self.socket, self.pusher.settings.activity_timeout.as_secs()));
    }

    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self> {
        let Incoming::Text(text) = message else {
            return Next::Close(1003, "the protocol has no binary messages");
        };
        match frame::decode(&text) {
            Ok(message) => self.handle(message, link),
            Err(bad) => {
                link.text(frame::error(None, &bad.to_string()));
                Next::Done
            }
        }
    }

    fn subscriber(&self) -> &Rc<Subscriber> {
        &self.subscriber
    }

    fn mailbox(&self) -> Option<&Mailbox<Note>> {
        Some(&self.mailbox)
    }

    fn delivered(&mut self, note: Note, link: &mut dyn Link) -> Next<Self> {
        match note {
            Note::Member { channel, subscription, news } => {
                // The client may have left the channel since, or have subscribed to it again.
                if self.channels.get(&channel).is_some_and(|known| known.number == subscription) {
                    link.text(match news {
                        PresenceNews::Joined(member) => {
                            frame::member_added(&channel, &member.user, &member.info)
                        }
                        PresenceNews::Left(member) => frame::member_removed(&channel, &member.user),
                    });
                }
            }
            Note::Watched { user, is_online } => link.text(frame::watchlist(is_online, &[&user])),
            Note::Count { channel, count } => {
                if self.channels.contains_key(&channel) {
                    link.text(frame::subscription_count(&channel, count));
                }
            }
            Note::End(close) => return closed(close, link),
        }
        Next::Done
    }

    fn idle_after(&self) -> Option<Duration> {
        Some(self.pusher.settings.activity_timeout)
    }

    fn idle(&mut self) -> Option<String> {
        Some(frame::ping())
    }

    fn close_code(end: End) -> (u16, &'static str) {
        of_end(end)
    }
}

impl Drop for PusherSession {
    fn drop(&mut self) {
        let mut subscriptions: Vec<Subscription> = self.channels.drain().map(|(_, gone)| gone).collect();
        subscriptions.sort_unstable_by_key(|gone| gone.number);
        for gone in &subscriptions {
            self.note(Lifecycle::Unsubscribe { channel: gone.subject.clone(), socket: self.socket });
        }
        self.note(Lifecycle::ConnectionTerminated { socket: self.socket });
    }
}
