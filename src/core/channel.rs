//! Channels: the names under which a map's subjects appear in the Pusher protocol, and what a name's prefix
//! says about a subject.
//!
//! A channel's name is its subject, with one exception: the id of a user in `#server-to-user-{id}` may have
//! characters that no subject has. They are escaped in the subject.

use super::subject::{MAX_SUBJECT_LEN, Subject};
use std::fmt::Write;

/// The longest name of a channel (bytes).
pub const MAX_CHANNEL_LEN: usize = 200;
/// The prefix of the channels that carry the events of one user.
pub const SERVER_TO_USER: &str = "#server-to-user-";

/// Who may join a channel, and what its members may do. A subject's name alone decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Everybody may join.
    Public,
    /// `private-`: the application signs each join.
    Private,
    /// `presence-`: as private, and each member sees the others.
    Presence,
    /// `private-encrypted-`: as private. The clients encrypt the payloads, so they publish nothing.
    Encrypted,
    /// `#server-to-user-`: the events of one user, who joins by signing in.
    ServerToUser,
}

/// What a subject's prefix says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Its kind.
    pub kind: Kind,
    /// Whether a client that joins gets the last event.
    pub is_cache: bool,
}

/// Every prefix. A longer prefix stands before those that it begins with.
const PREFIXES: [(&str, Prefix); 8] = [
    ("private-encrypted-cache-", Prefix { kind: Kind::Encrypted, is_cache: true }),
    ("private-encrypted-", Prefix { kind: Kind::Encrypted, is_cache: false }),
    ("private-cache-", Prefix { kind: Kind::Private, is_cache: true }),
    ("private-", Prefix { kind: Kind::Private, is_cache: false }),
    ("presence-cache-", Prefix { kind: Kind::Presence, is_cache: true }),
    ("presence-", Prefix { kind: Kind::Presence, is_cache: false }),
    ("cache-", Prefix { kind: Kind::Public, is_cache: true }),
    (SERVER_TO_USER, Prefix { kind: Kind::ServerToUser, is_cache: false }),
];

impl Prefix {
    /// Returns what the subject's prefix says; `None` if it has none of the prefixes.
    pub fn of(subject: &str) -> Option<Self> {
        PREFIXES.iter().find(|(prefix, _)| subject.starts_with(prefix)).map(|(_, found)| *found)
    }

    /// Returns whether a subject that begins with `start` can have one of the prefixes.
    pub fn may_follow(start: &str) -> bool {
        PREFIXES.iter().any(|(prefix, _)| prefix.starts_with(start) || start.starts_with(prefix))
    }
}

impl Kind {
    /// Returns the kind of a subject.
    pub fn of(subject: &str) -> Self {
        Prefix::of(subject).map_or(Self::Public, |prefix| prefix.kind)
    }

    /// Returns whether a join needs the application's signature.
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Private | Self::Presence | Self::Encrypted)
    }
}

/// A channel: its name, and the subject that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    subject: Subject,
    prefix: Option<Prefix>,
    /// The name, where it differs from the subject.
    name: Option<Box<str>>,
}

/// Why a text is not the name of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// No character, or too many.
    #[error("the name of a channel has 1 to {MAX_CHANNEL_LEN} bytes")]
    Length,
    /// A character that channels cannot contain.
    #[error("the name of a channel consists of A-Z a-z 0-9 _ - = @ , . ;")]
    Character,
}

impl Channel {
    /// Parses the name of a channel.
    pub fn parse(name: &str) -> Result<Self, ChannelError> {
        if name.is_empty() || name.len() > MAX_CHANNEL_LEN {
            return Err(ChannelError::Length);
        }
        if let Some(user) = name.strip_prefix(SERVER_TO_USER) {
            return Self::of_user(user);
        }
        if !name.bytes().all(is_channel_byte) {
            return Err(ChannelError::Character);
        }
        let subject = Subject::parse(name).map_err(|_| ChannelError::Character)?;
        Ok(Self { subject, prefix: Prefix::of(name), name: None })
    }

