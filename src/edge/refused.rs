//! Why a client is not let in, or gets no subscription. This module holds the facts; each protocol renders
//! them in its own form.

use super::error::ApiError;
use super::given::BadParameter;
use super::joins::TooManyClientJoins;
use super::sessions::{MOST_LONG_POLLS, TooManySessions};
use crate::core::access::Scopes;
use crate::core::console::LinkScopes;
use crate::core::error_code::Code;
use crate::core::limits::{Limit, LimitName};
use crate::core::text::counted;
use crate::hub::{
    ArchiveError, Hub, HubError, ResumeError, TooManyChannelJoins, TooManyConditions, TooManyJoins,
    TooManyPatterns,
};
use actix_web::http::StatusCode;

/// The limit of refused tokens from one address.
pub const FAILURES: LimitName = LimitName::Setting("limits.auth_failures_per_minute");

/// The limit of the lifetime of client tokens.
pub const LONG_TOKEN: LimitName = LimitName::Setting("limits.client_token_max_seconds");

/// What is wrong with a token that came, and what helps. A stranger does not learn which of these it is.
pub const NOT_VALID: &str = "the token is not one of this cluster, or it has ended or was revoked; \
                             `waypost token create MAP` makes one for a map";

/// Why a client is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// It has no token.
    #[error("a valid token is needed")]
    NoToken,
    /// Its token is unknown, has ended or was revoked.
    #[error("a valid token is needed")]
    Unauthorized,
    /// An issuer has signed its client token, and the token lives longer than such tokens may.
    #[error("the token lives longer than the {most_s} s that client tokens may live, from iat to exp")]
    LongToken {
        /// The longest lifetime in seconds.
        most_s: u64,
    },
    /// The origin of its page may not connect.
    #[error("this origin may not connect")]
    Origin,
    /// The token opens the map, but lacks this scope.
    #[error("the token lacks the scope {}", .0.names().join(", "))]
    Forbidden(Scopes),
    /// The portal link does not open this; or it lacks the scope, if one is named.
    #[error("{}", of_link(.0))]
    NotOfLink(Option<LinkScopes>),
    /// There is no such map, or the token belongs to another map. The answer does not say which.
    #[error("the map was not found")]
    NotFound,
    /// A parameter makes no sense.
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    /// A limit is reached.
    #[error("{0}")]
    Quota(Quota),
    /// Too many tokens from the client's address were refused.
    #[error("too many refused tokens from this address")]
    TooManyFailures {
        /// The limit.
        limit: u32,
        /// Milliseconds until the next token is checked.
        wait_ms: u64,
    },
    /// The client did nothing wrong, and nothing was changed. Another node can serve it, or this node a
    /// little later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Quota {
    /// Connections to a map in the cluster.
    #[error("the map has as many sockets as it may have")]
    Connections {
        /// The limit.
        limit: u32,
    },
    /// Sockets that a token joins to a map in a minute on this node.
    #[error(
        "the token has joined the map {} in a minute on this node, as often as it may",
        counted(.0.limit, "time", "times")
    )]
    Joins(TooManyJoins),
    /// Joins of the channels of a map in a minute on this node.
    #[error(transparent)]
    ChannelJoins(#[from] TooManyChannelJoins),
    /// Joins of one client in a second.
    #[error(transparent)]
    ClientJoins(#[from] TooManyClientJoins),
    /// Different expressions of a map's subscribers on this node.
    #[error(transparent)]
    Filters(TooManyConditions),
    /// Different patterns of subjects of a map's subscribers on this node.
    #[error(transparent)]
    Patterns(TooManyPatterns),
    /// Sessions of a token, or of its map, on this node.
    #[error(transparent)]
    Sessions(TooManySessions),
    /// Sockets of one address on this node.
    #[error(
        "this address has {}, the most it may have",
        counted(*.limit, "open socket", "open sockets")
    )]
    Sockets {
        /// The limit.
        limit: usize,
    },
}

/// Why this node can't serve a client now.
#[derive(Debug, thiserror::Error)]
pub enum Unavailable {
    /// The node drains.
    #[error("this node is going away")]
    Draining,
    /// The node has not reached a majority for long, and other nodes may have one.
    #[error("this node is cut off from the cluster; connect to another node")]
    CutOff,
    /// All client connections of the node are in use.
    #[error("the node has as many client connections as it may have")]
    Crowded {
        /// The limit. It is less than the setting if the process may open too few files.
        limit: usize,
    },
    /// The node holds as many long-poll sessions as it takes.
    #[error("this node has {MOST_LONG_POLLS} long polls, as many as it takes")]
    Full,
    /// The node has not got the cluster's key yet, by which nodes know each other's sessions.
    #[error("this node does not have the cluster's key yet")]
    NoKey,
    /// The node is no member any more, and can't know which tokens were revoked.
    #[error("this node is no member of the cluster, which goes on without it")]
    Removed,
    /// A topic did not start in time.
    #[error("this node is busy; try again")]
    Slow,
    /// The map's channel rules changed while the subscription was opened.
    #[error("the map's channel rules changed meanwhile; try again")]
    RulesChanged,
    /// The cluster did not answer.
    #[error(transparent)]
    Cluster(HubError),
    /// The node has not caught up with the position that the client has seen, or it can't read its store.
    #[error(transparent)]
    Behind(ResumeError),
}

