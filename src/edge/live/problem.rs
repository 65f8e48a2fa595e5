//! Errors of the routes for back ends. They are the usual ones, except for two whose texts and statuses the
//! guide fixed: a request without a token, and one with a token that opens nothing.

use crate::core::error_code::Code;
use crate::edge::error::ApiError;
use crate::edge::given::BadParameter;
use crate::edge::refused::Refused;
use crate::hub::HubError;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use std::fmt;

/// The text about a request without a token.
const NO_TOKEN: &str = "Access token required";
/// The text about a token that opens nothing.
const BAD_TOKEN: &str = "Invalid or expired token";

/// Why a request about a session was refused.
#[derive(Debug)]
pub(super) enum Problem {
    /// The request has no token.
    NoToken,
    /// The token is unknown, was revoked, or has expired.
    BadToken,
    /// Anything else.
    Api(ApiError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str(NO_TOKEN),
            Self::BadToken => f.write_str(BAD_TOKEN),
            Self::Api(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::BadToken => StatusCode::FORBIDDEN,
            Self::Api(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let (error, text) = match self {
            Self::NoToken => (ApiError::from(Refused::NoToken), NO_TOKEN),
            Self::BadToken => {
                (ApiError::new(StatusCode::FORBIDDEN, Code::InvalidToken, BAD_TOKEN), BAD_TOKEN)
            }
            Self::Api(error) => return error.error_response(),
        };
        let mut body = error.body();
        body["error"] = text.into();
        error.answer(&body)
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoToken => Self::NoToken,
            Refused::Unauthorized => Self::BadToken,
            other => Self::Api(other.into()),
        }
    }
}

impl From<BadParameter> for Problem {
    fn from(bad: BadParameter) -> Self {
        Self::Api(bad.into())
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        Self::Api(error.into())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;
    use serde_json::Value;

    #[actix_web::test]
    async fn two_answers_are_as_the_guide_has_them() {
        for (problem, status, text) in [
            (Problem::from(Refused::NoToken), 401, "Access token required"),
            (Problem::from(Refused::Unauthorized), 403, "Invalid or expired token"),
            (Problem::from(Refused::NotFound), 404, "not_found"),
        ] {
            assert_eq!(problem.status_code().as_u16(), status);
            let answer = problem.error_response();
            assert_eq!(answer.status().as_u16(), status);
            let body = to_bytes(answer.into_body()).await.ok().unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!((&body["error"], &body["status"]), (&Value::from(text), &Value::from(status)));
            assert!(body["code"].is_string() && body["message"].is_string(), "{body}");
        }
    }
}
