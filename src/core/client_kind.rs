//! Which types of events a client may publish.

use super::event::is_kind;
use super::lifecycle::LifecycleKind;

/// Types that protocols use for messages to or from the server on the channels of a subject.
const OF_SERVER: [&str; 4] = ["position", "presence_state", "presence_diff", "access_token"];

/// Returns whether a client may publish events of this type to the other clients of a subject. They take an
/// event of another type for a message of the server; and the receivers of webhooks take one that has the type
/// of a lifecycle event for a fact.
pub fn is_client_kind(kind: &str) -> bool {
    is_kind(kind) && !OF_SERVER.contains(&kind) && LifecycleKind::from_name(kind).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_speaks_for_no_server() {
        for good in ["said", "client-typing", "App\\Events\\X", "presence", "positions", "pusher"] {
            assert!(is_client_kind(good), "{good}");
        }
        for bad in [
            "",
            "phx_close",
            "chan_reply_1",
            "a,b",
            "position",
            "presence_state",
            "presence_diff",
            "access_token",
            "pusher:error",
            "pusher_internal:member_added",
            "waypost:gap",
            "member_removed",
            "channel_occupied",
        ] {
            assert!(!is_client_kind(bad), "{bad}");
        }
    }
}
