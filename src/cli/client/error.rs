//! Why a request of the command line failed, and what a caller may do then.

use std::time::Duration;

use super::token::{Needs, Source, Token};
use crate::cli::http1::HttpError;

/// Why a request failed. The texts are for people.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// There is no connection, or it broke.
    #[error("cannot reach {url}: {reason}")]
    Unreachable {
        /// The node's address.
        url: String,
        /// The reason as a text, with what to do about it.
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
    /// Another protocol is spoken there, or another port listens there than the one for clients.
    #[error("{url}: {error}; {advice}")]
    WrongPort {
        /// The address.
        url: String,
        /// What is there.
        error: HttpError,
        /// What to do.
        advice: String,
    },
    /// The answer is not one of Waypost's.
    #[error(
        "{url} answered something that is not from waypost: {what}; --url or WAYPOST_URL names the client port of a \
         node (http_addr, 4000 by default)"
    )]
    Foreign {
        /// The address that answered.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
}

/// What to do about an error with that code on the command line, where the node does not say it.
pub(super) fn hint_of(code: &str, token: Option<&Token>, needs: Needs) -> Option<String> {
    Some(match (code, token) {
        ("unauthorized", None) => match needs {
            Needs::Map => "set --token or WAYPOST_TOKEN".to_owned(),
            Needs::Admin => "set --token or WAYPOST_ADMIN_TOKEN".to_owned(),
        },
        ("unauthorized", Some(Token { source, .. })) if needs == Needs::Admin => format!(
            "the token of {source} is not the cluster's admin token, which its nodes were started with \
             (WAYPOST_ADMIN_TOKEN; `waypost dev` prints it), nor any other token of the cluster"
        ),
        ("unauthorized", Some(Token { source, .. })) => format!(
            "the token of {source} is not one of this cluster, or was revoked; `waypost token create MAP` \
             makes one"
        ),
        ("forbidden", Some(token)) => hint_of_forbidden(token, needs),
        ("not_found", Some(Token { source: Source::Variable, hides_admin: true, .. })) => {
            "look at the spelling; the token of WAYPOST_TOKEN was used, and one of a map opens that map alone: for \
             another map add --token \"$WAYPOST_ADMIN_TOKEN\"; `waypost map list` shows all maps"
                .to_owned()
        }
        ("not_found", _) => {
            "look at the spelling, and at the token: one of a map opens that map alone; `waypost map list` shows all \
             maps to the admin token"
                .to_owned()
        }
        _ => return None,
    })
}

/// What to do if the token may not do it: most often the admin token would, and another one came first.
fn hint_of_forbidden(token: &Token, needs: Needs) -> String {
    match (token.source, needs) {
        (Source::Variable, _) if token.hides_admin => {
            "WAYPOST_TOKEN is a map's token, and it is taken before WAYPOST_ADMIN_TOKEN here: add --token \
             \"$WAYPOST_ADMIN_TOKEN\", or make a token that may do it with `waypost token create MAP --scopes`"
                .to_owned()
        }
        (Source::Variable, Needs::Admin) => {
            "WAYPOST_TOKEN is a map's token: set WAYPOST_ADMIN_TOKEN to the admin token, or give it with \
             --token"
                .to_owned()
        }
        (Source::Flag, Needs::Admin) if token.hides_admin => {
            "--token is taken before WAYPOST_ADMIN_TOKEN: leave it out".to_owned()
        }
        _ => "give another token with --token or WAYPOST_TOKEN: the admin token, or one that `waypost token create \
              MAP --scopes` makes"
            .to_owned(),
    }
}

/// Why a token cannot be sent.
pub(super) fn unsendable(token: &Token) -> String {
    let Token { text, source, .. } = token;
    let hint = match is_placeholder(text) {
        true => format!("; put the token that `waypost dev` printed in place of {text}"),
        false => String::new(),
    };
    format!("the token of {source} has characters that no header can carry{hint}")
}

