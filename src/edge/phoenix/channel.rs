//! A channel that a client has joined, and the steps of a join that take time.

use super::frame::{Message, Ref};
use super::presence::{self, WantedPresence};
use super::reply::{self, NotJoined};
use crate::core::access::Scopes;
use crate::core::history::Start;
use crate::core::ids::{EventId, MapId, SocketId};
use crate::core::subject::{Selector, Subject};
use crate::delivery::{Dispatcher, SubscriptionId};
use crate::edge::lifecycle::Subscribed;
use crate::edge::refused::Refused;
use crate::edge::subscribe::{self, Asked, GoesOn, Opened};
use crate::hub::{Membership, PresenceWatch};
use bytestring::ByteString;
use serde_json::Value;
use std::rc::Rc;

/// A channel that the client has joined. It lives until the client leaves it or joins the topic again.
pub(super) struct Channel {
    pub(super) join_ref: Ref,
    pub(super) subscription: SubscriptionId,
    /// The position after which its subscription began.
    pub(super) began: EventId,
    /// Digest of the join that made it. Set on transports where a join may arrive twice.
    pub(super) made_by: Option<u64>,
    pub(super) map: MapId,
    /// Its subject. `None` if it has several.
    pub(super) subject: Option<Subject>,
    /// In a box: most channels have none.
    pub(super) present: Option<Box<Present>>,
    pub(super) _subscribed: Option<Subscribed>,
}

/// The presence of a channel's subject, for a client that asked for it.
pub(super) struct Present {
    /// Tells this watch from the earlier ones of the session, whose news are outdated.
    pub(super) number: u64,
    /// The client's user and its membership, if the client is a member.
    pub(super) member: Option<Member>,
    pub(super) _watch: PresenceWatch,
}

/// The membership of a client's user.
pub(super) struct Member {
    pub(super) user: ByteString,
    pub(super) membership: Membership,
}

/// A join that succeeded.
pub(super) struct Joined {
    pub(super) opened: Opened,
    /// The start that the client asked for.
    pub(super) start: Start,
    pub(super) positions: bool,
    /// What the client wants of presence, now that its user is a member.
    pub(super) presence: Option<JoinedPresence>,
}

/// Presence of a join that succeeded.
pub(super) struct JoinedPresence {
    pub(super) subject: Subject,
    pub(super) member: Option<Member>,
}

impl Channel {
    /// Whether the message belongs to an earlier join of the topic.
    pub(super) fn is_outdated(&self, message: &Message) -> bool {
        !message.join_ref.is_null() && message.join_ref != self.join_ref
    }

    /// The user as which the client publishes here.
    pub(super) fn user(&self) -> Option<ByteString> {
        let member = self.present.as_ref()?.member.as_ref()?;
        Some(member.user.clone())
    }

    /// The client has left it: its user leaves at once.
    pub(super) fn leave(self) {
        if let Some(member) = self.present.and_then(|present| present.member) {
            member.membership.leave();
        }
    }
}

/// The one subject of a selection.
pub(super) fn subject_of(selector: &Selector) -> Option<Subject> {
    match selector {
        Selector::One(subject) => Some(subject.clone()),
        Selector::Several(_) | Selector::All => None,
    }
}

/// The response of a join. `resumed` is the subscription of the channel before it, if that goes on, and the
/// position after which that one began.
pub(super) fn answer(opened: &Opened, resumed: Option<(GoesOn, EventId)>, start: Start) -> Value {
    let position = opened.position;
    // Events that this socket was shown or has passed are no gap, even if retention has removed them since.
    let gap = match (resumed, start) {
        (Some((_, began)), Start::After(id)) if id >= began && id <= position.before => None,
        _ => position.gap,
    };
    let (before, coming) =
        resumed.map_or((position.before, opened.coming), |(goes_on, _)| (goes_on.before, goes_on.coming));
    reply::joined(before, position.head_seq, coming, gap)
}

/// Opens the subscription of a join, and makes the client's user a member of its subject.
pub(super) async fn open(
    dispatcher: &Rc<Dispatcher>,
    asked: Asked,
    presence: Option<WantedPresence>,
    (socket, positions): (SocketId, bool),
) -> Result<Joined, NotJoined> {
    let start = asked.wanted.start;
    let opened = subscribe::open(dispatcher, asked).await?;
    let presence = match presence {
        Some(wanted) => Some(join_presence(dispatcher, &opened, wanted, socket).await?),
        None => None,
    };
    Ok(Joined { opened, start, positions, presence })
}

async fn join_presence(
    dispatcher: &Dispatcher,
    opened: &Opened,
    wanted: WantedPresence,
    socket: SocketId,
) -> Result<JoinedPresence, NotJoined> {
    let invalid = |message: String| NotJoined::from(Refused::from(presence::invalid(message)));
    let subject = subject_of(&opened.topic.selector)
        .ok_or_else(|| invalid("presence needs a channel of one subject".to_owned()))?;
    let map = &opened.grant.map;
    if subject.is_reserved() || !map.rules.facts_of(subject.as_str()).presence {
        let name = subject.as_str();
        return Err(invalid(format!(
            "the map's channel rules give the subject {name:?} no presence; a rule with presence does"
        )));
    }
    let WantedPresence::Member { user, meta } = wanted else {
        return Ok(JoinedPresence { subject, member: None });
    };
    // Nobody has signed the user's id: the members believe it because the token may name any user.
    if !opened.grant.who.may(map.id, Scopes::PRESENCE) {
        return Err(NotJoined::User);
    }
    let hub = dispatcher.hub();
    let membership = hub.presence().join(map, &subject, user.clone(), meta, Some(socket)).await?;
    // The right to the subscription may have been revoked meanwhile.
    match opened.check(hub) {
        Ok(()) => Ok(JoinedPresence { subject, member: Some(Member { user, membership }) }),
        Err(refused) => {
            membership.leave();
            Err(refused.into())
        }
    }
}