impl Unavailable {
    /// Why this node takes no new clients, if it takes none.
    pub fn of_node(hub: &Hub) -> Option<Self> {
        if hub.health().is_draining() {
            Some(Self::Draining)
        } else if hub.health().is_cut_off() {
            Some(Self::CutOff)
        } else {
            None
        }
    }
}

impl Refused {
    /// Milliseconds after which the client may try again. `None` if another try would fail in the same way.
    pub fn retry_ms(&self) -> Option<u64> {
        match self {
            Self::Quota(quota) => Some(quota.retry_ms()),
            Self::TooManyFailures { wait_ms, .. } => Some(*wait_ms),
            Self::Unavailable(_) => Some(1000),
            Self::NoToken
            | Self::Unauthorized
            | Self::LongToken { .. }
            | Self::Origin
            | Self::Forbidden(_)
            | Self::NotOfLink(_)
            | Self::NotFound
            | Self::Parameter(_) => None,
        }
    }
}

impl Quota {
    /// A stable name of the limit.
    pub fn code(&self) -> Code {
        match self {
            Self::Connections { .. } => Code::TooManyConnections,
            Self::Joins(_) => Code::TooManyJoins,
            Self::ChannelJoins(_) => Code::TooManyChannelJoins,
            Self::ClientJoins(_) => Code::TooManyClientJoins,
            Self::Filters(_) => Code::TooManyFilters,
            Self::Patterns(_) => Code::TooManyPatterns,
            Self::Sessions(_) => Code::TooManySessions,
            Self::Sockets { .. } => Code::TooManySockets,
        }
    }

    /// The limit.
    pub fn limit(&self) -> u64 {
        match self {
            Self::Connections { limit }
            | Self::Joins(TooManyJoins { limit, .. })
            | Self::ChannelJoins(TooManyChannelJoins { limit, .. })
            | Self::ClientJoins(TooManyClientJoins { limit, .. }) => (*limit).into(),
            Self::Filters(TooManyConditions(limit))
            | Self::Patterns(TooManyPatterns(limit))
            | Self::Sockets { limit } => *limit as u64,
            Self::Sessions(sessions) => sessions.limit() as u64,
        }
    }

    /// The name of the limit.
    pub fn name(&self) -> LimitName {
        match self {
            Self::Connections { .. } => LimitName::OfMap(&Limit::CONNECTIONS),
            Self::Joins(_) => LimitName::OfMap(&Limit::JOINS_PER_MINUTE),
            Self::ChannelJoins(_) => LimitName::Setting("limits.channel_joins_per_minute"),
            Self::ClientJoins(_) => LimitName::Setting("session.joins_per_second"),
            Self::Filters(_) | Self::Patterns(_) => LimitName::Setting("limits.expressions_per_topic"),
            Self::Sessions(sessions) => sessions.name(),
            Self::Sockets { .. } => LimitName::Setting("limits.sockets_per_address"),
        }
    }

    fn retry_ms(&self) -> u64 {
        match self {
            Self::Joins(TooManyJoins { wait_ms, .. })
            | Self::ChannelJoins(TooManyChannelJoins { wait_ms, .. })
            | Self::ClientJoins(TooManyClientJoins { wait_ms, .. }) => *wait_ms,
            Self::Connections { .. } | Self::Filters(_) | Self::Patterns(_) | Self::Sessions(_) => 5000,
            Self::Sockets { .. } => 1000,
        }
    }
}

/// What a portal link does not open, in words.
fn of_link(lacks: &Option<LinkScopes>) -> String {
    match lacks {
        Some(scope) => format!("the portal link lacks the scope {}", scope.names().join(", ")),
        None => "a portal link does not open this".to_owned(),
    }
}

impl From<Quota> for Refused {
    fn from(quota: Quota) -> Self {
        Self::Quota(quota)
    }
}

impl From<HubError> for Refused {
    fn from(error: HubError) -> Self {
        Unavailable::Cluster(error).into()
    }
}

impl From<ResumeError> for Refused {
    fn from(error: ResumeError) -> Self {
        Unavailable::Behind(error).into()
    }
}

impl From<ArchiveError> for Refused {
    fn from(error: ArchiveError) -> Self {
        ResumeError::from(error).into()
    }
}