/// Whether a token is one that stands in the documentation for the reader's own, as `wp_…`.
fn is_placeholder(token: &str) -> bool {
    token.ends_with('…')
}

fn hint_line(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"))
}

/// What to do if nothing answers.
const IS_IT_RUNNING: &str = "is waypost running there? (`waypost dev` or `waypost serve` starts it, --url or WAYPOST_URL \
                             names another)";

impl ClientError {
    /// The error of a request to `url` that got no answer.
    pub(super) fn of(error: HttpError, url: String) -> Self {
        let advice = match error {
            HttpError::Foreign(what) => return Self::Foreign { url, what },
            HttpError::SpeaksTls => {
                let other = url.replacen("http://", "https://", 1);
                format!("use {other} with --url or WAYPOST_URL")
            }
            HttpError::SpeaksPlain => {
                let other = url.replacen("https://", "http://", 1);
                let needs = "for https the node needs http.tls_cert and http.tls_key";
                format!("use {other} with --url or WAYPOST_URL; {needs}")
            }
            HttpError::PeerPort => {
                "give the client port (http_addr, 4000 by default) with --url or WAYPOST_URL".to_owned()
            }
            HttpError::Untrusted | HttpError::BadCertificate(_) => {
                return Self::Unreachable { url, reason: error.to_string(), unsent: true };
            }
            _ => {
                let unsent = error.is_unsent();
                return Self::Unreachable { url, reason: format!("{error}; {IS_IT_RUNNING}"), unsent };
            }
        };
        Self::WrongPort { url, error, advice }
    }

    /// Whether the request may succeed a little later, or at another node.
    pub(in crate::cli) fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::WrongPort { .. } | Self::Foreign { .. } => false,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(code: &str, source: Source, hides_admin: bool, needs: Needs) -> String {
        let token = Token { text: "wp_x".to_owned(), source, hides_admin };
        hint_of(code, Some(&token), needs).unwrap_or_default()
    }

    #[test]
    fn a_refused_token_is_named_by_its_source() {
        let hides = hint("forbidden", Source::Variable, true, Needs::Map);
        assert!(
            hides.contains("WAYPOST_TOKEN is a map's token")
                && hides.contains("--token \"$WAYPOST_ADMIN_TOKEN\""),
            "{hides}"
        );
        let alone = hint("forbidden", Source::Variable, false, Needs::Admin);
        assert!(alone.contains("WAYPOST_TOKEN is a map's token: set WAYPOST_ADMIN_TOKEN"), "{alone}");
        let flag = hint("forbidden", Source::Flag, true, Needs::Admin);
        assert!(flag.contains("leave it out"), "{flag}");
        let scopes = hint("forbidden", Source::Variable, false, Needs::Map);
        assert!(scopes.contains("waypost token create MAP --scopes"), "{scopes}");
        let other = hint("not_found", Source::Variable, true, Needs::Map);
        assert!(
            other.contains("WAYPOST_TOKEN was used") && other.contains("--token \"$WAYPOST_ADMIN_TOKEN\""),
            "{other}"
        );
        let admin = hint("not_found", Source::AdminVariable, false, Needs::Map);
        assert!(admin.starts_with("look at the spelling, and at the token"), "{admin}");
        let wrong = hint("unauthorized", Source::AdminVariable, false, Needs::Admin);
        assert!(wrong.starts_with("the token of WAYPOST_ADMIN_TOKEN is not"), "{wrong}");
        let none = hint_of("unauthorized", None, Needs::Admin).unwrap_or_default();
        assert_eq!(none, "set --token or WAYPOST_ADMIN_TOKEN");
    }

    #[test]
    fn a_token_of_the_documentation_is_not_taken_for_one() {
        let token =
            |text: &str| Token { text: text.to_owned(), source: Source::Variable, hides_admin: false };
        let told = unsendable(&token("wp_…"));
        assert!(told.contains("of WAYPOST_TOKEN has") && told.ends_with("in place of wp_…"), "{told}");
        assert!(!unsendable(&token("wp_é")).contains("waypost dev"));
    }
}
