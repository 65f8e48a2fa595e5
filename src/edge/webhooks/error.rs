//! Errors of the webhook API. They are the usual ones, except for two whose texts the first API of its kind
//! fixed.

use crate::core::command::Refusal;
use crate::core::error_code::Code;
use crate::core::field_error::{FieldCode, FieldError, FieldErrors};
use crate::core::limits::LimitName;
use crate::delivery::webhook::{PreviewError, TestError};
use crate::edge::audit::facts::ErrorCode;
use crate::edge::error::ApiError;
use crate::hub::{ArchiveError, EncryptionError, HubError};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;
use std::fmt;

/// Why a request about webhooks was refused.
#[derive(Debug)]
pub(in crate::edge) enum Problem {
    /// There is no such webhook on the map.
    NoWebhook,
    /// There is no such consumer on the map.
    NoConsumer,
    /// The body has faults.
    Invalid(FieldErrors),
    /// Anything else.
    Api(ApiError),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWebhook => f.write_str("no such webhook"),
            Self::NoConsumer => f.write_str("no such consumer"),
            Self::Invalid(errors) => errors.fmt(f),
            Self::Api(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NoWebhook | Self::NoConsumer => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Api(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let (mut response, code) = match self {
            Self::NoWebhook => (
                HttpResponse::NotFound().json(json!({
                    "error": "Webhook not found",
                    "code": Code::WebhookNotFound,
                    "message": "the map has no such webhook",
                    "hint": "the list of the map's webhooks has their ids",
                    "status": 404,
                })),
                Code::WebhookNotFound,
            ),
            Self::Invalid(errors) => (
                HttpResponse::BadRequest().json(json!({
                    "error": "Validation failed",
                    "details": errors.messages(),
                    "errors": errors,
                    "code": Code::ValidationFailed,
                    "message": errors.to_string(),
                    "hint": hint(errors),
                    "status": 400,
                })),
                Code::ValidationFailed,
            ),
            Self::NoConsumer => return no_consumer().error_response(),
            Self::Api(error) => return error.error_response(),
        };
        response.extensions_mut().insert(ErrorCode(code));
        response
    }
}

/// 404: the map has no consumer of that name.
pub(in crate::edge) fn no_consumer() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, Code::ConsumerNotFound, "the map has no such consumer")
        .hint("the list of the map's consumers has their names")
}

/// What the caller can do about a body with faults.
fn hint(errors: &FieldErrors) -> String {
    // Only the sender can choose a public address. Which other addresses may be reached is for the operator
    // to decide.
    if errors.have(FieldCode::NotPublic) {
        let network = errors.iter().find_map(|error| error.network.as_deref()).unwrap_or("10.0.0.0/8");
        format!(
            "webhooks.allow_nets opens private networks, as in WAYPOST_WEBHOOKS_ALLOW_NETS={network}: set it on all \
             nodes, each of which reads it at its start; `waypost dev` opens loopback"
        )
    } else {
        "nothing was changed; docs/openapi.yaml has all fields and their bounds".to_owned()
    }
}

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::Invalid(errors)
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::UnknownWebhook => Self::NoWebhook,
            taken @ Refusal::TargetTaken(_) => Self::Api(ApiError::from(taken).hint(
                "one receiver would get every event twice; change that webhook, or make the targets differ, as in \
                 …/hook?for=kills",
            )),
            other => Self::Api(other.into()),
        }
    }
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Refused(refusal) => refusal.into(),
            other => Self::Api(other.into()),
        }
    }
}

impl From<ArchiveError> for Problem {
    fn from(error: ArchiveError) -> Self {
        Self::Api(error.into())
    }
}

impl From<EncryptionError> for Problem {
    fn from(error: EncryptionError) -> Self {
        let unavailable = ApiError::unavailable(error.to_string());
        Self::Api(match error {
            EncryptionError::NotYet => unavailable,
            EncryptionError::Wrong => unavailable
                .hint("nothing was changed; set webhooks.secret_key back to its old value, or create the webhook anew"),
            EncryptionError::Failed(_) => {
                tracing::error!(%error, "a webhook could not be encrypted");
                unavailable
            }
        })
    }
}

impl From<TestError> for Problem {
    fn from(error: TestError) -> Self {
        match error {
            TestError::Encryption(error) => error.into(),
            TestError::Hub(error) => error.into(),
            TestError::Busy => Self::Api(ApiError::unavailable(error.to_string()).of(LimitName::Fixed)),
            TestError::Settings(_) => {
                let message = error.to_string();
                let error = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, Code::WebhookUnusable, message);
                Self::Api(error.hint("change the settings of the webhook"))
            }
        }
    }
}

impl From<PreviewError> for Problem {
    fn from(error: PreviewError) -> Self {
        match error {
            PreviewError::Settings(why) => TestError::Settings(why).into(),
            PreviewError::Archive(error) => error.into(),
        }
    }
}
