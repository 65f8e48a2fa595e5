//! `waypost config import`: writes the apps of another server's configuration as Waypost's.
//!
//! It reads the JSON of Sockudo (`app_manager.array.apps`, `webhooks.batching`), and that of soketi, which
//! has the same apps with names in camel case.

use std::{collections::BTreeSet, io::Read, path::Path};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use crate::core::access::is_slug;

/// Where the list of apps can be.
const LISTS: [&str; 6] = [
    "/app_manager/array/apps",
    "/app_manager/apps",
    "/appManager/array/apps",
    "/appManager.array.apps",
    "/app_manager.array.apps",
    "/apps",
];
/// Settings of an app: the names in the other file, and the name here.
const SETTINGS: [(&[&str], &str); 6] = [
    (&["id"], "id"),
    (&["key"], "key"),
    (&["secret"], "secret"),
    (&["enable_client_messages", "enableClientMessages"], "client_events"),
    (&["allowed_origins", "allowedOrigins"], "origins"),
    (&["max_connections", "maxConnections"], "max_connections"),
];
/// Settings of a webhook: the names in the other file, and the name here.
const WEBHOOK: [(&[&str], &str); 5] = [
    (&["url"], "url"),
    (&["lambda"], "lambda"),
    (&["event_types", "eventTypes"], "events"),
    (&["headers"], "headers"),
    (&["filter"], "filter"),
];
/// Settings of a function, of which the names differ in camel case only.
const LAMBDA: [(&[&str], &str); 4] = [
    (&["function_name", "functionName"], "function_name"),
    (&["region"], "region"),
    (&["invocation_type", "invocationType"], "invocation_type"),
    (&["qualifier"], "qualifier"),
];
/// Settings of a filter.
const FILTER: [(&[&str], &str); 2] = [
    (&["channel_type", "channelType"], "channel_type"),
    (&["channel_prefix", "channelPrefix", "channel_name_starts_with"], "channel_prefix"),
];
/// Most events of one request of a webhook that batches.
const BATCH: u32 = 100;

/// What was read, and what could not be taken over.
#[derive(Default)]
struct Import {
    apps: Vec<Value>,
    slugs: Vec<String>,
    left_out: BTreeSet<String>,
}

/// Prints the apps of the file as TOML. `-` is standard input.
pub(super) fn text_of(file: &Path) -> anyhow::Result<String> {
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        text
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
    };
    toml_of(&text)
}

fn toml_of(text: &str) -> anyhow::Result<String> {
    let tree: Value = serde_json::from_str(text).context("the file is not JSON")?;
    let Some(listed) = LISTS.iter().find_map(|path| tree.pointer(path)).and_then(Value::as_array) else {
        bail!("the file has no list app_manager.array.apps");
    };
    let batch = batching(&tree);
    let mut import = Import::default();
    for app in listed {
        import.app(app, batch.as_ref())?;
    }
    import.toml()
}

/// The batches of all webhooks, if the file enables them.
fn batching(tree: &Value) -> Option<Value> {
    let batching = tree.pointer("/webhooks/batching")?;
    let is_on = batching.get("enabled").and_then(Value::as_bool).unwrap_or(false);
    let duration_ms = batching.get("duration").and_then(Value::as_u64).unwrap_or(50);
    is_on.then(|| json!({"max": BATCH, "duration_ms": duration_ms}))
}

impl Import {
    fn app(&mut self, app: &Value, batch: Option<&Value>) -> anyhow::Result<()> {
        let Value::Object(from) = app else { bail!("an app is no object") };
        let id = from.get("id").and_then(text_or_number).context("an app has no id")?;
        if from.get("enabled").and_then(Value::as_bool) == Some(false) {
            self.left_out.insert(format!("the app {id}, which is not enabled"));
            return Ok(());
        }
        let mut to = Map::new();
        let slug = slug_of(&id, &self.slugs);
        to.insert("map".to_owned(), json!(slug));
        let mut from = from.clone();
        from.remove("enabled");
        let listed = from.remove("webhooks");
        to.append(&mut self.renamed(&format!("app {id}"), from, &SETTINGS));
        to.insert("id".to_owned(), json!(id));
        // There, 0 is no limit.
        if to.get("max_connections").and_then(Value::as_i64).is_some_and(|most| most <= 0) {
            to.remove("max_connections");
        }
        if to.get("origins").and_then(Value::as_array).is_some_and(|origins| origins.contains(&json!("*"))) {
            to.remove("origins");
        }
        let webhooks = listed.as_ref().and_then(Value::as_array).into_iter().flatten();
        let webhooks: Vec<Value> = webhooks.filter_map(|webhook| self.webhook(&id, webhook, batch)).collect();
        if !webhooks.is_empty() {
            to.insert("webhooks".to_owned(), webhooks.into());
        }
        self.slugs.push(slug);
        self.apps.push(to.into());
        Ok(())
    }

    fn webhook(&mut self, id: &str, webhook: &Value, batch: Option<&Value>) -> Option<Value> {
        let of = format!("webhooks of app {id}");
        let mut to = self.renamed(&of, webhook.as_object()?.clone(), &WEBHOOK);
        for (name, names) in [("lambda", &LAMBDA[..]), ("filter", &FILTER[..])] {
            if let Some(Value::Object(inner)) = to.remove(name) {
                let inner = self.renamed(&of, inner, names);
                to.insert(name.to_owned(), inner.into());
            }
        }
        if let Some(batch) = batch {
            to.insert("batch".to_owned(), batch.clone());
        }
        Some(to.into())
    }

