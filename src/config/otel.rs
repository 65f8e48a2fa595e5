//! Where spans go.

use super::Secret;
use http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use url::Url;

/// The path of a collector to which spans are posted.
const TRACES: &str = "/v1/traces";

/// Spans of traces: what nodes did for an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Otel {
    /// Address of a collector that takes OTLP over HTTP. If absent, no spans are recorded.
    pub endpoint: Option<String>,
    /// Headers of the requests to it: `name=value`, comma-separated.
    pub headers: Option<Secret>,
    /// Of a million traces that begin at a node, those that are recorded.
    pub sample_per_million: u32,
    /// The name under which the spans are shown.
    pub service_name: String,
}

impl Default for Otel {
    fn default() -> Self {
        Self { endpoint: None, headers: None, sample_per_million: 10_000, service_name: "waypost".into() }
    }
}

impl Otel {
    /// The URL to which spans are posted. `None` if there is no endpoint, or if it is none.
    pub fn url(&self) -> Option<Url> {
        let mut url = Url::parse(self.endpoint.as_deref()?).ok()?;
        let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
            return None;
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if !path.ends_with(TRACES) {
            url.set_path(&format!("{path}{TRACES}"));
        }
        Some(url)
    }

    /// The headers of the requests. `None` if they can't be read.
    pub fn header_list(&self) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let text = self.headers.as_ref().map_or("", Secret::expose);
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts
            .map(|part| {
                let (name, value) = part.split_once('=')?;
                let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
                let mut value = HeaderValue::from_str(value.trim()).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            })
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_posted_to_the_path_for_traces() {
        for (endpoint, url) in [
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318/v1/traces")),
            ("http://collector:4318/", Some("http://collector:4318/v1/traces")),
            ("https://example.com/otlp", Some("https://example.com/otlp/v1/traces")),
            ("https://example.com/v1/traces", Some("https://example.com/v1/traces")),
            ("example.com:4318", None),
            ("grpc://example.com", None),
            ("https://user:password@example.com", None),
            ("", None),
        ] {
            let otel = Otel { endpoint: Some(endpoint.to_owned()), ..Otel::default() };
            assert_eq!(otel.url().as_ref().map(Url::as_str), url, "{endpoint}");
        }
    }

    #[test]
    fn headers_are_read_or_refused() {
        let of = |text: &str| Otel { headers: Some(Secret::new(text)), ..Otel::default() }.header_list();
        let read = of("Authorization=Bearer a=b, x-key = 1,").unwrap();
        let read: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(read, [("authorization", "Bearer a=b"), ("x-key", "1")]);
        assert_eq!(Otel::default().header_list().unwrap().len(), 0);
        for text in ["novalue", "a b=c", "a=\u{7f}"] {
            assert!(of(text).is_none(), "{text}");
        }
    }
}
