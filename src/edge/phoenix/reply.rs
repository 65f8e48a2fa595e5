//! How Phoenix reports the result of a join or push, and a refusal: a reply's response, and a long poll's
//! status.

use crate::core::ids::EventId;
use crate::core::limits::LimitName;
use crate::edge::error::ApiError;
use crate::edge::refused::{FAILURES, LONG_TOKEN, Quota, Refused};
use crate::hub::{Placed, PresenceError};
use serde_json::{Value, json};

/// Why a join failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotJoined {
    /// The client got no subscription.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Its user did not become a member.
    #[error(transparent)]
    Presence(#[from] PresenceError),
    /// The token may not say which user the client is.
    #[error(
        "the token lacks the scope presence, so it can name no user; with presence: true it sees the members"
    )]
    User,
}

/// The response of a join: where to resume, the map's newest position, how many stored events will come, and
/// whether history is gone, with the oldest event that is left.
pub(super) fn joined(
    before: EventId,
    head_seq: u64,
    coming: Option<u64>,
    gap: Option<Option<EventId>>,
) -> Value {
    let mut response = json!({
        "last_event_id": before.to_string(),
        "last_seq": head_seq,
        "backfill": coming,
        "gap": gap.is_some(),
    });
    if let Some(oldest) = gap {
        response["oldest_id"] = oldest.map(|id| id.to_string()).into();
    }
    response
}

/// The response of a push that was published. An ephemeral event has no seq.
pub(super) fn published(placed: &Placed) -> Value {
    let mut response = json!({"id": placed.id.to_string()});
    if let Some(seq) = placed.seq {
        response["seq"] = seq.into();
    }
    response
}

/// The response of a push that was not published: the error as it is over HTTP, with its code as the reason.
pub(super) fn unpublished(error: &ApiError) -> Value {
    let mut response = error.body();
    if let Some(code) = response["error"].as_str() {
        response["reason"] = code.replace('_', " ").into();
    }
    response
}

/// The response of a join that failed.
pub(super) fn not_joined(why: &NotJoined) -> Value {
    let error = match why {
        NotJoined::Refused(why) => return refused(why),
        NotJoined::User => return response("forbidden", &why.to_string()),
        NotJoined::Presence(error) => error,
    };
    let message = error.to_string();
    match error {
        PresenceError::Full { limit } => {
            json!({"reason": "too many members", "message": message, "limit": limit})
        }
        PresenceError::Name | PresenceError::Info => response("invalid presence", &message),
        PresenceError::TooFast(joins) => refused(&Quota::ChannelJoins(*joins).into()),
        PresenceError::UnknownMap => refused(&Refused::NotFound),
        PresenceError::Unavailable => response("unavailable", &message),
    }
}

/// The response of a refused join.
pub(super) fn refused(refused: &Refused) -> Value {
    match refused {
        // An unknown map and one that the token doesn't open look the same.
        Refused::NoToken
        | Refused::Unauthorized
        | Refused::Forbidden(_)
        | Refused::NotOfLink(_)
        | Refused::NotFound
        | Refused::Origin => response("unauthorized", "there is no such map, or the token doesn't open it"),
        Refused::Parameter(bad) => response(&format!("invalid {}", bad.field), &bad.message),
        Refused::LongToken { most_s } => {
            of_limit("unauthorized", &refused.to_string(), (LONG_TOKEN, *most_s))
        }
        Refused::Quota(quota) => of_limit(
            &quota.code().as_str().replace('_', " "),
            &quota.to_string(),
            (quota.name(), quota.limit()),
        ),
        Refused::TooManyFailures { limit, .. } => {
            of_limit("too many failures", &refused.to_string(), (FAILURES, (*limit).into()))
        }
        Refused::Unavailable(why) => response("unavailable", &why.to_string()),
    }
}

/// A response that names a limit, and the command that raises it.
pub(super) fn of_limit(reason: &str, message: &str, (name, limit): (LimitName, u64)) -> Value {
    let mut response = response(reason, message);
    response["limit"] = limit.into();
    if let Some(setting) = name.setting() {
        response["setting"] = setting.into();
    }
    if let Some(of_map) = name.of_map() {
        response["map_limit"] = of_map.into();
    }
    if let Some(command) = name.raise() {
        response["raise"] = command.into();
    }
    response
}

/// A response with a reason and a message.
pub(super) fn response(reason: &str, message: &str) -> Value {
    json!({"reason": reason, "message": message})
}

