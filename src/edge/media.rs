//! The media type that a request gives its body.

/// The charsets of which UTF-8 reads every text.
const UNICODE: [&str; 3] = ["utf-8", "utf8", "us-ascii"];

/// What a body is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// JSON. A request that gives no media type means JSON.
    Json,
    /// NDJSON: a JSON value on each line.
    Lines,
    /// Anything else, or text that is not in UTF-8.
    Other,
}

impl Media {
    /// Reads the header `Content-Type`. Names are compared without regard to case, and parameters other than
    /// `charset` have no effect.
    pub fn of(header: Option<&str>) -> Self {
        let text = header.unwrap_or_default();
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let charsets = parameters.split(';').filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        let is_unicode = |charset: &str| UNICODE.iter().any(|known| charset.eq_ignore_ascii_case(known));
        if !charsets.into_iter().all(is_unicode) {
            return Self::Other;
        }
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "application/json" | "text/json" => Self::Json,
            "application/x-ndjson" | "application/ndjson" => Self::Lines,
            other if other.ends_with("+json") && other.contains('/') => Self::Json,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_by_the_standard() {
        for (header, media) in [
            ("", Media::Json),
            ("application/json", Media::Json),
            ("Application/JSON", Media::Json),
            ("application/json; charset=utf-8", Media::Json),
            ("application/json;charset=\"UTF-8\";a=b", Media::Json),
            ("application/vnd.example.v1+json", Media::Json),
            ("application/cloudevents+JSON; charset=utf-8", Media::Json),
            ("text/json", Media::Json),
            ("application/x-ndjson", Media::Lines),
            ("APPLICATION/X-NDJSON ; charset=utf-8", Media::Lines),
            ("application/ndjson", Media::Lines),
            ("application/x-ndjsonx", Media::Other),
            ("application/jsonp", Media::Other),
            ("application/json; charset=latin1", Media::Other),
            ("application/x-ndjson; charset=utf-16", Media::Other),
            ("application/x-www-form-urlencoded", Media::Other),
            ("text/plain", Media::Other),
            ("json", Media::Other),
            ("application/", Media::Other),
        ] {
            assert_eq!(Media::of(Some(header)), media, "{header}");
        }
        assert_eq!(Media::of(None), Media::Json);
    }
}
