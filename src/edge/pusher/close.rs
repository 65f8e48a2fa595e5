//! Why a connection is refused or ended, and the codes that say it.
//!
//! By Pusher's rules a client does not come back after 4000–4099, comes back a little later after 4100–4199,
//! and at once after 4200–4299.

use crate::delivery::End;

/// Why the protocol refuses or ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// No app has the key.
    UnknownApp,
    /// The app has as many connections as it may have.
    OverQuota,
    /// There is nothing at the path.
    UnknownPath,
    /// The version of the protocol is not a number.
    BadVersion,
    /// The server does not speak the version.
    UnsupportedVersion,
    /// The client names no version.
    NoVersion,
    /// Pages of this origin may not connect to the node.
    Origin,
    /// Pages of this origin may not use the app.
    OriginOfApp,
    /// The application has not signed that the client is the user.
    NotSigned,
    /// What the client says of its user is none.
    BadUser,
    /// The application ended the connections of the user.
    Terminated,
    /// This node, or the address of the client, has as many connections as it may have.
    OverCapacity,
    /// This node was out of reach, and may have missed that the application ended the connections of the
    /// user.
    SignInAgain,
    /// This node can't serve the client now. Another node can, or this one a little later.
    Unavailable,
}

impl Close {
    /// The close code.
    pub(super) fn code(self) -> u16 {
        match self {
            Self::UnknownApp => 4001,
            Self::OverQuota => 4004,
            Self::UnknownPath => 4005,
            Self::BadVersion => 4006,
            Self::UnsupportedVersion => 4007,
            Self::NoVersion => 4008,
            Self::Origin | Self::OriginOfApp | Self::NotSigned | Self::BadUser | Self::Terminated => 4009,
            Self::OverCapacity | Self::Unavailable => 4100,
            Self::SignInAgain => 4200,
        }
    }

    /// A text for people.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::UnknownApp => "no app has this key",
            Self::OverQuota => "the app has as many connections as it may have",
            Self::UnknownPath => "there is nothing at this path; clients connect at /app/KEY",
            Self::BadVersion => "the protocol's version must be a number, as in protocol=7",
            Self::UnsupportedVersion => "the server speaks version 7 of the protocol, and 5 and 6",
            Self::NoVersion => "the protocol's version is missing, as in protocol=7",
            Self::Origin => {
                "pages of this origin may not connect: the setting limits.origins does not have it"
            }
            Self::OriginOfApp => {
                "pages of this origin may not connect: `origins` of the app does not allow it"
            }
            Self::NotSigned => {
                "the back end has not signed this user: compare its key and its secret with those of the app"
            }
            Self::BadUser => {
                "user_data must be JSON with an id of 1 to 128 bytes, and a watchlist in it must be a list of ids"
            }
            Self::Terminated => "the application ended the connection",
            Self::SignInAgain => "the node was out of reach of the cluster; connect and sign in again",
            Self::OverCapacity => "there are too many connections; try again later",
            Self::Unavailable => "this node can't serve clients now; try again",
        }
    }
}

/// The code and the text with which the server ends a session.
pub(super) fn of_end(end: End) -> (u16, &'static str) {
    let code = match end {
        End::Drain | End::CutOff | End::Rules | End::Failed | End::Closed => 4200,
        End::TooSlow | End::Gap | End::FellOut | End::Flood => 4100,
        // The app may have other keys.
        End::Revoked => return (4001, "the key was deleted"),
        End::Idle => return (4201, "no sign of life came in time"),
        End::Unused => 4202,
    };
    (code, end.reason())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The most bytes of text that a close frame has room for.
    const MOST_OF_REASON: usize = 123;

    /// What a client of Pusher does after a close code.
    fn action(code: u16) -> &'static str {
        match code {
            4001..=4099 => "stays away",
            4100..=4199 => "comes back later",
            4200..=4299 => "comes back at once",
            _ => "unknown",
        }
    }

    #[test]
    fn clients_come_back_where_that_helps() {
        use Close::*;
        let finals = [
            UnknownApp,
            OverQuota,
            UnknownPath,
            BadVersion,
            UnsupportedVersion,
            NoVersion,
            Origin,
            OriginOfApp,
            NotSigned,
            BadUser,
            Terminated,
        ];
        let later = [OverCapacity, Unavailable];
        for close in finals {
            assert_eq!(action(close.code()), "stays away", "{close:?}");
        }
        for close in later {
            assert_eq!(action(close.code()), "comes back later", "{close:?}");
        }
        assert_eq!(action(SignInAgain.code()), "comes back at once");
        for close in finals.into_iter().chain(later).chain([SignInAgain]) {
            assert!(close.message().len() <= MOST_OF_REASON, "{close:?}");
        }
        for (end, expected) in [
            (End::Drain, "comes back at once"),
            (End::CutOff, "comes back at once"),
            (End::Rules, "comes back at once"),
            (End::Failed, "comes back at once"),
            (End::Closed, "comes back at once"),
            (End::Idle, "comes back at once"),
            (End::Unused, "comes back at once"),
            (End::TooSlow, "comes back later"),
            (End::Gap, "comes back later"),
            (End::FellOut, "comes back later"),
            (End::Flood, "comes back later"),
            (End::Revoked, "stays away"),
        ] {
            let (code, reason) = of_end(end);
            assert_eq!(action(code), expected, "{end:?}");
            assert!(reason.len() <= MOST_OF_REASON, "{reason}");
        }
        assert_eq!(of_end(End::Revoked), (4001, "the key was deleted"));
    }
}