/// The status in a long poll's answer. Clients take 403 as final, and come back after 500.
pub(super) fn status(refused: &Refused) -> u16 {
    if refused.retry_ms().is_some() { 500 } else { 403 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::access::Scopes;
    use crate::core::error_code::Code;
    use crate::edge::given::BadParameter;
    use crate::edge::refused::Unavailable;
    use crate::hub::{HubError, TooManyChannelJoins, TooManyConditions};

    #[test]
    fn golden_refusals() {
        let parameter =
            BadParameter::new("since", Code::InvalidSince, "since must be a time").hint("for people");
        let lost = HubError::Unavailable("no leader with a majority");
        for (refusal, told, polled) in [
            (
                Refused::Parameter(parameter),
                json!({"reason": "invalid since", "message": "since must be a time"}),
                403,
            ),
            (
                Quota::Connections { limit: 10 }.into(),
                json!({
                    "reason": "too many connections",
                    "message": "the map has as many sockets as it may have",
                    "limit": 10,
                    "setting": "limits.map_connections",
                    "map_limit": "connections",
                    "raise": "waypost map update MAP --connections N",
                }),
                500,
            ),
            (
                Quota::Filters(TooManyConditions(2)).into(),
                json!({
                    "reason": "too many filters",
                    "message": "the map's subscribers have 2 different filters on this node, the most there may be",
                    "limit": 2,
                    "setting": "limits.expressions_per_topic",
                    "raise": "waypost serve --limits-expressions-per-topic N",
                }),
                500,
            ),
            (
                lost.into(),
                json!({
                    "reason": "unavailable",
                    "message": "the cluster can't take this now: no leader with a majority",
                }),
                500,
            ),
            (
                Unavailable::Draining.into(),
                json!({"reason": "unavailable", "message": "this node is going away"}),
                500,
            ),
        ] {
            assert_eq!((refused(&refusal), status(&refusal)), (told, polled));
        }
    }

    #[test]
    fn golden_answers_to_pushes() {
        let id = EventId::new(1_750_509_296_789, 7, 3);
        let durable = published(&Placed { id, seq: Some(9) });
        assert_eq!(durable, json!({"id": "01JY97R74N0000000000070003", "seq": 9}));
        assert_eq!(published(&Placed { id, seq: None }), json!({"id": "01JY97R74N0000000000070003"}));
        let error = ApiError::bad_request(Code::TooDeep, "nested deeper than 3 levels");
        let told = json!({
            "reason": "too deep",
            "error": "too_deep",
            "code": "too_deep",
            "message": "nested deeper than 3 levels",
            "status": 400,
        });
        assert_eq!(unpublished(&error), told);
    }

    #[test]
    fn golden_refusals_of_presence() {
        for (error, told) in [
            (
                PresenceError::Full { limit: 3 },
                json!({
                    "reason": "too many members",
                    "message": "the channel has 3 members, as many as it may have; the limit is `members_max` of the channel rule",
                    "limit": 3,
                }),
            ),
            (
                PresenceError::Unavailable,
                json!({"reason": "unavailable", "message": "the cluster does not answer"}),
            ),
            (
                TooManyChannelJoins { limit: 3, wait_ms: 1000 }.into(),
                json!({
                    "reason": "too many channel joins",
                    "message": "clients join 3 channels of the map in a minute on this node, as many as they may",
                    "limit": 3,
                    "setting": "limits.channel_joins_per_minute",
                    "raise": "waypost serve --limits-channel-joins-per-minute N",
                }),
            ),
            (PresenceError::UnknownMap, refused(&Refused::NotFound)),
        ] {
            assert_eq!(not_joined(&error.into()), told);
        }
        let user = not_joined(&NotJoined::User);
        assert_eq!(user["reason"], "forbidden");
        assert!(user["message"].as_str().is_some_and(|message| message.contains("scope presence")), "{user}");
    }

    #[test]
    fn a_foreign_map_looks_like_an_unknown_one() {
        let unknown = refused(&Refused::NotFound);
        assert_eq!(unknown["reason"], "unauthorized");
        for refusal in [Refused::Forbidden(Scopes::SUBSCRIBE), Refused::NoToken, Refused::Unauthorized] {
            assert_eq!((refused(&refusal), status(&refusal)), (unknown.clone(), 403));
        }
    }
}
