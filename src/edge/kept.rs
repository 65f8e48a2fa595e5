//! What browsers keep for the cluster: the cookie of somebody who has signed in to the console, and the token
//! and the path of a portal link. They are encrypted under the cluster's key, so every node reads them and no
//! node remembers them.

use super::refused::{Refused, Unavailable};
use crate::core::console::{Link, LinkPage, Session};
use crate::hub::{Encryption, EncryptionError, Hub};
use actix_web::HttpRequest;
use actix_web::http::header::COOKIE;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;
use std::time::Duration;

/// The cookie of a session, and its name where browsers come by HTTPS: one that begins so is set by this host
/// alone, so another host of the site can't sign anybody in as somebody else.
const SESSION_COOKIE: &str = "waypost_session";
const SECURE_SESSION_COOKIE: &str = "__Host-waypost_session";
/// The header that each request with that cookie carries. A page of another site can't know its value.
pub const X_WAYPOST_CSRF: &str = "x-waypost-csrf";
/// What the token of a portal link begins with.
pub const LINK_PREFIX: &str = "wpl_";

/// What the values of that header are made for.
const CSRF: &str = "console csrf";
/// What is encrypted for what.
const SESSION: &str = "session";
const LINK: &str = "portal token";
const PAGE: &str = "portal page";
/// Longest wait for the cluster's key on a node that has just started.
const KEY_WAIT: Duration = Duration::from_secs(5);

/// Which requests of other sites a browser sends a cookie with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// None.
    Strict,
    /// Those by which it follows a link.
    Lax,
}

/// A cookie to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCookie<'c> {
    /// Its name.
    pub name: &'static str,
    /// Its value; empty to remove it.
    pub value: &'c str,
    /// The paths that it is sent to.
    pub path: &'static str,
    /// How many seconds it is kept.
    pub seconds: u64,
    /// Which requests of other sites have it.
    pub same_site: SameSite,
    /// Whether it is sent by HTTPS alone.
    pub is_secure: bool,
}

impl NewCookie<'_> {
    /// The value of `Set-Cookie`. No script of a page reads the cookie.
    pub fn header(&self) -> String {
        let Self { name, value, path, seconds, .. } = self;
        let site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
        };
        let secure = if self.is_secure { "; Secure" } else { "" };
        format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite={site}{secure}")
    }
}

/// The name of the cookie of sessions. `is_secure`: whether browsers send it by HTTPS alone.
pub fn session_cookie(is_secure: bool) -> &'static str {
    if is_secure { SECURE_SESSION_COOKIE } else { SESSION_COOKIE }
}

/// The cookie of that name. `None` also if there are two of them: another host of the site may have set one.
pub fn cookie<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    let mut named = cookies(request, name);
    let first = named.next();
    first.filter(|value| !value.is_empty() && named.next().is_none())
}

/// Whether the request has a cookie of that name, whatever it is worth.
pub fn has_cookie(request: &HttpRequest, name: &str) -> bool {
    cookies(request, name).next().is_some()
}

