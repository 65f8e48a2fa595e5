//! Why a request does not come from a sender of its source.

use crate::core::error_code::Code;
use crate::core::jwt::JwtError;

/// Why a request does not come from a sender of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A header is missing.
    #[error("the header {0} is missing")]
    Missing(&'static str),
    /// A header is given twice.
    #[error("the header {0} is given twice")]
    Twice(&'static str),
    /// A header does not have its form.
    #[error("the header {0} does not have the form that its sender gives it")]
    Malformed(&'static str),
    /// The time of the signature is too far from the cluster's time.
    #[error("the time in {0} is more than 5 minutes from the cluster's time")]
    Stale(&'static str),
    /// No valid secret made the signature over this request.
    #[error("the signature in {0} is not one of this request with the source's secret")]
    Mismatch(&'static str),
    /// The key is not the source's.
    #[error("the key in {0} is not the source's")]
    WrongKey(&'static str),
    /// The body is not the one that was signed.
    #[error("the body is not the one that {0} names")]
    Body(&'static str),
    /// The JWT is refused.
    #[error("{0}")]
    Jwt(JwtError),
}

impl Denied {
    /// Returns a stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Missing(_) => Code::SignatureMissing,
            Self::Twice(_) => Code::HeaderGivenTwice,
            Self::Malformed(_) => Code::SignatureMalformed,
            Self::Stale(_) => Code::TimestampExpired,
            Self::Mismatch(_) => Code::InvalidSignature,
            Self::WrongKey(_) => Code::InvalidKey,
            Self::Body(_) => Code::BodyChanged,
            Self::Jwt(_) => Code::InvalidToken,
        }
    }
}
