//! One client's live socket: who the client is, the sessions that it has subscribed to, and what each
//! message does to them.

use super::door::{Door, Entered};
use super::form::LiveForm;
use super::frame::{self, After, Auth, ClientMessage, Told};
use super::session_id::SessionId;
use super::settings::Settings;
use crate::core::filter::Filter;
use crate::core::ids::SocketId;
use crate::core::limits::LimitName;
use crate::core::subject::{Selector, Subject};
use crate::core::text::counted;
use crate::delivery::{Dispatcher, End, Incoming, Link, Next, Protocol, Resume, Subscriber, SubscriptionId};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::joins::Joins;
use crate::edge::lifecycle::{Connected, Subscribed};
use crate::edge::refused::{Quota, Refused};
use crate::edge::subscribe::{self, Asked, FormOf, Opened, SessionQuota, Wanted};
use crate::hub::Grant;
use actix_web::HttpRequest;
use actix_web::web::Data;
use rustc_hash::FxHashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

/// The limit of the sessions that a socket may subscribe to.
const SESSIONS: LimitName = LimitName::Setting("limits.channels_per_socket");

/// One client's socket. It lives as long as the connection.
pub(super) struct LiveSession {
    dispatcher: Rc<Dispatcher>,
    subscriber: Rc<Subscriber>,
    edge: Data<Edge>,
    settings: Data<Settings>,
    /// The request that opened the socket. It says from where the client comes.
    request: HttpRequest,
    socket: SocketId,
    sessions: FxHashMap<Subject, Subscription>,
    access: Access,
    joins: Joins,
    quota: Rc<SessionQuota>,
}

/// Who the client is.
enum Access {
    /// Nobody has said so yet.
    Stranger,
    /// A client of a map.
    Client(Client),
}

struct Client {
    grant: Grant,
    _connected: Option<Connected>,
}

/// A session that the client has subscribed to.
struct Subscription {
    id: SubscriptionId,
    _subscribed: Subscribed,
}

/// The answer to a client that is not let in.
fn not_let_in(refused: Refused) -> String {
    let retry_ms = refused.retry_ms();
    match refused {
        Refused::NoToken | Refused::Unauthorized => frame::auth_error("Invalid or expired token", None),
        other => frame::auth_error(&ApiError::from(other).text(), retry_ms),
    }
}

/// The answer to a client that gets no events of a session.
fn not_subscribed(id: &SessionId, refused: Refused) -> String {
    let retry_ms = refused.retry_ms();
    frame::not_subscribed(id, &ApiError::from(refused).text(), retry_ms)
}

impl LiveSession {
    /// A session of a client that has not said yet who it is.
    pub(super) fn new(
        dispatcher: &Rc<Dispatcher>,
        subscriber: Rc<Subscriber>,
        (edge, settings): (Data<Edge>, Data<Settings>),
        request: HttpRequest,
        socket: SocketId,
    ) -> Self {
        subscriber.set_sockets(socket, &[]);
        Self {
            dispatcher: dispatcher.clone(),
            subscriber,
            edge,
            joins: Joins::new(settings.joins),
            settings,
            request,
            socket,
            sessions: FxHashMap::default(),
            access: Access::Stranger,
            quota: Rc::default(),
        }
    }

    fn handle(&mut self, message: ClientMessage, link: &mut dyn Link) -> Next<Self> {
        let grant = match &self.access {
            Access::Stranger => None,
            Access::Client(client) => Some(client.grant.clone()),
        };
        match (message, grant) {
            (ClientMessage::Ping, _) => link.text(frame::pong()),
            (ClientMessage::Auth(auth), None) => return self.enter(auth, link),
            (ClientMessage::Auth(auth), Some(grant)) => return self.refresh(auth, grant, link),
            (ClientMessage::Subscribe(id, after), Some(grant)) => {
                return self.subscribe(id, after, grant, link);
            }
            (ClientMessage::Unsubscribe(id), Some(_)) => self.unsubscribe(&id, link),
            (ClientMessage::Subscribe(..) | ClientMessage::Unsubscribe(_), None) => {
                link.text(frame::error("Not authenticated: send {\"type\":\"auth\",\"token\":…} first"));
            }
        }
        Next::Done
    }

    /// The token of a client that says who it is. `None` if the client was refused.
    fn token(&mut self, token: Option<String>, link: &mut dyn Link) -> Option<String> {
        let Some(token) = token.filter(|token| !token.trim().is_empty()) else {
            link.text(frame::auth_error("Token required", None));
            return None;
        };
        if let Err(joins) = self.joins.take() {
            link.text(not_let_in(Quota::from(joins).into()));
            return None;
        }
        Some(token)
    }

    fn door(&self) -> Door {
        Door {
            edge: self.edge.clone(),
            request: self.request.clone(),
            dispatcher: self.dispatcher.clone(),
            subscriber: self.subscriber.clone(),
            quota: self.quota.clone(),
        }
    }

    /// Lets the client in, if its token opens a map.
    fn enter(&mut self, auth: Auth, link: &mut dyn Link) -> Next<Self> {
        let Auth { token, map, after } = auth;
        let Some(token) = self.token(token, link) else { return Next::Done };
        let door = self.door();
        let for_all = self.settings.for_all.clone();
        Next::Await(Box::pin(async move {
            let entered = door.enter(&token, map.as_deref(), (for_all, after)).await;
            let resume: Resume<Self> = Box::new(move |session, link| match entered {
                Ok(entered) => session.entered(entered, after, link),
                Err(refused) => link.text(not_let_in(refused)),
            });
            resume
        }))
    }