    /// Returns the channel that carries the events of the user with that id.
    pub fn of_user(id: &str) -> Result<Self, ChannelError> {
        if id.is_empty() {
            return Err(ChannelError::Length);
        }
        let escaped = format!("{SERVER_TO_USER}{}", escape(id));
        if escaped.len() > MAX_SUBJECT_LEN {
            return Err(ChannelError::Length);
        }
        let subject = Subject::parse(&escaped).map_err(|_| ChannelError::Character)?;
        let name = format!("{SERVER_TO_USER}{id}");
        let name = (name != escaped).then(|| name.into_boxed_str());
        Ok(Self { prefix: Prefix::of(&escaped), subject, name })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.subject.as_str())
    }

    /// Returns the subject that it stands for.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Returns its kind.
    pub fn kind(&self) -> Kind {
        self.prefix.map_or(Kind::Public, |prefix| prefix.kind)
    }

    /// Returns whether a client that joins gets the last event.
    pub fn is_cache(&self) -> bool {
        self.prefix.is_some_and(|prefix| prefix.is_cache)
    }

    /// Returns the id of the user whose events it carries.
    pub fn user(&self) -> Option<&str> {
        self.name().strip_prefix(SERVER_TO_USER)
    }
}

fn is_channel_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte)
}

/// Writes an id with a channel's bytes, `=` aside. Each other byte becomes `=` and two hexadecimal digits.
fn escape(id: &str) -> String {
    let mut escaped = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte != b'=' && is_channel_byte(byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "={byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_prefix_at_the_beginning_decides() {
        for (name, kind, is_cache) in [
            ("orders", Kind::Public, false),
            ("cache-orders", Kind::Public, true),
            ("private-orders", Kind::Private, false),
            ("private-cache-orders", Kind::Private, true),
            ("private-encrypted-orders", Kind::Encrypted, false),
            ("private-encrypted-cache-orders", Kind::Encrypted, true),
            ("presence-orders", Kind::Presence, false),
            ("presence-cache-orders", Kind::Presence, true),
            ("#server-to-user-7", Kind::ServerToUser, false),
            ("my-cache-orders", Kind::Public, false),
            ("private", Kind::Public, false),
            ("not-private-cache-orders", Kind::Public, false),
            ("private-my-cache-orders", Kind::Private, false),
            ("private-encrypted", Kind::Private, false),
            ("Private-orders", Kind::Public, false),
        ] {
            let channel = Channel::parse(name).unwrap();
            assert_eq!((channel.kind(), channel.is_cache()), (kind, is_cache), "{name}");
            assert_eq!((channel.name(), channel.subject().as_str()), (name, name));
            assert_eq!(Kind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn names_are_short_and_have_few_characters() {
        assert!(Channel::parse("aZ09_-=@,.;").is_ok() && Channel::parse(&"a".repeat(200)).is_ok());
        for bad in ["", &"a".repeat(201), "#server-to-user-", &format!("#server-to-user-{}", "a".repeat(185))]
        {
            assert_eq!(Channel::parse(bad), Err(ChannelError::Length), "{bad}");
        }
        for bad in ["a b", "a:b", "a/b", "#a", "$sys", "ä", "a*", "a\n"] {
            assert_eq!(Channel::parse(bad), Err(ChannelError::Character), "{bad}");
        }
    }

    #[test]
    fn every_id_of_a_user_has_a_subject_of_its_own() {
        let channel = Channel::parse("#server-to-user-google|7=a b").unwrap();
        assert_eq!(channel.subject().as_str(), "#server-to-user-google=7C7=3Da=20b");
        assert_eq!((channel.user(), channel.kind()), (Some("google|7=a b"), Kind::ServerToUser));
        assert_eq!(channel, Channel::of_user("google|7=a b").unwrap());
        let ids = ["a", "=61", "A", "a|", "a=7C", "a=7c", "ä", "a/b", "a:b", "7"];
        let subjects: BTreeSet<Subject> =
            ids.iter().map(|id| Channel::of_user(id).unwrap().subject().clone()).collect();
        assert_eq!(subjects.len(), ids.len());
        assert_eq!(Channel::parse("orders").unwrap().user(), None);
    }

    #[test]
    fn a_start_that_can_become_a_prefix_is_recognised() {
        for start in ["", "p", "private-", "private-a", "cache-x", "#", "presence-ca"] {
            assert!(Prefix::may_follow(start), "{start}");
        }
        for start in ["a", "orders-", "privat_", "cash", "session:"] {
            assert!(!Prefix::may_follow(start), "{start}");
        }
    }
}