/// The form in which HTTP shows a refusal.
impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::NoToken => Self::unauthorized("send it as: Authorization: Bearer <token>"),
            Refused::Unauthorized => Self::unauthorized(NOT_VALID),
            Refused::LongToken { most_s } => long_token(StatusCode::UNAUTHORIZED, most_s),
            Refused::Origin | Refused::Forbidden(_) | Refused::NotOfLink(_) => Self::forbidden(message),
            Refused::NotFound => Self::not_found("the map"),
            Refused::Parameter(bad) => bad.into(),
            Refused::Quota(quota) => {
                Self::too_fast(quota.code(), message, quota.retry_ms()).of_limit(quota.name(), quota.limit())
            }
            Refused::TooManyFailures { limit, wait_ms } => {
                Self::too_fast(Code::TooManyFailures, message, wait_ms).of_limit(FAILURES, limit.into())
            }
            Refused::Unavailable(Unavailable::Crowded { limit }) => {
                Self::unavailable(message).of_limit(LimitName::Setting("limits.sockets"), limit as u64)
            }
            Refused::Unavailable(Unavailable::Full) => {
                Self::unavailable(message).of_limit(LimitName::Fixed, MOST_LONG_POLLS as u64)
            }
            Refused::Unavailable(
                Unavailable::Draining
                | Unavailable::CutOff
                | Unavailable::NoKey
                | Unavailable::Removed
                | Unavailable::Slow
                | Unavailable::RulesChanged,
            ) => Self::unavailable(message),
            Refused::Unavailable(Unavailable::Cluster(error)) => error.into(),
            Refused::Unavailable(Unavailable::Behind(error)) => error.into(),
        }
    }
}

/// The error of a client token that lives too long, with the status of a token that is not valid.
pub fn long_token(status: StatusCode, most_s: u64) -> ApiError {
    ApiError::new(status, Code::Unauthorized, Refused::LongToken { most_s }.to_string())
        .of_limit(LONG_TOKEN, most_s)
}

impl From<BadParameter> for ApiError {
    fn from(bad: BadParameter) -> Self {
        let error = Self::bad_request(bad.code, bad.message);
        match bad.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::http::header::RETRY_AFTER;

    #[test]
    fn only_who_sends_no_token_is_told_how_to_send_it() {
        let hint = |refused: Refused| ApiError::from(refused).body()["hint"].to_string();
        let (none, wrong) = (hint(Refused::NoToken), hint(Refused::Unauthorized));
        assert!(none.contains("Authorization: Bearer"), "{none}");
        assert!(wrong.contains("was revoked") && !wrong.contains("Bearer"), "{wrong}");
    }

    #[test]
    fn over_http_each_has_its_status_and_says_when_to_come_back() {
        let parameter = BadParameter::new("since", Code::InvalidSince, "since must be a time");
        let lost = || HubError::Unavailable("no leader with a majority");
        for (refused, status, code) in [
            (Refused::NoToken, 401, "unauthorized"),
            (Refused::Unauthorized, 401, "unauthorized"),
            (Refused::LongToken { most_s: 3 }, 401, "unauthorized"),
            (Refused::Origin, 403, "forbidden"),
            (Refused::Forbidden(Scopes::SUBSCRIBE), 403, "forbidden"),
            (Refused::NotOfLink(None), 403, "forbidden"),
            (Refused::NotFound, 404, "not_found"),
            (parameter.into(), 400, "invalid_since"),
            (Quota::Connections { limit: 3 }.into(), 429, "too_many_connections"),
            (Quota::Joins(TooManyJoins { limit: 3, wait_ms: 2000 }).into(), 429, "too_many_joins"),
            (
                Quota::from(TooManyChannelJoins { limit: 3, wait_ms: 2000 }).into(),
                429,
                "too_many_channel_joins",
            ),
            (
                Quota::from(TooManyClientJoins { limit: 3, wait_ms: 2000 }).into(),
                429,
                "too_many_client_joins",
            ),
            (Quota::Filters(TooManyConditions(3)).into(), 429, "too_many_filters"),
            (Quota::Patterns(TooManyPatterns(3)).into(), 429, "too_many_patterns"),
            (Quota::Sessions(TooManySessions::OfOwner(3)).into(), 429, "too_many_sessions"),
            (Quota::Sockets { limit: 3 }.into(), 429, "too_many_sockets"),
            (Refused::TooManyFailures { limit: 3, wait_ms: 2000 }, 429, "too_many_failures"),
            (Unavailable::Draining.into(), 503, "unavailable"),
            (Unavailable::CutOff.into(), 503, "unavailable"),
            (Unavailable::Crowded { limit: 3 }.into(), 503, "unavailable"),
            (Unavailable::Full.into(), 503, "unavailable"),
            (Unavailable::NoKey.into(), 503, "unavailable"),
            (Unavailable::Removed.into(), 503, "unavailable"),
            (lost().into(), 503, "unavailable"),
            (ResumeError::Behind(lost()).into(), 503, "unavailable"),
            (ArchiveError::Stopping.into(), 503, "unavailable"),
        ] {
            let message = refused.to_string();
            let retry_ms = refused.retry_ms();
            let error = ApiError::from(refused);
            assert!(error.to_string().starts_with(&format!("{code}: ")), "{error} is not {code}");
            let answer = error.error_response();
            assert_eq!(answer.status().as_u16(), status, "{message}");
            let headers = answer.headers();
            let after = headers.get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
            assert_eq!(after, retry_ms.map(|ms| ms / 1000), "{message}");
        }
    }
}
