//! AWS Lambda functions as targets: makes the Invoke call as a signed request, and decides what its answer
//! means.
//!
//! It neither sends nor finds credentials: the caller does both. AWS's own crate makes the SigV4 signature.

use std::{
    fmt,
    time::{Duration, UNIX_EPOCH},
};

use aws_credential_types::Credentials as Identity;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::{
    client::{Answer, Outgoing, retry_after_ms},
    guard::{BadTarget, Guard, Target},
    redirect,
};
use crate::core::{
    text::fits,
    webhook::{
        Invocation, Lambda, Method,
        outcome::{Class, Outcome},
    },
};

#[cfg(test)]
mod tests;

/// The longest function name or ARN that AWS accepts, in bytes.
const LONGEST_NAME: usize = 170;
/// The longest version or alias, in bytes.
const LONGEST_QUALIFIER: usize = 128;
/// The status with which AWS refuses an invocation because the function runs too often.
const TOO_MANY: u16 = 429;

/// The credentials for invocations.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
    /// The token of temporary credentials.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// What this node may invoke at AWS, and with which credentials. The operator sets this; webhooks can't.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The credentials for invocations; without them no function can be invoked.
    pub credentials: Option<Credentials>,
    /// The functions that webhooks may invoke, by name or ARN as webhooks give it; `*` stands for any
    /// characters.
    pub functions: Vec<String>,
    /// The address to use instead of the region's own, without a query.
    pub endpoint: Option<String>,
}

/// Why a function can't be a webhook's target, or a call can't be made.
#[derive(Debug, thiserror::Error)]
pub enum BadFunction {
    /// The text is not a function's name, partial ARN or ARN.
    #[error("{0:?} is not a function's name or ARN")]
    Name(String),
    /// The configuration does not list the function.
    #[error("{0:?} may not be invoked: webhooks.aws.functions of the nodes must list it")]
    NotListed(String),
    /// The text is not a region's name.
    #[error("{0:?} is not a region's name, such as us-east-1")]
    Region(String),
    /// The ARN names another region.
    #[error("the function's ARN is of region {arn}, not {region}")]
    OtherRegion {
        /// The ARN's region.
        arn: String,
        /// The region that was set.
        region: String,
    },
    /// The text is not a version or alias.
    #[error("{0:?} is not a version or an alias")]
    Qualifier(String),
    /// Webhooks may not go to the address of the call.
    #[error(transparent)]
    Target(#[from] BadTarget),
    /// The signature can't be made.
    #[error("the request cannot be signed: {0}")]
    Signature(String),
}

impl BadFunction {
    /// The setting of the webhook that is at fault.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Name(_) | Self::NotListed(_) | Self::OtherRegion { .. } => "lambda.function_name",
            Self::Region(_) => "lambda.region",
            Self::Qualifier(_) => "lambda.qualifier",
            Self::Target(_) | Self::Signature(_) => "lambda",
        }
    }
}

/// Checks a function and returns the URL of its Invoke call. It is used for the check when a webhook is
/// created or updated, and for the target of an invocation.
pub fn target(function: &Lambda, account: &Account, guard: &Guard) -> Result<Target, BadFunction> {
    let Lambda { function_name: name, region, qualifier, .. } = function;
    check_region(region)?;
    check_name(name, region)?;
    if !account.functions.iter().any(|pattern| fits(pattern, name)) {
        return Err(BadFunction::NotListed(name.clone()));
    }
    // A checked name or ARN has only two characters that a path must escape: the colon and the dollar sign.
    let escaped = name.replace(':', "%3A").replace('$', "%24");
    let base = match &account.endpoint {
        Some(endpoint) => endpoint.trim_end_matches('/').to_owned(),
        None => format!("https://lambda.{region}.{}", domain(region)),
    };
    let mut url = format!("{base}/2015-03-31/functions/{escaped}/invocations");
    if let Some(qualifier) = qualifier {
        let fits = (1..=LONGEST_QUALIFIER).contains(&qualifier.len())
            && qualifier.bytes().all(|b| is_word(b) || b == b'$');
        if !fits {
            return Err(BadFunction::Qualifier(qualifier.clone()));
        }
        url.push_str("?Qualifier=");
        url.push_str(&qualifier.replace('$', "%24"));
    }
    Ok(guard.target(&url)?)
}