    fn entered(&mut self, entered: Entered, after: After, link: &mut dyn Link) {
        let Entered { grant, opened } = entered;
        self.subscriber.set_opener(&grant.who);
        let position = opened.as_ref().map(|opened| opened.position).filter(|_| after.is_told());
        link.text(frame::auth_success(position.as_ref().map(Told::of)));
        if let Some(opened) = opened {
            opened.attach(&self.dispatcher, &self.subscriber, after.is_told());
        }
        let connected = Connected::new(self.dispatcher.hub(), &grant.who, self.socket);
        self.access = Access::Client(Client { grant, _connected: connected });
    }

    /// Lets a client go on with another token of its map.
    fn refresh(&mut self, auth: Auth, old: Grant, link: &mut dyn Link) -> Next<Self> {
        let Auth { token, map, after } = auth;
        if after.is_told() {
            link.text(frame::error("after belongs to the first auth of a connection"));
            return Next::Done;
        }
        let Some(token) = self.token(token, link) else { return Next::Done };
        let door = self.door();
        Next::Await(Box::pin(async move {
            let granted = door.refresh(&token, map.as_deref(), &old).await;
            let resume: Resume<Self> = Box::new(move |session, link| match granted {
                Ok(grant) => session.refreshed(grant, link),
                Err(refused) => link.text(not_let_in(refused)),
            });
            resume
        }))
    }

    fn refreshed(&mut self, grant: Grant, link: &mut dyn Link) {
        self.subscriber.set_opener(&grant.who);
        if let Access::Client(client) = &mut self.access {
            client.grant = grant;
        }
        link.text(frame::auth_success(None));
    }

    /// Subscribes the client to a session. A session that it has already begins anew if it asks for a
    /// start.
    fn subscribe(&mut self, id: SessionId, after: After, grant: Grant, link: &mut dyn Link) -> Next<Self> {
        let is_known = self.sessions.contains_key(id.subject());
        if is_known && !matches!(after, After::Event(_)) {
            link.text(frame::subscribed(&id, None));
            return Next::Done;
        }
        if let Err(joins) = self.joins.take() {
            link.text(not_subscribed(&id, Quota::from(joins).into()));
            return Next::Done;
        }
        let most = self.settings.max_sessions;
        if !is_known && self.sessions.len() >= most {
            let most = counted(most, "session", "sessions");
            let message = format!("a connection subscribes to at most {most}; {SESSIONS}");
            link.text(frame::not_subscribed(&id, &message, None));
            return Next::Done;
        }
        let json = id.json().to_owned();
        let compression = self.subscriber.compression();
        let form: FormOf = Box::new(move |_| compression.form(Arc::new(LiveForm::of_session(&json))));
        let subjects = Selector::One(id.subject().clone());
        let wanted = Wanted { subjects, filter: Filter::All, expression: None, start: after.start() };
        let (who, map, quota) = (grant.who, grant.map.id.to_string(), self.quota.clone());
        let tells_start = after.is_told();
        let asked = Asked { who, map, wanted, form, quota, count: false, tells_start, former: None };
        // The future has its own copies, because the session may be gone before it ends.
        let dispatcher = self.dispatcher.clone();
        Next::Await(Box::pin(async move {
            let opened = subscribe::open(&dispatcher, asked).await;
            let resume: Resume<Self> = Box::new(move |session, link| match opened {
                Ok(opened) => session.begin(&id, after, opened, link),
                Err(refused) => link.text(not_subscribed(&id, refused)),
            });
            resume
        }))
    }

    /// Begins a subscription: first says so, then the events come.
    fn begin(&mut self, id: &SessionId, after: After, opened: Opened, link: &mut dyn Link) {
        // The former subscription may be the last one of its topic. It ends before the topic is asked for
        // again.
        self.end(id);
        link.text(frame::subscribed(id, after.is_told().then(|| Told::of(&opened.position))));
        let map = opened.grant.map.id;
        let subscription = opened.attach(&self.dispatcher, &self.subscriber, after.is_told());
        let subject = id.subject().clone();
        let subscribed = Subscribed::new(self.dispatcher.hub(), (map, subject.clone()), self.socket);
        self.sessions.insert(subject, Subscription { id: subscription, _subscribed: subscribed });
    }

    fn unsubscribe(&mut self, id: &SessionId, link: &mut dyn Link) {
        self.end(id);
        link.text(frame::unsubscribed(id));
    }

    /// Ends the subscription to a session, if there is one.
    fn end(&mut self, id: &SessionId) {
        if let Some(gone) = self.sessions.remove(id.subject()) {
            self.subscriber.unsubscribe(gone.id);
        }
    }
}

impl Protocol for LiveSession {
    const NAME: &'static str = "live";

    type Note = Infallible;

    fn message(&mut self, message: Incoming, link: &mut dyn Link) -> Next<Self> {
        let Incoming::Text(text) = message else {
            return Next::Close(1003, "the protocol has no binary messages");
        };
        match frame::decode(&text) {
            Ok(message) => self.handle(message, link),
            Err(bad) => {
                link.text(frame::error(&bad.to_string()));
                Next::Done
            }
        }
    }

    fn subscriber(&self) -> &Rc<Subscriber> {
        &self.subscriber
    }

    fn close_code(end: End) -> (u16, &'static str) {
        match end {
            End::Unused => (
                1008,
                "no token came in time, or no subscription; the limit is the setting session.join_seconds",
            ),
            other => (other.code(), other.reason()),
        }
    }
}
