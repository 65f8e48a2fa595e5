//! The URL of a webhook. It is parsed once, so that the stored URL, the dialled host and the request are the
//! same.
//!
//! The parser is the one of browsers (WHATWG), so that it understands every notation of an address. It never
//! resolves a name.

use std::{net::IpAddr, sync::Arc};

use http::{Uri, header::HeaderValue};
use url::Url;

use super::{Forbidden, Guard};

/// The longest URL of a webhook, in bytes, both as given and as stored.
pub const LARGEST_URL: usize = 2048;
/// The longest name in DNS, in bytes.
const LONGEST_NAME: usize = 253;
/// The longest part of a name between two dots, in bytes.
const LONGEST_LABEL: usize = 63;

/// Suffixes of names that are used inside a network, never for a public host.
const INSIDE: [&str; 10] =
    ["local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa", "onion", "invalid"];

/// The host that is dialled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address literal.
    Ip(IpAddr),
    /// A name in lower-case ASCII, without a final dot.
    Name(Arc<str>),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// The server that a target names. Several targets may have the same one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receiver {
    host: Host,
    port: u16,
}

/// Where a webhook's requests go. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Target {
    url: Arc<str>,
    host: Host,
    port: u16,
    tls: bool,
    authority: HeaderValue,
    uri: Uri,
}

/// Why a URL can't be a webhook's URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The URL is longer than [`LARGEST_URL`].
    #[error("the url has {0} bytes, at most {LARGEST_URL} are allowed")]
    TooLong(usize),
    /// The URL has white space, control characters or backslashes, which parsers understand in different
    /// ways.
    #[error("the url must not hold white space, control characters or backslashes")]
    Characters,
    /// The text is not a URL.
    #[error("not a url: {0}")]
    NotUrl(String),
    /// The scheme is neither http nor https.
    #[error("the url must begin with http:// or https://, not {0}:")]
    Scheme(String),
    /// The URL has a user name or password.
    #[error("the url must not hold a user name or password: use headers or the signature")]
    Userinfo,
    /// The port is 0.
    #[error("port 0 is not a port")]
    Port,
    /// The host is not a valid DNS name.
    #[error("{0:?} is not a host name")]
    Name(String),
    /// The name is one that is used inside a network.
    #[error("{0} names something inside a network, not a public host; to reach it, allow its network")]
    Inside(String),
    /// Webhooks must not go to the address literal.
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
}

impl Guard {
    /// Parses and checks the URL of a webhook, when the webhook is created or updated. Names that pass are
    /// checked again, by their addresses, whenever they are dialled.
    pub fn target(&self, text: &str) -> Result<Target, BadTarget> {
        let target = Target::parse(text)?;
        match &target.host {
            Host::Ip(ip) => self.check(*ip)?,
            Host::Name(name) => self.check_name(name)?,
        }
        Ok(target)
    }

    fn check_name(&self, name: &str) -> Result<(), BadTarget> {
        let ends_with =
            |end: &str| name.strip_suffix(end).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        let inside = if ends_with("localhost") {
            !(self.allows([127, 0, 0, 1].into()) || self.allows(std::net::Ipv6Addr::LOCALHOST.into()))
        } else {
            (!name.contains('.') || INSIDE.into_iter().any(ends_with)) && !self.opens_anything()
        };
        if inside { Err(BadTarget::Inside(name.to_owned())) } else { Ok(()) }
    }
}

impl Target {
    /// Parses a stored URL, which was checked before. Its addresses are still checked when it is dialled.
    pub fn parse(text: &str) -> Result<Self, BadTarget> {
        if text.len() > LARGEST_URL {
            return Err(BadTarget::TooLong(text.len()));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(BadTarget::Characters);
        }
        let mut url = Url::parse(text).map_err(|error| BadTarget::NotUrl(error.to_string()))?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(BadTarget::Scheme(other.to_owned())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadTarget::Userinfo);
        }
        let host = host_of(&mut url)?;
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(BadTarget::Port)?;
        url.set_fragment(None);
        if url.as_str().len() > LARGEST_URL {
            return Err(BadTarget::TooLong(url.as_str().len()));
        }
        Self::build(&url, host, port, tls)
    }

    fn build(url: &Url, host: Host, port: u16, tls: bool) -> Result<Self, BadTarget> {
        let not_url = |what: &dyn ToString| BadTarget::NotUrl(what.to_string());
        let name = url.host_str().unwrap_or_default();
        let authority = url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
        let query = url.query().map_or_else(String::new, |query| format!("?{query}"));
        let whole =
            format!("http://{name}:{port}{}{query}", url.path()).parse::<Uri>().map_err(|e| not_url(&e))?;
        // If two parsers disagree on the host, a URL could bypass the guard.
        if whole.host() != Some(name) || whole.port_u16() != Some(port) {
            return Err(BadTarget::Name(name.to_owned()));
        }
        let uri = whole.path_and_query().cloned().map(Uri::from).unwrap_or_default();
        let authority = HeaderValue::from_str(&authority).map_err(|e| not_url(&e))?;
        Ok(Self { url: url.as_str().into(), host, port, tls, authority, uri })
    }

    /// The URL in its normal form: what is stored and shown.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// The host that is dialled.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port that is dialled.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server that is dialled.
    pub fn receiver(&self) -> Receiver {
        Receiver { host: self.host.clone(), port: self.port }
    }

    /// Whether the connection uses TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// The value of the `Host` header: the host, and the port unless it is the scheme's default.
    pub(in crate::delivery::webhook) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// Path and query, for the request line.
    pub(in crate::delivery::webhook) fn uri(&self) -> &Uri {
        &self.uri
    }
}

/// The host. The final dot of a name is removed from the URL too.
fn host_of(url: &mut Url) -> Result<Host, BadTarget> {
    let name = match url.host() {
        Some(url::Host::Ipv4(ip)) => return Ok(Host::Ip(ip.into())),
        Some(url::Host::Ipv6(ip)) => return Ok(Host::Ip(ip.into())),
        Some(url::Host::Domain(name)) => name.to_owned(),
        None => return Err(BadTarget::Name(String::new())),
    };
    let short = name.strip_suffix('.').unwrap_or(&name);
    let label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
    };
    if short.len() > LONGEST_NAME || !short.split('.').all(label) {
        return Err(BadTarget::Name(name));
    }
    if short.len() < name.len() {
        url.set_host(Some(short)).map_err(|error| BadTarget::NotUrl(error.to_string()))?;
    }
    Ok(Host::Name(short.into()))
}
