//! Signs a body as the senders of a source do: for trying a source, and for tests.

use super::settings::Authentication;
use super::verify::{hmac_of, twilio_signature};
use crate::core::webhook::secret::encoded_key;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The headers with which a sender posts that body. `delivery` tells deliveries apart. A JWT is its sender's
/// own, so `secret` is then the token itself.
pub fn signed_headers(
    authentication: Authentication,
    secret: &str,
    (url, body): (&str, &[u8]),
    now_ms: u64,
    delivery: &str,
) -> Vec<(&'static str, String)> {
    let seconds = (now_ms / 1000).to_string();
    let hex_of = |parts: &[&[u8]]| hex::encode(hmac_of(secret.as_bytes(), parts));
    match authentication {
        Authentication::None => Vec::new(),
        Authentication::ApiKey => vec![("x-api-key", secret.to_owned())],
        Authentication::Jwt => vec![("authorization", format!("Bearer {secret}"))],
        Authentication::GitLab => {
            vec![("x-gitlab-token", secret.to_owned()), ("x-gitlab-event-uuid", delivery.to_owned())]
        }
        Authentication::Hmac => {
            let signature = hex_of(&[now_ms.to_string().as_bytes(), b".", body]);
            vec![
                ("x-webhook-timestamp", now_ms.to_string()),
                ("x-webhook-signature", format!("sha256={signature}")),
            ]
        }
        Authentication::GitHub => vec![
            ("x-github-event", "ping".to_owned()),
            ("x-github-delivery", delivery.to_owned()),
            ("x-hub-signature-256", format!("sha256={}", hex_of(&[body]))),
        ],
        Authentication::Shopify => vec![
            ("x-shopify-topic", "test".to_owned()),
            ("x-shopify-webhook-id", delivery.to_owned()),
            ("x-shopify-hmac-sha256", STANDARD.encode(hmac_of(secret.as_bytes(), &[body]))),
        ],
        Authentication::Stripe => {
            let signature = hex_of(&[seconds.as_bytes(), b".", body]);
            vec![("stripe-signature", format!("t={seconds},v1={signature}"))]
        }
        Authentication::Slack => {
            let signature = hex_of(&[b"v0:", seconds.as_bytes(), b":", body]);
            vec![("x-slack-request-timestamp", seconds), ("x-slack-signature", format!("v0={signature}"))]
        }
        Authentication::Twilio => {
            vec![("x-twilio-signature", STANDARD.encode(twilio_signature(secret.as_bytes(), url, body)))]
        }
        Authentication::Standard | Authentication::Waypost => {
            let key = encoded_key(secret).unwrap_or_else(|| secret.as_bytes().to_vec());
            let signed = format!("{delivery}.{seconds}.");
            let signature = STANDARD.encode(hmac_of(&key, &[signed.as_bytes(), body]));
            vec![
                ("webhook-id", delivery.to_owned()),
                ("webhook-timestamp", seconds),
                ("webhook-signature", format!("v1,{signature}")),
            ]
        }
    }
}
