//! The apps in the configuration file, each with its webhooks.

use super::Config;
use super::webhooks::ConfiguredWebhook;
use crate::core::app::AppSettings;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::json::Members;
use crate::core::webhook::Defaults;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// One app of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfiguredApp {
    /// Id or slug of its map.
    pub map: String,
    /// Its settings.
    pub settings: AppSettings,
    /// Its webhooks, `[[apps.webhooks]]`.
    pub webhooks: Vec<ConfiguredWebhook>,
    /// The faults that the settings have by themselves.
    faults: FieldErrors,
}

impl Config {
    /// The webhooks of the file, also those of its apps.
    pub fn listed_webhooks(&self) -> impl Iterator<Item = &ConfiguredWebhook> {
        self.webhooks.listed.iter().chain(self.apps.iter().flat_map(|app| &app.webhooks))
    }
}

impl ConfiguredApp {
    /// The faults of an app that stands after these in the file, as they are found when the file is loaded.
    pub fn faults_after(&self, before: &[Self], defaults: &Defaults) -> FieldErrors {
        let webhooks = before.iter().flat_map(|app| &app.webhooks);
        let mut names = webhooks.filter_map(|webhook| Some((&*webhook.map, webhook.patch.name()?))).collect();
        let mut errors = self.errors(defaults, &mut names);
        self.add_conflicts(before, &mut errors);
        errors
    }

    fn add_conflicts(&self, before: &[Self], errors: &mut FieldErrors) {
        let AppSettings { id, key, .. } = &self.settings;
        if key.is_some() && before.iter().any(|other| other.settings.key == *key) {
            errors.add("key", FieldCode::Conflict, "another app has it");
        }
        if id.is_some() && before.iter().any(|other| other.settings.id == *id && other.map != self.map) {
            errors.add("id", FieldCode::Conflict, "an app of another map has it");
        }
    }

    /// The faults of the app. `names` are maps and names of webhooks that stand before its own.
    fn errors<'c>(&'c self, defaults: &Defaults, names: &mut BTreeSet<(&'c str, &'c str)>) -> FieldErrors {
        let mut errors = FieldErrors::default();
        if self.map.is_empty() {
            errors.require("map");
        }
        let AppSettings { id, key, secret, .. } = &self.settings;
        let required = [
            ("id", "app_id", id.is_none()),
            ("key", "key", key.is_none()),
            ("secret", "secret", secret.is_none()),
        ];
        for (name, as_read, is_missing) in required {
            if is_missing && !self.faults.concern(as_read) {
                errors.require(name);
            }
        }
        errors.append(self.faults.clone());
        // Without these, every webhook would only repeat their faults.
        let webhooks = if errors.is_empty() { &self.webhooks[..] } else { &[] };
        for (index, webhook) in webhooks.iter().enumerate() {
            for fault in webhook.errors(defaults).iter() {
                errors.add(format!("webhooks.{index}.{}", fault.field), fault.code, &fault.message);
            }
            let is_taken = webhook.patch.name().is_some_and(|name| !names.insert((&webhook.map, name)));
            if is_taken {
                let message = "another webhook of the map has it";
                errors.add(format!("webhooks.{index}.name"), FieldCode::Conflict, message);
            }
        }
        errors
    }
}

/// The faults of the apps in the file: the index of each faulty one, and why it is faulty.
pub(super) fn app_faults(config: &Config) -> Vec<(usize, String)> {
    let apps = &config.apps;
    let defaults = config.webhooks.defaults();
    let listed = config.webhooks.listed.iter();
    let mut names = listed.filter_map(|webhook| Some((&*webhook.map, webhook.patch.name()?))).collect();
    let faults = apps.iter().enumerate().filter_map(|(index, app)| {
        let mut errors = app.errors(&defaults, &mut names);
        app.add_conflicts(&apps[..index], &mut errors);
        (!errors.is_empty()).then(|| (index, errors.to_string()))
    });
    faults.collect()
}

impl<'de> Deserialize<'de> for ConfiguredApp {
    /// `map`, `webhooks`, and beside them the settings that the API takes. Faults in those settings are
    /// reported later, when the whole configuration is checked.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Map::<String, Value>::deserialize(deserializer)?;
        let wrong = <D::Error as serde::de::Error>::custom::<&str>;
        let map = match table.remove("map") {
            Some(Value::String(map)) => map,
            Some(_) => return Err(wrong("map must be a string, the id or slug of a map")),
            None => String::new(),
        };
        let listed = match table.remove("webhooks") {
            Some(Value::Array(listed)) => listed,
            Some(_) => return Err(wrong("webhooks must be tables")),
            None => Vec::new(),
        };
        let text = Value::Object(table).to_string();
        let mut members = Members::of(&text);
        let settings = AppSettings::read(&mut members);
        let faults = members.finish();
        let webhooks = listed.into_iter().enumerate().map(|(index, table)| {
            let Value::Object(table) = table else { return Err(wrong("webhooks must be tables")) };
            let table = Value::Object(of_app(table, &map, &settings, index));
            ConfiguredWebhook::deserialize(table).map_err(serde::de::Error::custom)
        });
        Ok(Self { webhooks: webhooks.collect::<Result<_, _>>()?, map, settings, faults })
    }
}

/// The webhook of an app: what it does not say is the app's.
fn of_app(table: Map<String, Value>, map: &str, settings: &AppSettings, index: usize) -> Map<String, Value> {
    let key = settings.key.as_deref().unwrap_or_default();
    let secret = settings.secret.as_ref().map(|secret| secret.expose());
    let usual = [
        ("map", json!(map)),
        ("name", json!(format!("{key}-{}", index + 1))),
        ("profile", json!("pusher")),
        ("key", json!(key)),
        ("secret", json!(secret)),
    ];
    let mut whole: Map<String, Value> =
        usual.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    whole.extend(table);
    whole
}
