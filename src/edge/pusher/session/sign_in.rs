//! Signing in: a client says which user it is, and learns which of the users that it watches are there.
//!
//! A signed-in user is a member of its own channel `#server-to-user-{id}`. So all nodes know whether it is
//! there.

use super::member::{Member, info_of};
use super::{PusherSession, closed};
use crate::core::channel::Channel;
use crate::core::lease::MAX_MEMBER_LEN;
use crate::delivery::{Link, Next, Resume};
use crate::edge::pusher::close::Close;
use crate::edge::pusher::frame;
use crate::edge::pusher::note::Note;
use crate::edge::pusher::state::UserSocket;
use crate::hub::{Membership, PresenceError, PresenceNews, PresenceWatch};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Users that one client may watch.
const MOST_WATCHED: usize = 100;
/// The code of the error for a longer list.
const WATCHLIST_LIMIT: u16 = 4302;

/// The user of a client. It is there until this is dropped, and then for the time of grace.
pub(super) struct SignedIn {
    user: Arc<str>,
    /// What is known of the user: JSON, or nothing.
    info: Bytes,
    _membership: Membership,
    /// Its place among the sockets of the user.
    _among: UserSocket,
    _watches: Vec<PresenceWatch>,
}

/// A user, as the application's back end has signed it.
#[derive(Deserialize)]
struct User {
    id: String,
    user_info: Option<Box<RawValue>>,
    #[serde(default)]
    watchlist: Vec<String>,
}

impl SignedIn {
    /// Whether this is the user.
    pub(super) fn is(&self, user: &str) -> bool {
        *self.user == *user
    }

    /// The user as a member of a channel.
    pub(super) fn member(&self) -> Member {
        Member { user: (&*self.user).into(), info: self.info.clone() }
    }
}

/// Reads the data of a user.
fn read(user_data: &str) -> Option<(User, Channel)> {
    let user: User = serde_json::from_str(user_data).ok()?;
    let channel = Channel::of_user(&user.id).ok()?;
    (user.id.len() <= MAX_MEMBER_LEN).then_some((user, channel))
}

impl PusherSession {
    /// Signs the client in.
    pub(super) fn sign_in(&mut self, asked: frame::SignIn, link: &mut dyn Link) -> Next<Self> {
        if self.user.is_some() {
            link.text(frame::error(None, "the connection has signed in already"));
            return Next::Done;
        }
        if let Err(joins) = self.joins.take() {
            link.text(frame::error(None, &joins.to_string()));
            return Next::Done;
        }
        if self.check_user(&asked).is_err() {
            return closed(Close::NotSigned, link);
        }
        let Some((user, channel)) = read(&asked.user_data) else { return closed(Close::BadUser, link) };
        let Some(map) = self.hub().access().known().map(self.app.map).cloned() else {
            return closed(Close::UnknownApp, link);
        };
        let presence = self.hub().presence().clone();
        let socket = self.socket;
        let member = user.id.as_str().into();
        // From now on the socket is found when the user's connections are ended. What it is told waits until
        // the user is a member.
        let among = self.pusher.users.add(self.app.map, &user.id.as_str().into(), self.mailbox.clone());
        Next::Await(Box::pin(async move {
            let joined = presence.join(&map, channel.subject(), member, Bytes::new(), Some(socket)).await;
            let resume: Resume<Self> = Box::new(move |session, link| match joined {
                Ok(membership) => session.signed_in((user, among), &asked.user_data, membership, link),
                Err(PresenceError::Unavailable) => session.end_soon(Close::Unavailable),
                Err(error @ PresenceError::TooFast(_)) => link.text(frame::error(None, &error.to_string())),
                Err(PresenceError::UnknownMap) => session.end_soon(Close::UnknownApp),
                Err(_) => session.end_soon(Close::BadUser),
            });
            resume
        }))
    }

    fn signed_in(
        &mut self,
        (user, among): (User, UserSocket),
        user_data: &str,
        membership: Membership,
        link: &mut dyn Link,
    ) {
        let name: Arc<str> = user.id.into();
        self.subscriber.set_user(name.clone());
        let info = user.user_info.map(|info| info_of(info.get())).unwrap_or_default();
        link.text(frame::signed_in(user_data));
        let watches = if user.watchlist.len() <= MOST_WATCHED {
            self.watch_users(user.watchlist, link)
        } else {
            let message = format!("a watchlist has at most {MOST_WATCHED} users");
            link.text(frame::error(Some(WATCHLIST_LIMIT), &message));
            Vec::new()
        };
        self.user =
            Some(SignedIn { user: name, info, _membership: membership, _among: among, _watches: watches });
    }

    /// Tells the client which of the users are there, and from now on who comes and goes.
    fn watch_users(&self, users: Vec<String>, link: &mut dyn Link) -> Vec<PresenceWatch> {
        let mut watches = Vec::new();
        let mut online = Vec::new();
        for user in BTreeSet::from_iter(users) {
            let Ok(channel) = Channel::of_user(&user) else { continue };
            let mailbox = self.mailbox.clone();
            let told: Arc<str> = user.as_str().into();
            let tell = move |news| {
                let is_online = matches!(news, PresenceNews::Joined(_));
                mailbox.send(Note::Watched { user: told.clone(), is_online });
            };
            let (members, watch) = self.hub().presence().watch(self.app.map, channel.subject(), tell);
            watches.push(watch);
            if !members.is_empty() {
                online.push(user);
            }
        }
        if !online.is_empty() {
            let users: Vec<&str> = online.iter().map(String::as_str).collect();
            link.text(frame::watchlist(true, &users));
        }
        watches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_an_id_and_perhaps_a_watchlist() {
        let read = |data: &str| read(data).map(|(user, _)| (user.id, user.watchlist));
        assert_eq!(read(r#"{"id":"7","user_info":{"name":"Ada"}}"#), Some(("7".to_owned(), vec![])));
        let watching = read(r#"{"id":"a|b","watchlist":["8","9"]}"#);
        assert_eq!(watching, Some(("a|b".to_owned(), vec!["8".to_owned(), "9".to_owned()])));
        for bad in [
            "",
            "{}",
            r#"{"id":""}"#,
            r#"{"id":7}"#,
            r#"{"id":"7","watchlist":"8"}"#,
            r#"{"id":"7","watchlist":[8]}"#,
            &format!(r#"{{"id":"{}"}}"#, "u".repeat(MAX_MEMBER_LEN + 1)),
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
