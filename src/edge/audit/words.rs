//! What a line of the audit log is about, in the words that the console shows: `create token`,
//! `webhook: rotate secret`, `cluster: drain`.

/// What a part of a route names, where its own name does not say it.
pub(in crate::edge) type Nouns = &'static [(&'static str, &'static str)];

/// The verbs of methods.
const VERBS: [(&str, &str); 6] = [
    ("POST", "create"),
    ("PUT", "replace"),
    ("PATCH", "change"),
    ("DELETE", "remove"),
    ("GET", "read"),
    ("HEAD", "read"),
];

/// What is done with some things by a method, where people have another word for it.
const VERBS_OF: [(&str, &str, &str); 3] = [
    ("DELETE", "connections", "close"),
    ("DELETE", "tokens", "revoke"),
    ("DELETE", "admin-tokens", "revoke"),
];

/// The action of a request, in lower case. The path names the operations of a cluster, whose route does not.
pub(super) fn action(method: &str, route: &str, path: &str, nouns: Nouns) -> String {
    let parts: Vec<&str> = route.split('/').filter(|part| !part.is_empty() && *part != "api").collect();
    let from_end = |at: usize| parts.iter().rev().nth(at).copied().unwrap_or_default();
    let (last, before, owner) = (from_end(0), from_end(1), from_end(2));
    if parts.first().is_some_and(|first| *first == "cluster") {
        let operation = if is_parameter(last) { path.rsplit('/').next().unwrap_or_default() } else { last };
        return format!("cluster: {}", words(operation, nouns)).to_lowercase();
    }
    let is_post = method == "POST";
    if is_post && !is_parameter(last) && !is_collection(last, nouns) && !before.is_empty() {
        // Behind a thing stands what is done with it, unless it has things of its own.
        let of = if is_parameter(before) { singular(owner, nouns) } else { words(before, nouns) };
        return format!("{of}: {}", words(last, nouns)).to_lowercase();
    }
    let noun = match (is_parameter(last), is_post) {
        (true, _) => singular(before, nouns),
        (false, true) => singular(last, nouns),
        (false, false) => words(last, nouns),
    };
    let own = VERBS_OF.iter().find(|(of, part, _)| *of == method && *part == before);
    let verb = own.map_or_else(|| named(&VERBS, method), |(.., verb)| *verb);
    format!("{verb} {noun}").to_lowercase()
}

fn named<'a>(names: &[(&'a str, &'a str)], of: &'a str) -> &'a str {
    names.iter().find(|(name, _)| *name == of).map_or(of, |(_, said)| *said)
}

fn is_parameter(part: &str) -> bool {
    part.starts_with('{')
}

fn is_collection(part: &str, nouns: Nouns) -> bool {
    part.ends_with('s') || nouns.iter().any(|(name, _)| *name == part)
}

fn words(part: &str, nouns: Nouns) -> String {
    named(nouns, part).replace('-', " ")
}

fn singular(part: &str, nouns: Nouns) -> String {
    let text = words(part, nouns);
    match text.strip_suffix('s') {
        Some(one) if !one.ends_with('s') => one.to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::action;
    use crate::edge::ROUTE_NOUNS;

    /// The table of the console's own test, console/test/records.test.ts.
    #[test]
    fn an_action_has_the_words_of_the_console() {
        for (method, route, expected) in [
            ("POST", "/api/maps", "create map"),
            ("PATCH", "/api/maps/{map}", "change map"),
            ("POST", "/api/maps/{map}/tokens", "create token"),
            ("DELETE", "/api/maps/{map}/tokens/{token}", "revoke token"),
            ("DELETE", "/api/maps/{map}", "remove map"),
            ("PUT", "/api/maps/{map}/channel-rules", "replace channel rules"),
            ("POST", "/api/maps/{map}/webhooks/{webhook}/rotate-secret", "webhook: rotate secret"),
            ("POST", "/api/maps/{map}/webhooks/{webhook}/dead-letters/retry", "dead letters: retry"),
            ("POST", "/api/maps/{map}/webhooks/{webhook}/dead-letters/{event}/retry", "dead letter: retry"),
            ("DELETE", "/api/maps/{map}/subjects/{subject:.*}", "remove subject"),
            ("POST", "/api/maps/{map}/ingest", "create ingest source"),
            ("PUT", "/api/maps/{map}/ingest/{source}", "replace ingest source"),
            ("POST", "/api/maps/{map}/pusher", "create app"),
            ("PATCH", "/api/maps/{map}/pusher/{key}", "change app"),
            ("POST", "/api/maps/{map}/portal-links", "create portal link"),
            ("DELETE", "/api/maps/{map}/connections/{connection}", "close connection"),
            ("GET", "/api/maps/{map}/webhooks", "read webhooks"),
            ("POST", "/api/admin-tokens", "create admin token"),
        ] {
            assert_eq!(action(method, route, "", ROUTE_NOUNS), expected, "{method} {route}");
        }
        let drain = action("POST", "/api/cluster/{operation}", "/api/cluster/drain", ROUTE_NOUNS);
        assert_eq!(drain, "cluster: drain");
        assert_eq!(action("", "", "", ROUTE_NOUNS), " ", "a line without a request");
    }
}
