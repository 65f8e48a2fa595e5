//! The demo map of `waypost dev`, and its tokens.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        client::{Client, ClientError},
        output::cell,
    },
    home::Home,
};

/// Longest wait for a leader.
const PATIENCE: Duration = Duration::from_secs(30);

/// The slug of the demo map.
pub(super) const SLUG: &str = "demo";

/// The id, the key and the secret of the demo map's app.
pub(super) const APP_ID: &str = "1";
pub(super) const KEY: &str = "demo-key";
pub(super) const SECRET: &str = "demo-secret";

/// Names of the files with the tokens, in the directory of `waypost dev`.
const ADMIN_FILE: &str = "admin-token";
const DEMO_FILE: &str = "demo-token";

/// The demo map, as the printed commands need it.
pub(super) struct Demo {
    /// The map's id.
    pub(super) id: String,
    /// A token with all scopes.
    pub(super) token: String,
}

/// The admin token of the environment, otherwise that of an earlier run, otherwise a new one of 256 random
/// bits.
pub(super) fn admin_token(home: &Home) -> anyhow::Result<String> {
    if let Ok(token) = std::env::var("WAYPOST_ADMIN_TOKEN")
        && !token.is_empty()
    {
        return Ok(token);
    }
    if let Some(token) = home.kept(ADMIN_FILE) {
        return Ok(token);
    }
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits)?;
    let token = format!("wpa_{}", hex::encode(bits));
    home.keep(ADMIN_FILE, &token)?;
    Ok(token)
}

/// Creates the demo map and its app. If an earlier run created the map, that run's token is used.
pub(super) async fn prepare(url: &str, admin: &str, home: &Home) -> anyhow::Result<Demo> {
    let client = Client::at(url.to_owned(), admin.to_owned());
    let demo = map(&client, url, home).await?;
    app(&client).await?;
    Ok(demo)
}

/// Creates the app of the demo map, unless an earlier run did.
async fn app(client: &Client) -> Result<(), ClientError> {
    let app = json!({"app_id": APP_ID, "key": KEY, "secret": SECRET, "client_events": true});
    match patiently(client, Method::POST, &format!("/api/maps/{SLUG}/pusher"), Some(&app)).await {
        Err(ClientError::Refused { code, .. }) if code == "key_taken" => Ok(()),
        made => made.map(drop),
    }
}

async fn map(client: &Client, url: &str, home: &Home) -> anyhow::Result<Demo> {
    let map = json!({"slug": SLUG, "name": "Demo"});
    let demo = match patiently(client, Method::POST, "/api/maps", Some(&map)).await {
        Err(ClientError::Refused { code, .. }) if code == "slug_taken" => match kept(url, home).await? {
            Some(demo) => return Ok(demo),
            None => renew(client).await?,
        },
        Err(error) => return Err(error.into()),
        Ok(map) => {
            // A map with rules keeps them when it gets its app: the events of its subjects are stored.
            let rules = json!([{"match": "lobby", "durability": "durable"}]);
            patiently(client, Method::PUT, &format!("/api/maps/{SLUG}/channel-rules"), Some(&rules)).await?;
            Demo { id: cell(&map, "id"), token: cell(&map, "token") }
        }
    };
    home.keep(DEMO_FILE, &demo.token)?;
    Ok(demo)
}

/// The demo map with the token of an earlier run, if the token is still valid.
async fn kept(url: &str, home: &Home) -> Result<Option<Demo>, ClientError> {
    let Some(token) = home.kept(DEMO_FILE) else { return Ok(None) };
    let client = Client::at(url.to_owned(), token.clone());
    match patiently(&client, Method::GET, &format!("/api/maps/{SLUG}"), None).await {
        Ok(map) => Ok(Some(Demo { id: cell(&map, "id"), token })),
        Err(ClientError::Refused { status: 401 | 403, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The demo map with a new token, which replaces a lost one.
async fn renew(client: &Client) -> Result<Demo, ClientError> {
    const NAME: &str = "dev";
    let map = patiently(client, Method::GET, &format!("/api/maps/{SLUG}"), None).await?;
    let tokens = format!("/api/maps/{SLUG}/tokens");
    let list = patiently(client, Method::GET, &tokens, None).await?;
    for old in list.as_array().into_iter().flatten().filter(|token| cell(token, "name") == NAME) {
        patiently(client, Method::DELETE, &format!("{tokens}/{}", cell(old, "id")), None).await?;
    }
    let wish = json!({"name": NAME, "scopes": ["subscribe", "publish", "presence", "manage"]});
    let token = patiently(client, Method::POST, &tokens, Some(&wish)).await?;
    Ok(Demo { id: cell(&map, "id"), token: cell(&token, "token") })
}

/// Repeats a request until it succeeds: a new cluster may change its leader once more while its nodes join.
async fn patiently(
    client: &Client,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, ClientError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match client.call(method.clone(), path, body).await {
            Err(error) if error.passes() && Instant::now() < deadline => {
                sleep(Duration::from_millis(200)).await
            }
            result => return result,
        }
    }
}
