//! JWTs: signed texts in which an issuer says who a client is and what it may do.
//!
//! A [`Verifier`] knows one algorithm and the keys of one issuer. It never chooses an algorithm or a key by
//! what a token says of itself: the token's `alg` must be the verifier's own, and `kid` only picks one of the
//! keys that the verifier has. A token is refused before it is decoded if it is long, and all its JSON names
//! must be unique. The time comes from the caller.

mod claims;
mod json;
mod keys;
mod sign;
mod verify;

pub use claims::Claims;
pub use json::read_object;
pub use sign::{SignError, Signer};
pub use verify::{Unverified, Verifier};

use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest token (bytes).
pub const MAX_TOKEN_LEN: usize = 8 * 1024;
/// Longest JWKS document (bytes).
pub const MAX_JWKS_LEN: usize = 64 * 1024;
/// Keys of one JWKS document, at most.
pub const MAX_JWKS_KEYS: usize = 100;
/// Longest secret (bytes).
pub const MAX_SECRET_LEN: usize = 16 * 1024;
/// Longest PEM text of a public key (bytes). The crate that reads it goes as deep as it is nested.
pub const MAX_PEM_LEN: usize = 2 * 1024;
/// Longest key id, `sub` and `jti` (bytes).
pub const MAX_NAME_LEN: usize = 256;
/// How far the clock of an issuer may be ahead: for `nbf` and `iat`. `exp` has no leeway, so that a token
/// ends at one time wherever it is presented.
pub const LEEWAY_MS: u64 = 5_000;

/// An algorithm of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// HMAC with SHA-256: the verifier has the secret that the issuer signs with.
    Hs256,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// EdDSA over Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The names of all algorithms in tokens and settings.
    pub const NAMES: [(&'static str, Algorithm); 4] =
        [("HS256", Self::Hs256), ("RS256", Self::Rs256), ("ES256", Self::Es256), ("EdDSA", Self::EdDsa)];

    /// Returns the name in tokens and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Returns the algorithm with that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    /// The crate's name of the algorithm.
    fn of_crate(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// What a verifier's keys are read from. `Debug` gives a mask.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// The secret of HS256, as text.
    Secret(String),
    /// One public key in PEM form.
    Pem(String),
    /// A JWKS document: a JSON object with public `keys`.
    Jwks(String),
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret(********)",
            Self::Pem(_) => "Pem(..)",
            Self::Jwks(_) => "Jwks(..)",
        })
    }
}

/// Why keys can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A secret for a public-key algorithm, or a public key for HS256.
    #[error("HS256 needs a secret, the other algorithms a public key (PEM or JWKS)")]
    WrongSource,
    /// The secret is empty.
    #[error("the secret is empty")]
    EmptySecret,
    /// The secret is the text of a key in PEM form.
    #[error("the secret is a key in PEM form, which anybody may know")]
    PemSecret,
    /// The text is too long.
    #[error(
        "is too long: a secret has at most {MAX_SECRET_LEN} bytes, a PEM text {MAX_PEM_LEN}, JWKS {MAX_JWKS_LEN}"
    )]
    TooLong,
    /// The text is no public key of the algorithm in PEM form.
    #[error("is not a public key of the algorithm in PEM form (BEGIN PUBLIC KEY or BEGIN RSA PUBLIC KEY)")]
    BadPem,
    /// The RSA key is too short or too long.
    #[error("an RSA key must have 2048 to 4096 bits")]
    RsaSize,
    /// The document is no JSON object with a list of keys.
    #[error("is not a JWKS document: a JSON object with a list `keys`, and no name twice in an object")]
    BadJwks,
    /// The document has too many keys.
    #[error("the JWKS document has more than {MAX_JWKS_KEYS} keys")]
    TooManyKeys,
    /// The document has a private key.
    #[error("the JWKS document has a private or secret key")]
    PrivateKey,
    /// Two keys that the algorithm could use have the same id.
    #[error("two keys of the JWKS document have the same kid")]
    SameKeyId,
    /// No key of the document is one of the algorithm.
    #[error("the JWKS document has no public key of the algorithm")]
    NoKey,
}

/// Why a token is refused. The texts may be shown to the client that presented it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Longer than [`MAX_TOKEN_LEN`].
    #[error("the token is longer than {MAX_TOKEN_LEN} bytes")]
    TooLong,
    /// Not three parts with dots between them.
    #[error("the token does not have three parts")]
    NotThreeParts,
    /// A part is not base64url without padding.
    #[error("a part of the token is not base64url")]
    NotBase64,
    /// A part is not a JSON object.
    #[error("a part of the token is not a JSON object")]
    NotAnObject,
    /// A JSON object in the token has a name twice.
    #[error("the token has a name twice")]
    NameTwice,
    /// The algorithm is not the issuer's.
    #[error("the token's algorithm is not the one of its issuer")]
    WrongAlgorithm,
    /// A member of the header has a wrong form, or demands what the verifier does not know.
    #[error("the header member {0} is not accepted")]
    BadHeader(&'static str),
    /// The token names no key, and the issuer has several.
    #[error("the token has no kid")]
    NoKeyId,
    /// The issuer has no key with the token's `kid`.
    #[error("no key of the issuer has the token's kid")]
    UnknownKey,
    /// The signature is not one of the key over the token.
    #[error("the token's signature is wrong")]
    BadSignature,
    /// A required claim is missing.
    #[error("the claim {0} is missing")]
    MissingClaim(&'static str),
    /// A claim has a wrong form.
    #[error("the claim {0} has a wrong form")]
    BadClaim(&'static str),
    /// It lives longer than tokens may, from `iat` to `exp`.
    #[error("the token lives longer than the {most_s} s that client tokens may live")]
    LivesTooLong {
        /// The longest lifetime in seconds.
        most_s: u64,
    },
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` has not come yet.
    #[error("the token is not valid yet")]
    NotYet,
    /// `iss` is not the issuer's.
    #[error("the claim iss is not that of the issuer")]
    WrongIssuer,
    /// `aud` does not name the audience.
    #[error("the claim aud does not name the audience")]
    WrongAudience,
}

#[cfg(test)]
mod tests;
