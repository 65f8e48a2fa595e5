//! The state of the Pusher protocol on a node: its settings, and the sockets that others on the node find.

use super::close::Close;
use super::counts::Counts;
use super::note::Note;
use super::settings::Settings;
use super::sockets::AppSockets;
use crate::core::ids::MapId;
use crate::delivery::Mailbox;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state that all workers share.
pub(super) struct Pusher {
    pub(super) settings: Settings,
    /// The sockets of signed-in users.
    pub(super) users: Arc<Users>,
    /// The channels whose subscribers are told how many they are.
    pub(super) counts: Arc<Counts>,
    /// The sockets by app.
    pub(super) sockets: Arc<AppSockets>,
}

impl Pusher {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, users: Arc::default(), counts: Arc::default(), sockets: Arc::default() }
    }

    /// Ends the connections of a signed-in user on this node. Returns how many there are.
    pub(super) fn terminate(&self, map: MapId, user: &str) -> usize {
        self.users.tell(map, user, || Note::End(Close::Terminated))
    }

    /// Has all signed-in users sign in again, so that the back end decides again who they are.
    pub(super) fn sign_in_again(&self) {
        self.users.tell_all(|| Note::End(Close::SignInAgain));
    }
}

/// The mailboxes of users' sockets, by map and user.
type Mailboxes = FxHashMap<(MapId, Arc<str>), Slab<Mailbox<Note>>>;

/// The sockets of signed-in users.
#[derive(Default)]
pub(super) struct Users(Mutex<Mailboxes>);

/// A socket is among those of a user until this is dropped.
pub(super) struct UserSocket {
    users: Arc<Users>,
    user: (MapId, Arc<str>),
    place: usize,
}

impl Users {
    fn lock(&self) -> MutexGuard<'_, Mailboxes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the socket with that mailbox.
    pub(super) fn add(self: &Arc<Self>, map: MapId, user: &Arc<str>, mailbox: Mailbox<Note>) -> UserSocket {
        let user = (map, user.clone());
        let place = self.lock().entry(user.clone()).or_default().insert(mailbox);
        UserSocket { users: self.clone(), user, place }
    }

    /// Tells each socket of a user. Returns how many there are.
    fn tell(&self, map: MapId, user: &str, note: impl Fn() -> Note) -> usize {
        let users = self.lock();
        let Some(sockets) = users.get(&(map, Arc::from(user))) else { return 0 };
        sockets.iter().for_each(|(_, mailbox)| mailbox.send(note()));
        sockets.len()
    }

    /// Tells each socket of every user.
    fn tell_all(&self, note: impl Fn() -> Note) {
        let users = self.lock();
        users.values().flatten().for_each(|(_, mailbox)| mailbox.send(note()));
    }
}

impl Drop for UserSocket {
    fn drop(&mut self) {
        let mut users = self.users.lock();
        if let Some(sockets) = users.get_mut(&self.user) {
            sockets.try_remove(self.place);
            if sockets.is_empty() {
                users.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_told_at_each_socket_and_forgotten_with_the_last() {
        let users = Arc::new(Users::default());
        let (map, other) = (MapId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
        let ada: Arc<str> = "ada".into();
        let sockets = [map, map, other].map(|map| users.add(map, &ada, Mailbox::new()));
        let tell = |map, user| users.tell(map, user, || Note::End(Close::Terminated));
        assert_eq!((tell(map, "ada"), tell(other, "ada"), tell(map, "bob")), (2, 1, 0));
        let all = std::cell::Cell::new(0);
        users.tell_all(|| {
            all.set(all.get() + 1);
            Note::End(Close::SignInAgain)
        });
        assert_eq!(all.get(), 3);
        drop(sockets);
        assert_eq!(tell(map, "ada"), 0);
        assert!(users.lock().is_empty());
    }
}