/// Makes a signed Invoke call with this body, ready for the client.
pub fn invoke<'a>(
    function: &Lambda,
    target: &'a Target,
    credentials: &Credentials,
    body: Bytes,
    timeout: Duration,
    now_ms: u64,
) -> Result<Outgoing<'a>, BadFunction> {
    let authority = target.authority().to_str().map_err(unsignable)?;
    let plain = [
        ("content-type", "application/json"),
        ("x-amz-invocation-type", invocation_type(function.invocation)),
    ];
    let signed = signed_headers(function, target.as_str(), authority, &plain, credentials, &body, now_ms)?;
    let mut headers = Vec::with_capacity(plain.len() + signed.len());
    for (name, value) in plain {
        headers.push((HeaderName::from_static(name), HeaderValue::from_static(value)));
    }
    headers.extend(signed);
    Ok(Outgoing { method: Method::Post, url: target, headers, body, timeout })
}

fn signed_headers(
    function: &Lambda,
    url: &str,
    authority: &str,
    plain: &[(&str, &str)],
    credentials: &Credentials,
    body: &[u8],
    now_ms: u64,
) -> Result<Vec<(HeaderName, HeaderValue)>, BadFunction> {
    let Credentials { access_key_id, secret_access_key, session_token } = credentials.clone();
    let identity = Identity::new(access_key_id, secret_access_key, session_token, None, "waypost").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(&function.region)
        .name("lambda")
        .time(UNIX_EPOCH + Duration::from_millis(now_ms))
        .settings(SigningSettings::default())
        .build()
        .map_err(unsignable)?
        .into();
    let headers = plain.iter().copied().chain([("host", authority)]);
    let request =
        SignableRequest::new("POST", url, headers, SignableBody::Bytes(body)).map_err(unsignable)?;
    let (instructions, _) = sign(request, &params).map_err(unsignable)?.into_parts();
    let as_header = |(name, value): (&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(unsignable)?;
        let mut value = HeaderValue::from_str(value).map_err(unsignable)?;
        value.set_sensitive(name == header::AUTHORIZATION || name.as_str() == "x-amz-security-token");
        Ok((name, value))
    };
    instructions.headers().map(as_header).collect()
}

/// What an answer to an Invoke call means: the outcome and, for a failure, the reason. An awaited function
/// answers as it would behind API Gateway: if it returns a `statusCode`, that one decides, and becomes the
/// outcome's status.
pub fn outcome(invocation: Invocation, answer: &Answer, now_ms: u64) -> (Outcome, Option<String>) {
    let asked = answer.retry_after_ms.filter(|_| matches!(answer.status, TOO_MANY | 503));
    let by_aws = |class| Outcome { class, ..Outcome::answered(answer.status, asked) };
    match (&answer.function_error, answer.status) {
        (Some(kind), 200..=299) => (by_aws(Class::Function), Some(format!("the function failed ({kind})"))),
        (None, 200..=299) if invocation == Invocation::RequestResponse => returned(&answer.head, now_ms)
            .unwrap_or_else(|why| (by_aws(Class::Function), Some(why.to_string()))),
        (None, 200..=299) => (by_aws(Class::Delivered), None),
        (_, TOO_MANY) => {
            (by_aws(Class::Throttled), Some("the function runs too often (TooManyRequests)".to_owned()))
        }
        (_, 300..=399) => (by_aws(Class::Redirect), Some(redirect::answered("AWS", answer.status, None))),
        (_, status) => (by_aws(Class::Status), Some(format!("AWS answered {status}"))),
    }
}

