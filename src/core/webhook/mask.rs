//! Masks the secret parts of URLs that are secrets themselves, so that they can be shown.

/// Stands for a header's value wherever headers are shown. A caller that sends it back keeps the value.
pub const MASK: &str = "***";
/// A part of a path that is longer than this, in bytes, is taken for a key.
const LONGEST_PLAIN: usize = 24;

/// Hosts of Slack at which the whole path of a URL is a secret.
const SLACK: [&str; 2] = ["hooks.slack.com", "hooks.slack-gov.com"];

/// Whether a URL has the form of a chat's: it is a secret then, whatever the profile of its webhook is. The form
/// is that of Discord (`/api/webhooks/{id}/{token}`) at any host, for there are proxies, and that of Slack.
pub fn is_of_chat(url: &str) -> bool {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("", url),
    };
    let is_id = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(is_id);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        ["api", "webhooks", id, _, ..] => is_id(id),
        ["api", version, "webhooks", id, _, ..] => is_version(version) && is_id(id),
        [_, ..] => SLACK.iter().any(|slack| host.eq_ignore_ascii_case(slack)),
        [] => false,
    }
}

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

/// The URL of a webhook that is no chat's without what may be secret in it: every part of the path that is
/// long enough to be a key, and the values of the query.
pub fn masked_values(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    // The scheme and the host stand before the path, and a host may be long.
    let shown = |(at, part): (usize, &str)| {
        let is_key = at > 2 && part.len() > LONGEST_PLAIN;
        if is_key { MASK.to_owned() } else { part.to_owned() }
    };
    let mut masked = path.split('/').enumerate().map(shown).collect::<Vec<_>>().join("/");
    if let Some(query) = query {
        let pair = |pair: &str| match pair.split_once('=') {
            Some((name, _)) => format!("{name}={MASK}"),
            None => MASK.to_owned(),
        };
        masked.push('?');
        masked.push_str(&query.split('&').map(pair).collect::<Vec<_>>().join("&"));
    }
    masked
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

    #[test]
    fn the_url_of_a_chat_is_known_by_its_form() {
        for url in [
            "https://discord.com/api/webhooks/123456789012345678/token",
            "https://discord.com/api/v10/webhooks/1/token/slack?wait=true",
            "http://127.0.0.1:3000/api/webhooks/1/token",
            "/api/webhooks/1/token",
            "https://hooks.slack.com/services/T1/B2/token",
            "https://HOOKS.slack.com/workflows/T1/A2/3/token",
        ] {
            assert!(is_of_chat(url), "{url}");
        }
        for url in [
            "https://example.com/",
            "https://example.com/hook",
            "https://my-server.com/webhooks/jackbox",
            "https://example.com/api/webhooks",
            "https://example.com/api/webhooks/1",
            "https://example.com/api/webhooks/test/7",
            "https://example.com/hook?to=/api/webhooks/1/token",
            "https://hooks.slack.com/",
            "https://hooks.slack.com.example.com/services/a",
            "nonsense",
            "",
        ] {
            assert!(!is_of_chat(url), "{url}");
        }
    }

    #[test]
    fn what_may_be_secret_in_a_url_is_masked() {
        let key = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789";
        for (url, shown) in [
            ("https://example.com/hook", "https://example.com/hook"),
            ("https://example.com/", "https://example.com/"),
            ("https://name-of-a-long-host.example.com/", "https://name-of-a-long-host.example.com/"),
            ("https://example.com/KEY/x?token=KEY&for=kills", "https://example.com/***/x?token=***&for=***"),
            ("https://example.com/?KEY", "https://example.com/?***"),
        ] {
            assert_eq!(masked_values(&url.replace("KEY", key)), shown, "{url}");
        }
    }
}
