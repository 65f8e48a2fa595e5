//! Masks the secret parts of URLs that are secrets themselves, so that they can be shown.

/// Stands for a header's value wherever headers are shown. A caller that sends it back keeps the value.
pub const MASK: &str = "***";
/// A part of a path that is longer than this, in bytes, is taken for a key.
const LONGEST_PLAIN: usize = 24;

/// The URL of a chat's webhook without its secret parts: the last part of the path and every part that is
/// long enough to be a key are masked, and the query is left out.
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
    fn the_secret_parts_of_a_chat_url_are_masked() {
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