/// Why it is unknown whether the value that a function returned means success.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unclear {
    /// There is a `statusCode`, but it is not an HTTP status.
    #[error("the statusCode that the function returned is not an HTTP status")]
    NoStatus,
    /// The value is an object, and only its beginning was read, which has no `statusCode`.
    #[error("the answer of the function was cut off before a statusCode")]
    CutOff,
}

/// The members of the returned value that decide. All others are ignored.
#[derive(Default)]
struct Returned {
    status: Option<Value>,
    headers: Option<Value>,
}

/// The outcome by the returned value. No value, a value that is not an object, or one without `statusCode`,
/// is a success.
fn returned(payload: &[u8], now_ms: u64) -> Result<(Outcome, Option<String>), Unclear> {
    let mut returned = Returned::default();
    let read = serde_json::Deserializer::from_slice(payload).deserialize_any(&mut returned);
    let status = match (returned.status, read) {
        (Some(status), _) => status_of(&status).ok_or(Unclear::NoStatus)?,
        // Only a part of the value arrived or was read.
        (None, Err(_)) if payload.trim_ascii_start().starts_with(b"{") => return Err(Unclear::CutOff),
        (None, _) => return Ok((Outcome::answered(200, None), None)),
    };
    let asked =
        returned.headers.filter(|_| matches!(status, 429 | 503)).and_then(|headers| pause(&headers, now_ms));
    let outcome = Outcome::answered(status, asked);
    let why = (outcome.class != Class::Delivered).then(|| redirect::answered("the function", status, None));
    Ok((outcome, why))
}

/// An HTTP status, as a number or, as some functions return it, as text.
fn status_of(value: &Value) -> Option<u16> {
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (100..=599).contains(status))
}

/// `Retry-After` among the headers that the function returned, in milliseconds.
fn pause(headers: &Value, now_ms: u64) -> Option<u64> {
    let (_, value) =
        headers.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut map = HeaderMap::new();
    map.insert(header::RETRY_AFTER, HeaderValue::from_str(&text).ok()?);
    retry_after_ms(&map, now_ms)
}

impl<'de> Visitor<'de> for &mut Returned {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            match name.as_str() {
                "statusCode" => self.status = Some(members.next_value()?),
                "headers" => self.headers = Some(members.next_value()?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

fn invocation_type(invocation: Invocation) -> &'static str {
    match invocation {
        Invocation::Event => "Event",
        Invocation::RequestResponse => "RequestResponse",
        Invocation::DryRun => "DryRun",
    }
}

/// Checks a name (`f`), a partial ARN (`123456789012:function:f`) or an ARN
/// (`arn:aws:lambda:region:123456789012:function:f`). Each may end with a version or alias (`f:7`).
fn check_name(name: &str, region: &str) -> Result<(), BadFunction> {
    let bad = || BadFunction::Name(name.to_owned());
    if name.len() > LONGEST_NAME {
        return Err(bad());
    }
    let parts: Vec<&str> = name.split(':').collect();
    let rest = match parts.as_slice() {
        ["arn", partition, "lambda", arn_region, rest @ ..] if is_plain(partition) => {
            if *arn_region != region {
                return Err(BadFunction::OtherRegion {
                    arn: (*arn_region).to_owned(),
                    region: region.to_owned(),
                });
            }
            rest
        }
        parts => parts,
    };
    let is_arn = rest.len() < parts.len();
    let function = match rest {
        [account, "function", function @ ..]
            if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) =>
        {
            function
        }
        function if !is_arn => function,
        _ => return Err(bad()),
    };
    let word = |part: &&str| !part.is_empty() && part.bytes().all(is_word);
    match function {
        [name] if word(name) => Ok(()),
        [name, version] if word(name) && (*version == "$LATEST" || word(version)) => Ok(()),
        _ => Err(bad()),
    }
}

fn check_region(region: &str) -> Result<(), BadFunction> {
    let fits = (3..=32).contains(&region.len()) && is_plain(region) && region.contains('-');
    if fits { Ok(()) } else { Err(BadFunction::Region(region.to_owned())) }
}

fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn unsignable(error: impl fmt::Display) -> BadFunction {
    BadFunction::Signature(error.to_string())
}
