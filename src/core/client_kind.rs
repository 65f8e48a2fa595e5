//! Which types of events a client may publish.

use super::event::is_kind;

/// Types that protocols use for messages of the server on the channels of a subject.
const OF_SERVER: [&str; 3] = ["position", "presence_state", "presence_diff"];
/// Prefixes of such types.
const PREFIXES_OF_SERVER: [&str; 3] = ["pusher:", "pusher_internal:", "waypost:"];

/// Returns whether a client may publish events of this type to the other clients of a subject. They take an
/// event of another type for a message of the server.
pub fn is_client_kind(kind: &str) -> bool {
    is_kind(kind)
        && !OF_SERVER.contains(&kind)
        && !PREFIXES_OF_SERVER.iter().any(|prefix| kind.starts_with(prefix))
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
            "pusher:error",
            "pusher_internal:member_added",
            "waypost:gap",
        ] {
            assert!(!is_client_kind(bad), "{bad}");
        }
    }
}
