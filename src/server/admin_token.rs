//! The admin token that a cluster generates itself. The node that generated it prints it once.

use crate::core::access::hash_token;
use crate::hub::Hub;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::time::Duration;

/// Pause between two attempts to store the generated admin token.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Generates an admin token if neither the configuration nor the cluster has one, and prints it once.
pub(super) async fn make(hub: Hub, configured: bool) {
    if configured {
        return;
    }
    let mut random = [0u8; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        tracing::error!(%error, "no random bytes for an admin token");
        return;
    }
    let token = format!("wpa_{}", URL_SAFE_NO_PAD.encode(random));
    let hash = hash_token(&token);
    loop {
        let known = hub.log().barrier().await.map(|_| hub.access().known().admin().copied());
        match known {
            Ok(Some(kept)) => {
                if kept == hash {
                    println!("admin token (shown only now, keep it): {token}");
                }
                return;
            }
            Ok(None) => {
                // The next round finds out whether the token was stored, even if the answer was lost.
                if let Err(error) = hub.access().offer_admin(hash).await {
                    tracing::debug!(%error, "the admin token could not be stored yet");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                continue;
            }
            Err(error) => tracing::debug!(%error, "waiting for a leader before the admin token is made"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}
