//! Why a request of the command line failed, and what a caller may do then.

use std::time::Duration;

/// Why a request failed. The texts are for people.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// There is no connection, or it broke.
    #[error(
        "cannot reach {url}: {reason}; is waypost running there? (`waypost dev` or `waypost serve` starts it, --url names another)"
    )]
    Unreachable {
        /// The node's address.
        url: String,
        /// The reason as a text.
        reason: String,
        /// Whether nothing of the request was sent.
        unsent: bool,
    },
    /// The node answered with an error.
    #[error("{message} [{status} {code}]{}", hint_line(.hint.as_deref()))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable error code.
        code: String,
        /// What happened.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// The index of the refused event in its batch.
        index: Option<usize>,
        /// How many events of the request were stored before it.
        stored: Option<usize>,
        /// The wait that the node asks for, in seconds.
        retry_after: Option<u64>,
    },
    /// The answer is not one of Waypost's.
    #[error("{url} answered something that is not from waypost: {what}")]
    Foreign {
        /// The address that answered.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
}

fn hint_line(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"))
}

impl ClientError {
    /// Whether the request may succeed a little later, or at another node.
    pub(in crate::cli) fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::Foreign { .. } => false,
        }
    }

    /// Whether a node answered.
    pub(in crate::cli) fn is_answer(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether a limit of the map or token refused the request, and will let it pass later.
    pub(in crate::cli) fn is_limit(&self) -> bool {
        matches!(self, Self::Refused { status: 429, .. })
    }

    /// The wait that the node asked for.
    pub(in crate::cli) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => retry_after.map(Duration::from_secs),
            _ => None,
        }
    }

    /// Whether nothing of the request was sent.
    pub(super) fn unsent(&self) -> bool {
        matches!(self, Self::Unreachable { unsent: true, .. })
    }
}