/// The values of all cookies of that name.
fn cookies<'r>(request: &'r HttpRequest, name: &str) -> impl Iterator<Item = &'r str> {
    let texts = request.headers().get_all(COOKIE).filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(move |(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// The cluster's encryption.
///
/// # Errors
/// This node does not have the cluster's key yet.
pub async fn encryption(hub: &Hub) -> Result<Arc<Encryption>, Refused> {
    let encryption = hub.vault().encryption_within(KEY_WAIT).await;
    encryption.map_err(|_| Unavailable::NoKey.into())
}

/// The value of the header that belongs to a session's cookie.
pub fn csrf(encryption: &Encryption, cookie: &str) -> String {
    URL_SAFE_NO_PAD.encode(encryption.tag(CSRF, &[cookie]))
}

/// Whether `given` is the value of the header that belongs to the cookie.
pub fn is_csrf(encryption: &Encryption, cookie: &str, given: &str) -> bool {
    let tag = URL_SAFE_NO_PAD.decode(given).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    tag.is_some_and(|tag| encryption.is_tag(&tag, CSRF, &[cookie]))
}

/// The value of a session's cookie.
pub fn new_session(encryption: &Encryption, session: &Session) -> Result<String, EncryptionError> {
    encryption.encrypt_kept(SESSION, session)
}

/// The session in a cookie that the cluster made.
pub fn session(encryption: &Encryption, cookie: &str) -> Option<Session> {
    encryption.open_kept(SESSION, cookie).ok()
}

/// The token of a portal link.
pub fn new_link(encryption: &Encryption, link: &Link) -> Result<String, EncryptionError> {
    Ok(format!("{LINK_PREFIX}{}", encryption.encrypt_kept(LINK, link)?))
}

/// The link in a token that the cluster made.
pub fn link(encryption: &Encryption, token: &str) -> Option<Link> {
    encryption.open_kept(LINK, token.strip_prefix(LINK_PREFIX)?).ok()
}

/// The path part of a portal link.
pub fn new_page(encryption: &Encryption, page: &LinkPage) -> Result<String, EncryptionError> {
    encryption.encrypt_kept(PAGE, page)
}

/// The page in the path of a link that the cluster made.
pub fn page(encryption: &Encryption, path: &str) -> Option<LinkPage> {
    encryption.open_kept(PAGE, path).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::console::Credential;
    use actix_web::test::TestRequest;

    fn cookie_in(headers: &[&str]) -> Option<String> {
        let add = |request: TestRequest, text: &&str| request.append_header((COOKIE, *text));
        let request = headers.iter().fold(TestRequest::default(), add).to_http_request();
        cookie(&request, SESSION_COOKIE).map(str::to_owned)
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        for (headers, found) in [
            (vec!["waypost_session=abc"], Some("abc")),
            (vec!["a=b; waypost_session=abc;c=d"], Some("abc")),
            (vec!["a=b", "waypost_session=abc"], Some("abc")),
            (vec!["xwaypost_session=abc"], None),
            (vec!["waypost_session=abc; waypost_session=def"], None),
            (vec!["waypost_session=abc", "waypost_session=def"], None),
            (vec!["waypost_session="], None),
            (vec!["waypost_session"], None),
            (vec![], None),
        ] {
            assert_eq!(cookie_in(&headers).as_deref(), found, "{headers:?}");
        }
    }

    #[test]
    fn no_script_reads_a_cookie_and_no_other_site_sends_it() {
        let mut cookie = NewCookie {
            name: SESSION_COOKIE,
            value: "abc",
            path: "/",
            seconds: 60,
            same_site: SameSite::Strict,
            is_secure: true,
        };
        let whole = "waypost_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(cookie.header(), whole);
        (cookie.is_secure, cookie.same_site) = (false, SameSite::Lax);
        assert_eq!(cookie.header(), "waypost_session=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn a_header_belongs_to_one_cookie() {
        let encryption = Encryption::for_tests(1);
        let made = |end_ms| {
            let session = Session { credential: Credential::Token([1; 32]), end_ms };
            new_session(&encryption, &session).unwrap()
        };
        let [one, two] = [made(1), made(1)];
        assert_ne!(one, two, "two sessions of the same person at the same time are two");
        let header = csrf(&encryption, &one);
        assert!(is_csrf(&encryption, &one, &header) && !is_csrf(&encryption, &two, &header));
        assert!(!is_csrf(&Encryption::for_tests(2), &one, &header));
        for wrong in ["", "x", &header[1..], &one] {
            assert!(!is_csrf(&encryption, &one, wrong), "{wrong}");
        }
        assert_eq!(session(&encryption, &one).unwrap().end_ms, 1);
        // What is made for one use is none of another.
        for token in [one.clone(), format!("{LINK_PREFIX}{one}")] {
            assert!(link(&encryption, &token).is_none(), "{token}");
        }
        assert!(page(&encryption, &one).is_none() && session(&encryption, &header).is_none());
    }
}