    /// The known settings under the names that they have here. The others are noted.
    fn renamed(
        &mut self,
        of: &str,
        mut from: Map<String, Value>,
        names: &[(&[&str], &str)],
    ) -> Map<String, Value> {
        let mut to = Map::new();
        for (theirs, ours) in names {
            let found = theirs.iter().filter_map(|name| from.remove(*name)).next();
            if let Some(value) = found.filter(|value| !value.is_null()) {
                to.insert((*ours).to_owned(), value);
            }
        }
        self.left_out.extend(from.keys().map(|name| format!("{name} ({of})")));
        to
    }

    fn toml(&self) -> anyhow::Result<String> {
        let mut text = String::from("# Each app needs a map. Create the maps once, with the admin token:\n");
        for slug in &self.slugs {
            text.push_str(&format!("#   waypost map create --slug {slug}\n"));
        }
        for left in &self.left_out {
            text.push_str(&format!("# Not taken over: {}\n", left.replace(char::is_control, " ")));
        }
        let table: toml::Table = serde_json::from_value(json!({ "apps": self.apps }))?;
        text.push('\n');
        text.push_str(&toml::to_string(&table)?);
        Ok(text)
    }
}

fn text_or_number(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A slug for the map of the app: as much of the app id as a slug may have, and a number if another app has
/// it.
fn slug_of(id: &str, taken: &[String]) -> String {
    let small = id.to_ascii_lowercase();
    let safe = small.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' });
    let safe: String = safe.skip_while(|c| !c.is_ascii_alphanumeric()).take(50).collect();
    let base = if is_slug(&safe) { safe } else { format!("app-{safe}") };
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    std::iter::once(base.clone()).chain(numbered).find(|slug| !taken.contains(slug)).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::config::Loader;
    use crate::core::webhook::Profile;

    /// The configuration of the Sockudo guide.
    const SOCKUDO: &str = r#"{
        "webhooks": {"batching": {"enabled": true, "duration": 50}},
        "app_manager": {"driver": "memory", "array": {"apps": [{
            "id": "my-app", "key": "my-key", "secret": "my-secret", "enable_client_messages": true,
            "max_connections": "7", "enable_watchlist_events": true,
            "webhooks": [
                {"url": "https://yourapi.com/sockudo/webhooks",
                 "event_types": ["channel_occupied", "channel_vacated"],
                 "headers": {"Authorization": "Bearer x"}},
                {"lambda": {"function_name": "sockudoPresenceHandler", "region": "us-east-1",
                            "invocation_type": "Event", "qualifier": "PROD"},
                 "event_types": ["member_added", "member_removed"],
                 "filter": {"channel_type": "presence", "channel_prefix": "presence-"}}
            ]}]}}}"#;

    fn loaded(json: &str) -> crate::config::Config {
        let text = toml_of(json).unwrap();
        Loader::default().toml(&text, Path::new("import")).unwrap().finish().unwrap().config
    }

    #[test]
    fn the_guide_s_configuration_is_taken_over() {
        let json = SOCKUDO.replace("\"7\"", "7");
        let text = toml_of(&json).unwrap();
        assert!(text.contains("# Not taken over: enable_watchlist_events (app my-app)"), "{text}");
        assert!(text.contains("waypost map create --slug my-app"), "{text}");
        let config = loaded(&json);
        let [app] = &config.apps[..] else { panic!("{text}") };
        assert_eq!((app.map.as_str(), app.settings.id.as_deref()), ("my-app", Some("my-app")));
        assert_eq!(app.settings.secret.as_ref().map(|secret| secret.expose()), Some("my-secret"));
        assert_eq!((app.settings.client_events, app.settings.max_connections), (true, Some(7)));
        let webhooks: Vec<_> = config.listed_webhooks().collect();
        assert_eq!(webhooks.len(), 2);
        for webhook in webhooks {
            let plain = webhook.read(&config.webhooks.defaults()).0;
            assert_eq!(
                (plain.webhook.profile, plain.webhook.key.as_deref()),
                (Profile::Pusher, Some("my-key"))
            );
            assert_eq!(plain.webhook.batch.map(|batch| batch.duration_ms), Some(50));
        }
    }

    #[test]
    fn apps_of_soketi_are_taken_over() {
        let json = r#"{"appManager.array.apps": [
            {"id": 7, "key": "a", "secret": "b", "enableClientMessages": false, "maxConnections": -1},
            {"id": "7.", "key": "c", "secret": "d", "allowedOrigins": ["*"]},
            {"id": "off", "key": "e", "secret": "f", "enabled": false}
        ]}"#;
        let config = loaded(json);
        let of = |app: &crate::config::ConfiguredApp| (app.map.clone(), app.settings.max_connections);
        assert_eq!(config.apps.iter().map(of).collect::<Vec<_>>(), [("7".into(), None), ("7-".into(), None)]);
        assert!(config.apps.iter().all(|app| app.settings.origins.is_empty()));
        assert!(toml_of(json).unwrap().contains("the app off, which is not enabled"));
    }

    #[test]
    fn slugs_are_valid_and_differ() {
        for (id, slug) in [("My App", "my-app"), ("--x", "x"), ("", "app-"), ("1234", "1234"), ("ä", "app-")]
        {
            assert_eq!(slug_of(id, &[]), slug, "{id}");
        }
        assert!(is_slug(&slug_of(&"a".repeat(99), &[])));
        assert_eq!(slug_of("x", &["x".into(), "x-2".into()]), "x-3");
    }

    #[test]
    fn files_without_apps_are_refused() {
        for bad in ["", "[]", "{}", r#"{"apps": {}}"#, r#"{"apps": [7]}"#, r#"{"apps": [{"key": "a"}]}"#] {
            assert!(toml_of(bad).is_err(), "{bad}");
        }
    }
}
