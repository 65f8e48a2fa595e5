//! Whether a change of a webhook may let deliveries succeed that failed before it.

use super::Plain;

impl Plain {
    /// Whether its requests differ from those of `old`, in what a receiver takes or refuses them for. Which events
    /// it gets, and how fast, makes no difference.
    pub fn requests_differ_from(&self, old: &Self) -> bool {
        let (new, before) = (&self.webhook, &old.webhook);
        // Target, headers, the secret, and the old secrets that still sign.
        self.private != old.private
            || new.key != before.key
            || new.profile != before.profile
            || new.method != before.method
            || new.template != before.template
            || new.timeout_ms != before.timeout_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ids::{MapId, WebhookId};
    use crate::core::webhook::patch::Patch;
    use crate::core::webhook::{Defaults, Origin, Profile};

    #[test]
    fn what_a_receiver_sees_makes_the_difference() {
        let defaults = Defaults {
            timeout_ms: 10_000,
            retry_attempts: None,
            retry_delay_ms: None,
            auto_disable_seconds: None,
        };
        let ids = (WebhookId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
        let mut old = Plain::new(ids.0, ids.1, Origin::Api, Profile::Pusher, &defaults);
        old.private.previous = vec![("an-old-secret".to_owned(), 9)];
        for (change, differs) in [
            (r#"{"key":"k"}"#, true),
            (r#"{"secret":"another-secret"}"#, true),
            (r#"{"headers":{"X-A":"b"}}"#, true),
            (r#"{"url":"https://example.com/"}"#, true),
            (r#"{"profile":"standard"}"#, true),
            (r#"{"method":"PUT"}"#, true),
            (r#"{"timeout_ms":500}"#, true),
            (
                r#"{"name":"n","events":["a"],"filter":"payload.a > 1","rate_limit":5,"batch":{"max":3}}"#,
                false,
            ),
            (r#"{"active":false,"retry":{"max_attempts":3},"auto_disable_seconds":null}"#, false),
        ] {
            let mut new = old.clone();
            assert_eq!(Patch::read(change).apply(&mut new).messages(), Vec::<String>::new(), "{change}");
            assert_eq!(new.requests_differ_from(&old), differs, "{change}");
        }
        let mut new = old.clone();
        new.private.previous.clear();
        assert!(new.requests_differ_from(&old), "an old secret does not sign any more");
    }
}
