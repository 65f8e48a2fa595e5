//! The webhooks that sign with the credentials of a key. A webhook keeps its own key and secret, whatever becomes
//! of the credentials that it was created with.

use http::Method;
use serde_json::Value;

use super::super::{
    client::Client,
    output::{self, cell},
    webhook,
};
use crate::core::{text::counted, webhook::Profile};

/// The webhooks of the map that sign with the key. If they can't be listed, a note says so: the command itself
/// goes on.
pub(super) async fn signing_with(client: &Client, map: &str, key: &str) -> Vec<Value> {
    match client.call(Method::GET, &webhook::base(map), None).await {
        Ok(all) => with_key(&all, key),
        Err(error) => {
            output::note(format_args!(
                "Warning: the webhooks of the map can't be listed, so look yourself for those that sign with the key \
                 {key}: {error}"
            ));
            Vec::new()
        }
    }
}

fn with_key(all: &Value, key: &str) -> Vec<Value> {
    let signs = |webhook: &&Value| webhook["key"] == key && webhook["profile"] == Profile::Pusher.name();
    all.as_array().into_iter().flatten().filter(signs).cloned().collect()
}

/// What to do about the webhooks that sign with an old key, now that there is a new one. `None` if there is nothing
/// to do.
pub(super) fn after_rotation(map: &str, new_key: &str, webhooks: &[Value]) -> Option<String> {
    let changes: Vec<String> = webhooks.iter().map(|webhook| change(map, new_key, webhook)).collect();
    (!changes.is_empty()).then(|| {
        format!(
            "{}: a receiver that has only the new pair refuses these deliveries. When it gets the new pair, give it to \
             the webhook, too (SECRET is the secret above):\n{}",
            signs(webhooks, "with the old key and its secret"),
            changes.join("\n")
        )
    })
}

/// The warning that webhooks sign with a key that is to be deleted. `None` if there are none.
pub(super) fn before_deletion(map: &str, key: &str, webhooks: &[Value]) -> Option<String> {
    let changes: Vec<String> = webhooks.iter().map(|webhook| change(map, "NEWKEY", webhook)).collect();
    (!changes.is_empty()).then(|| {
        format!(
            "Warning: {}, and will go on after the deletion. To give them another key and its secret:\n{}",
            signs(webhooks, &format!("with the key {key} and its secret")),
            changes.join("\n")
        )
    })
}

fn signs(webhooks: &[Value], with: &str) -> String {
    format!("{} {with}", counted(webhooks.len(), "webhook still signs", "webhooks still sign"))
}

/// The commands that give a webhook another key and secret.
fn change(map: &str, key: &str, webhook: &Value) -> String {
    let id = cell(webhook, "id");
    let name = match cell(webhook, "name") {
        name if name.is_empty() => "without a name".to_owned(),
        name => name,
    };
    if webhook["origin"] == "config" {
        return format!("  # {name}: it is in the configuration file; change its key and secret there");
    }
    format!(
        "  # {name}\n  waypost webhook update {map} {id} --key {key}\n  echo SECRET | waypost webhook rotate {map} \
         {id} --secret-file - --overlap-seconds 0"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_commands_for_each_webhook_with_the_key_are_told() {
        let all = json!([
            {"id": "a1", "name": "mine", "key": "old", "profile": "pusher", "origin": "api"},
            {"id": "b2", "name": "filed", "key": "old", "profile": "pusher", "origin": "config"},
            {"id": "c3", "name": "other", "key": "another", "profile": "pusher", "origin": "api"},
            {"id": "d4", "name": "plain", "key": "old", "profile": "standard", "origin": "api"},
        ]);
        let webhooks = with_key(&all, "old");
        let told = after_rotation("shop", "new", &webhooks).unwrap();
        assert_eq!(
            told,
            "2 webhooks still sign with the old key and its secret: a receiver that has only the new pair refuses these \
             deliveries. When it gets the new pair, give it to the webhook, too (SECRET is the secret above):\n  # mine\n  \
             waypost webhook update shop a1 --key new\n  echo SECRET | waypost webhook rotate shop a1 --secret-file - \
             --overlap-seconds 0\n  # filed: it is in the configuration file; change its key and secret there"
        );
        let warned = before_deletion("shop", "old", &webhooks[..1]).unwrap();
        assert!(
            warned.starts_with("Warning: 1 webhook still signs with the key old and its secret, and will")
        );
        assert!(warned.contains("webhook update shop a1 --key NEWKEY\n"), "{warned}");
        let none = with_key(&all, "unused");
        assert_eq!(
            (after_rotation("shop", "new", &none), before_deletion("shop", "unused", &none)),
            (None, None)
        );
    }
}
