//! URLs as they may be shown where the URL itself is the secret.

/// What a header's value is replaced with wherever headers are shown; sent back, it leaves the value as it is.
pub const MASK: &str = "***";
/// Longer parts of a path are taken for keys.
const LONGEST_PLAIN: usize = 24;

/// The URL of a chat's webhook without what opens it: the last part of the path, every part that is long enough to be
/// a key, and the query.
pub fn masked_url(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let last = parts.len() - 1;
    let shown = |(at, part): (usize, &&str)| match part.len() {
        0 => String::new(),
        len if at == last || len > LONGEST_PLAIN => MASK.to_owned(),
        _ => (*part).to_owned(),
    };
    let path: Vec<String> = parts.iter().enumerate().map(shown).collect();
    format!("{scheme}://{host}/{}", path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_opens_a_chat_is_never_shown() {
        let token = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789";
        for (url, shown) in [
            (
                "https://discord.com/api/webhooks/123456789012345678/TOKEN",
                "https://discord.com/api/webhooks/123456789012345678/***",
            ),
            ("https://discord.com/api/webhooks/1/TOKEN/", "https://discord.com/api/webhooks/1/***"),
            (
                "https://discord.com/api/webhooks/1/TOKEN?thread_id=5",
                "https://discord.com/api/webhooks/1/***",
            ),
            ("https://discord.com/api/webhooks/1/TOKEN/slack", "https://discord.com/api/webhooks/1/***/***"),
            ("https://hooks.slack.com/services/T1/B2/TOKEN", "https://hooks.slack.com/services/T1/B2/***"),
            ("http://127.0.0.1:9", "http://127.0.0.1:9/"),
            ("nonsense", "://nonsense/"),
        ] {
            assert_eq!(masked_url(&url.replace("TOKEN", token)), shown, "{url}");
        }
    }
}
