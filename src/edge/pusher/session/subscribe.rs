//! Subscriptions to channels.

use super::auth::AuthError;
use super::member::{Member, MemberError, Membership, told_data};
use super::wanted::{BadStart, former_sockets, start_of};
use super::{PusherSession, Subscription};
use crate::core::channel::{Channel, ChannelError, Kind};
use crate::core::event::Event;
use crate::core::filter::Filter;
use crate::core::history::Start;
use crate::core::ids::{MapId, SocketId};
use crate::core::lifecycle::{Lifecycle, LifecycleKind};
use crate::core::subject::{Selector, Subject};
use crate::core::text::counted;
use crate::delivery::{Compression, Dispatcher, Link, Next, Resume};
use crate::edge::pusher::alias::subject_of;
use crate::edge::pusher::close::Close;
use crate::edge::pusher::form::PusherForm;
use crate::edge::pusher::frame;
use crate::edge::pusher::note::Note;
use crate::edge::refused::{Quota, Refused};
use crate::edge::subscribe::{self, Asked, Opened, SessionQuota, Wanted};
use crate::hub::{self, Hub, PresenceError, Who};
use std::rc::Rc;
use std::sync::Arc;

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Name(#[from] ChannelError),
    #[error("Existing subscription to channel {0}")]
    Existing(Arc<str>),
    #[error("a connection subscribes to at most {}", counted(*.0, "channel", "channels"))]
    TooMany(usize),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Member(#[from] MemberError),
    #[error("a rule of the map says that this channel has no members")]
    NoMembers,
    #[error(transparent)]
    Start(#[from] BadStart),
    #[error(transparent)]
    Presence(#[from] PresenceError),
    #[error(transparent)]
    Refused(#[from] Refused),
}

impl Refusal {
    /// Whether joins are too fast. The client stays connected, because it would join everything again elsewhere.
    fn is_too_fast(&self) -> bool {
        let joins =
            matches!(self, Self::Refused(Refused::Quota(Quota::ChannelJoins(_) | Quota::ClientJoins(_))));
        joins || matches!(self, Self::Presence(PresenceError::TooFast(_)))
    }

    /// Whether the same subscription may succeed a little later, or on another node, so that the client had better
    /// connect again.
    fn may_pass(&self) -> bool {
        match self {
            _ if self.is_too_fast() => false,
            Self::Presence(PresenceError::Unavailable) => true,
            Self::Refused(refused) => refused.retry_ms().is_some(),
            _ => false,
        }
    }

    /// The message for the client.
    fn text(&self, channel: &str) -> String {
        let (kind, status) = match self {
            Self::Existing(_) => return frame::error(None, &self.to_string()),
            _ if self.is_too_fast() => ("LimitReached", 429),
            Self::Auth(_) => ("AuthError", 401),
            Self::Refused(_) => ("AuthError", 403),
            Self::TooMany(_) | Self::Presence(PresenceError::Full { .. }) => ("LimitReached", 403),
            Self::NoMembers => ("Forbidden", 403),
            Self::Name(_) | Self::Member(_) | Self::Start(_) | Self::Presence(_) => ("InvalidRequest", 400),
        };
        frame::not_subscribed(channel, kind, status, &self.to_string())
    }
}

/// A subscription that the client may have.
struct Wish {
    /// The channel as the client names it.
    name: Arc<str>,
    channel: Channel,
    subject: Subject,
    /// The client's user, on a presence channel.
    member: Option<Member>,
    /// What the back end has signed about the client, on a presence channel. The data of other subscriptions is not
    /// checked.
    channel_data: Option<String>,
    /// The start that the client asks for.
    start: Option<Start>,
}

/// A subscription that is ready to begin.
struct Ready {
    wish: Wish,
    opened: Opened,
    membership: Option<hub::Membership>,
    /// The last event of an ephemeral cache channel, as other nodes know it.
    last_elsewhere: Option<Event>,
}

/// Whose subscription it is.
struct Client {
    who: Who,
    map: MapId,
    socket: SocketId,
    quota: Rc<SessionQuota>,
    compression: Compression,
}

impl Wish {
    /// Where the subscription starts. A cache channel begins with its last event.
    fn start(&self) -> Start {
        let usual = if self.channel.is_cache() { Start::Last(1) } else { Start::Live };
        self.start.unwrap_or(usual)
    }

    /// Whether the client gets the channel's last event, or learns that there is none.
    fn wants_last(&self) -> bool {
        self.channel.is_cache() && self.start.is_none()
    }
}

impl PusherSession {
    /// Subscribes the client to a channel.
    pub(super) fn subscribe(&mut self, asked: frame::Subscribe, link: &mut dyn Link) -> Next<Self> {
        let name: Arc<str> = asked.channel.as_str().into();
        let wish = match self.joins.take() {
            Ok(()) => self.wish(&name, asked),
            Err(joins) => Err(Refused::from(Quota::from(joins)).into()),
        };
        let wish = match wish {
            Ok(wish) => wish,
            Err(refusal) => {
                link.text(refusal.text(&name));
                return Next::Done;
            }
        };
        let client = Client {
            who: self.app.who(),
            map: self.app.map,
            socket: self.socket,
            quota: self.quota.clone(),
            compression: self.subscriber.compression(),
        };
        // The future has its own copies, because the session may be gone before it ends.
        let dispatcher = self.dispatcher.clone();
        Next::Await(Box::pin(async move {
            let ready = make_ready(&dispatcher, client, wish).await;
            let resume: Resume<Self> = Box::new(move |session, link| match ready {
                Ok(ready) => session.begin(ready, link),
                Err(refusal) if refusal.may_pass() => session.end_soon(Close::Unavailable),
                Err(refusal) => link.text(refusal.text(&name)),
            });
            resume
        }))
    }

    /// Checks what the client asks for.
    fn wish(&self, name: &Arc<str>, asked: frame::Subscribe) -> Result<Wish, Refusal> {
        let channel = Channel::parse(name)?;
        if self.channels.contains_key(name) {
            return Err(Refusal::Existing(name.clone()));
        }
        let most = self.pusher.settings.max_channels;
        if self.channels.len() >= most {
            return Err(Refusal::TooMany(most));
        }
        let map = self.hub().access().known().map(self.app.map).cloned().ok_or(Refused::NotFound)?;
        let subject = subject_of(&map, &channel);
        let facts = map.rules.facts_of(subject.as_str());
        self.check_join(&channel, (facts.join, subject.is_own()), &asked)?;
        let member = match channel.kind() {
            Kind::Presence if !facts.presence => return Err(Refusal::NoMembers),
            Kind::Presence => Some(self.member(asked.channel_data.as_deref())?),
            _ => None,
        };
        let start = start_of(&asked, self.hub().clock().time_ms())?;
        if let Some(former) = former_sockets(&asked)? {
            self.subscriber.set_sockets(self.socket, &former);
        }
        let channel_data = asked.channel_data.filter(|_| member.is_some());
        Ok(Wish { name: name.clone(), channel, subject, member, channel_data, start })
    }

    /// Which member the client is. A client that has signed in need not say it again.
    fn member(&self, channel_data: Option<&str>) -> Result<Member, MemberError> {
        match (channel_data, &self.user) {
            (None, Some(user)) => Ok(user.member()),
            (data, _) => Member::read(data),
        }
    }

    /// Begins a subscription: first says so, with the members of a presence channel, then sends the last event
    /// of a cache channel, then the events that come.
    fn begin(&mut self, ready: Ready, link: &mut dyn Link) {
        let Ready { wish, mut opened, membership, last_elsewhere } = ready;
        let number = self.next_subscription;
        self.next_subscription += 1;
        let (members, member) = match (&wish.member, membership) {
            (Some(member), Some(membership)) => {
                let (members, membership) = self.watch(&wish, number, member, membership);
                (Some(members), Some(membership))
            }
            _ => (None, None),
        };
        let position = opened.position;
        let is_stored = opened.has_history();
        let told = is_stored.then_some((position.before, position.head_seq));
        link.text(frame::subscribed(&wish.name, members.as_deref(), told));
        if let Some(oldest) = position.gap {
            link.text(frame::gap(&wish.name, oldest));
        }
        if wish.wants_last() {
            let last = if is_stored {
                opened.coming != Some(0)
            } else {
                self.send_last(&wish, &mut opened, last_elsewhere, link)
            };
            if !last {
                link.text(frame::cache_miss(&wish.name));
                self.note(Lifecycle::CacheMiss { channel: wish.subject.clone() });
            }
        }
        let id = opened.attach(&self.dispatcher, &self.subscriber, false);
        let Wish { name, channel, subject, channel_data, .. } = wish;
        let kind = channel.kind();
        let is_counted = self.pusher.settings.subscription_count.is_some() && kind != Kind::Presence;
        let counted = is_counted.then(|| {
            let of = (self.app.map, subject.clone());
            self.pusher.counts.add(of, name.clone(), self.mailbox.clone())
        });
        if self.hub().presence().wants(self.app.map, LifecycleKind::Subscribe) {
            let channel_data = channel_data.as_deref().map(told_data).unwrap_or_default();
            self.note(Lifecycle::Subscribe { channel: subject.clone(), socket: self.socket, channel_data });
        }
        self.channels.insert(name, Subscription { number, id, subject, kind, member, _counted: counted });
    }

    /// From now on, the client learns who comes and goes. Returns who is there.
    fn watch(
        &self,
        wish: &Wish,
        subscription: u64,
        member: &Member,
        membership: hub::Membership,
    ) -> (String, Membership) {
        let (mailbox, channel) = (self.mailbox.clone(), wish.name.clone());
        let tell = move |news| mailbox.send(Note::Member { channel: channel.clone(), subscription, news });
        let (members, watch) = self.hub().presence().watch(self.app.map, &wish.subject, tell);
        let there = frame::members_of(members.iter().map(|member| (&*member.user, &member.info[..])));
        (there, Membership { user: member.user.clone(), membership, _watch: watch })
    }

    /// Sends the last event of an ephemeral cache channel: the newest of what this node knows at the moment
    /// from which on events come, and what others knew before. Whether there is one.
    fn send_last(
        &self,
        wish: &Wish,
        opened: &mut Opened,
        elsewhere: Option<Event>,
        link: &mut dyn Link,
    ) -> bool {
        let (here, position) = self.hub().ephemeral().last_here(opened.topic.stream, &wish.subject);
        opened.follow_from(position);
        let Some(last) = here.into_iter().chain(elsewhere).max_by_key(|event| event.id) else { return false };
        link.text(frame::event(&wish.name, &last));
        true
    }

    /// Ends a subscription. The client is told nothing, as it expects.
    pub(super) fn unsubscribe(&mut self, channel: &str) {
        let Some(gone) = self.channels.remove(channel) else { return };
        self.subscriber.unsubscribe(gone.id);
        if let Some(member) = gone.member {
            member.membership.leave();
        }
        self.note(Lifecycle::Unsubscribe { channel: gone.subject, socket: self.socket });
    }
}

/// Makes the client a member where the channel has members, and opens the subscription.
async fn make_ready(dispatcher: &Rc<Dispatcher>, client: Client, wish: Wish) -> Result<Ready, Refusal> {
    let hub = dispatcher.hub();
    let membership = match &wish.member {
        Some(member) => Some(join(hub, &client, &wish.subject, member).await?),
        None => None,
    };
    match open(dispatcher, client, &wish).await {
        Ok((opened, last_elsewhere)) => Ok(Ready { wish, opened, membership, last_elsewhere }),
        Err(refused) => {
            if let Some(membership) = membership {
                membership.leave();
            }
            Err(refused.into())
        }
    }
}

async fn join(
    hub: &Hub,
    client: &Client,
    subject: &Subject,
    member: &Member,
) -> Result<hub::Membership, Refusal> {
    let map = hub.access().known().map(client.map).cloned().ok_or(Refused::NotFound)?;
    let Member { user, info } = member.clone();
    Ok(hub.presence().join(&map, subject, user, info, Some(client.socket)).await?)
}

async fn open(
    dispatcher: &Rc<Dispatcher>,
    client: Client,
    wish: &Wish,
) -> Result<(Opened, Option<Event>), Refused> {
    let name = wish.name.clone();
    let subjects = Selector::One(wish.subject.clone());
    let asked = Asked {
        who: client.who,
        map: client.map.to_string(),
        wanted: Wanted { subjects, filter: Filter::All, expression: None, start: wish.start() },
        form: Box::new(move |_| client.compression.form(Arc::new(PusherForm::new(&name)))),
        quota: client.quota,
        count: wish.wants_last(),
        // Subscribers of ephemeral channels learn no position.
        tells_start: false,
        former: None,
    };
    let opened = subscribe::open(dispatcher, asked).await?;
    if opened.has_history() || !wish.wants_last() {
        return Ok((opened, None));
    }
    let hub = dispatcher.hub();
    // Asked now, when everything that is published arrives here: what is published later is known here.
    let last = hub.ephemeral().last_elsewhere(hub.peers(), opened.topic.stream, &wish.subject).await;
    if last.is_some() {
        // The event may be on its way to here. Once it has come, it is told once.
        hub.ephemeral().begin().await;
    }
    opened.check(hub)?;
    Ok((opened, last))
}
