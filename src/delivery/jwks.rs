//! Fetches the keys of issuers that publish them at a URL. It goes where webhooks may go: the same policy for
//! addresses, checked whenever a name is resolved.

use super::webhook::client::{Client, Outside};
use super::webhook::guard::{Guard, Host, Target, special};
use crate::core::jwt::MAX_JWKS_LEN;
use crate::hub::{Hub, KeyRequest};
use actix_rt::{Arbiter, ArbiterHandle};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Longest time of one fetch.
const WITHIN: Duration = Duration::from_secs(5);

/// Checks the URL of an issuer's keys: HTTPS, or HTTP to a host inside a network that the configuration
/// allows.
///
/// # Errors
/// What is wrong, in words.
pub fn key_url(guard: &Guard, url: &str) -> Result<Target, String> {
    let target = guard.target(url).map_err(|error| error.to_string())?;
    if target.tls() || is_inside(target.host()) {
        return Ok(target);
    }
    Err("must begin with https://".to_owned())
}

/// Whether the host is inside a network. The guard has let it pass, so its network is allowed.
fn is_inside(host: &Host) -> bool {
    match host {
        Host::Ip(ip) => special(*ip).is_some(),
        Host::Name(name) => !name.contains('.'),
    }
}

/// Starts to fetch on a thread of its own what the node's client tokens ask for. A host that hangs holds up
/// the fetches of its own map alone: how many of a map may be under way is limited where they are asked for.
pub fn start(hub: &Hub, outside: &Outside) {
    let Some(requests) = hub.access().clients().take_key_requests() else { return };
    let (hub, outside) = (hub.clone(), outside.clone());
    let arbiter = Arbiter::new();
    let handle: ArbiterHandle = arbiter.handle();
    handle.spawn_fn(move || {
        actix_rt::spawn(run(hub, outside, requests));
    });
}

async fn run(hub: Hub, outside: Outside, mut requests: mpsc::Receiver<KeyRequest>) {
    let client = Rc::new(Client::new(&outside));
    while let Some(request) = requests.recv().await {
        let (hub, client, guard) = (hub.clone(), client.clone(), outside.guard().clone());
        actix_rt::spawn(async move {
            let document = fetch(&client, &guard, &request.url).await;
            hub.access().clients().keys_came(&request, document);
        });
    }
}

async fn fetch(client: &Client, guard: &Guard, url: &str) -> Result<String, String> {
    let target = key_url(guard, url)?;
    let document = client.fetch(&target, MAX_JWKS_LEN, WITHIN).await.map_err(|error| error.to_string())?;
    String::from_utf8(document.into()).map_err(|_| "the document is not UTF-8".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_inside() {
        let open = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
        for (guard, url, good) in [
            (&Guard::default(), "https://example.com/keys", true),
            (&Guard::default(), "http://example.com/keys", false),
            (&Guard::default(), "http://127.0.0.1/keys", false),
            (&Guard::default(), "https://127.0.0.1/keys", false),
            (&open, "http://127.0.0.1:9/keys", true),
            (&open, "http://localhost:9/keys", true),
            (&open, "http://example.com/keys", false),
            (&open, "ftp://127.0.0.1/keys", false),
        ] {
            assert_eq!(key_url(guard, url).is_ok(), good, "{url}");
        }
    }
}
