//! `waypost config import`: writes the apps of another server's configuration as Waypost's.
//!
//! It reads the JSON of Sockudo (`app_manager.array.apps`, `webhooks.batching`), and that of soketi, which
//! has the same apps with names in camel case. What a node would refuse is found before anything is printed: it
//! is left out, and a comment says why.

mod names;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, io::Read, path::Path};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use self::names::{APP, FILTER, LAMBDA, WEBHOOK, left_out, renamed};
use crate::config::{ConfiguredApp, Webhooks};
use crate::core::access::is_slug;
use crate::core::field_error::{FieldError, FieldErrors};
use crate::delivery::webhook::guard::Guard;
use crate::delivery::webhook::{Account, Checks};

/// Where the list of apps can be.
const LISTS: [&str; 6] = [
    "/app_manager/array/apps",
    "/app_manager/apps",
    "/appManager/array/apps",
    "/appManager.array.apps",
    "/app_manager.array.apps",
    "/apps",
];
/// Most events of one request of a webhook that batches.
const BATCH: u32 = 100;

/// A table of the configuration file.
type Table = Map<String, Value>;

/// What was read, and what could not be taken over, with the reasons.
#[derive(Default)]
struct Import {
    apps: Vec<Value>,
    /// The same, as a node would read them.
    read: Vec<ConfiguredApp>,
    /// The functions that webhooks invoke: an operator has to list them.
    functions: BTreeSet<String>,
    /// The networks of targets that are not public.
    networks: BTreeSet<String>,
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
    for (index, app) in listed.iter().enumerate() {
        let name = app.get("id").and_then(text_or_number).unwrap_or_else(|| format!("number {}", index + 1));
        if let Err(why) = import.app(&name, app, batch.as_ref()) {
            import.left_out.insert(format!("the app {name}: {why}"));
        }
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
    /// Takes over an app, and those of its webhooks that can be. An error says why the app can't be.
    fn app(&mut self, name: &str, app: &Value, batch: Option<&Value>) -> Result<(), String> {
        let Value::Object(from) = app else { return Err("it is no object".to_owned()) };
        if from.get("enabled").and_then(Value::as_bool) == Some(false) {
            return Err("it is not enabled".to_owned());
        }
        let mut from = from.clone();
        from.remove("enabled");
        let listed = from.remove("webhooks").unwrap_or_default();
        let mut left = Vec::new();
        let mut to = renamed(from, APP, &mut left);
        let id = to.get("id").and_then(text_or_number);
        to.insert("map".to_owned(), json!(slug_of(id.as_deref().unwrap_or_default(), &self.slugs())));
        if let Some(id) = id {
            to.insert("id".to_owned(), json!(id));
        }
        if let Some(most) = to.get("max_connections").and_then(whole_number) {
            to.remove("max_connections");
            // There, 0 is no limit.
            if most > 0 {
                to.insert("max_connections".to_owned(), json!(most));
            }
        }
        if to.get("origins").and_then(Value::as_array).is_some_and(|origins| origins.contains(&json!("*"))) {
            to.remove("origins");
        }
        self.checked(&to)?;
        let of = format!("app {name}");
        self.left_out.extend(left.iter().map(|setting| left_out(setting, &of)));
        self.webhooks(name, &mut to, &listed, batch);
        let read = self.checked(&to)?;
        self.read.push(read);
        self.apps.push(to.into());
        Ok(())
    }

    fn slugs(&self) -> Vec<String> {
        self.read.iter().map(|app| app.map.clone()).collect()
    }

    /// The app as a node would read it, if a node would take it.
    fn checked(&self, app: &Table) -> Result<ConfiguredApp, String> {
        let read: ConfiguredApp =
            serde_json::from_value(app.clone().into()).map_err(|error| error.to_string())?;
        let faults = read.faults_after(&self.read, &Webhooks::default().defaults());
        if faults.is_empty() { Ok(read) } else { Err(reasons(&faults)) }
    }

    /// Adds the webhooks that can be taken over to their app.
    fn webhooks(&mut self, name: &str, app: &mut Table, listed: &Value, batch: Option<&Value>) {
        if !listed.is_null() && !listed.is_array() {
            self.left_out.insert(format!("the webhooks of the app {name}: they are no list"));
        }
        let mut taken = Vec::new();
        for (index, webhook) in listed.as_array().into_iter().flatten().enumerate() {
            let mut left = Vec::new();
            match self.webhook(app, webhook, batch, &mut left) {
                Ok((webhook, networks)) => {
                    self.networks.extend(networks);
                    let function = webhook.pointer("/lambda/function_name").and_then(Value::as_str);
                    self.functions.extend(function.map(str::to_owned));
                    let of = format!("webhooks of app {name}");
                    self.left_out.extend(left.iter().map(|setting| left_out(setting, &of)));
                    taken.push(webhook);
                }
                Err(why) => {
                    self.left_out.insert(format!("webhook {} of the app {name}: {why}", index + 1));
                }
            }
        }
        if !taken.is_empty() {
            app.insert("webhooks".to_owned(), taken.into());
        }
    }

    /// The webhook as a table, and the networks of its target that a node does not reach unless it is told to.
    /// An error says why the app can't have it.
    fn webhook(
        &self,
        app: &Table,
        webhook: &Value,
        batch: Option<&Value>,
        left: &mut Vec<String>,
    ) -> Result<(Value, Vec<String>), String> {
        let Value::Object(from) = webhook else { return Err("it is no object".to_owned()) };
        let has = |name: &str| from.get(name).is_some_and(|value| !value.is_null());
        if has("lambda_function") && !has("lambda") && !has("url") {
            let why = "lambda_function names no region: it has to be `lambda` with function_name and region";
            return Err(why.to_owned());
        }
        let mut to = renamed(from.clone(), WEBHOOK, left);
        for (name, names) in [("lambda", LAMBDA), ("filter", FILTER)] {
            if let Some(Value::Object(inner)) = to.get(name).cloned() {
                to.insert(name.to_owned(), renamed(inner, names, left).into());
            }
        }
        if let Some(batch) = batch {
            to.insert("batch".to_owned(), batch.clone());
        }
        let to = Value::from(to);
        let mut alone = app.clone();
        alone.insert("webhooks".to_owned(), vec![to.clone()].into());
        let read = self.checked(&alone)?;
        let networks = check_target(&read)?;
        Ok((to, networks))
    }

    fn toml(&self) -> anyhow::Result<String> {
        let notes: String = self
            .left_out
            .iter()
            .map(|left| format!("# Not taken over: {}\n", left.replace(char::is_control, " ")))
            .collect();
        ensure!(!self.apps.is_empty(), "no app can be taken over\n{notes}");
        let mut text = String::from("# Each app needs a map. Create the maps once, with the admin token:\n");
        for slug in self.slugs() {
            text.push_str(&format!("#   waypost map create --slug {slug} --requests-per-minute none\n"));
        }
        text.push_str(&notes);
        for network in &self.networks {
            let need = format!(
                "# Some webhooks lead to {network}, which is not public: nodes need it in webhooks.allow_nets.\n"
            );
            text.push_str(&need);
        }
        let mut tree = json!({ "apps": self.apps });
        if !self.functions.is_empty() {
            text.push_str("# webhooks.aws.functions, at the end, allows the functions of these webhooks.\n");
            tree["webhooks"] = json!({"aws": {"functions": self.functions}});
        }
        let table: toml::Table = serde_json::from_value(tree)?;
        text.push('\n');
        text.push_str(&toml::to_string(&table)?);
        Ok(text)
    }
}

/// Checks where the only webhook of the app leads, as `config check` does it. Returns the networks that are not
/// public: whether nodes may reach them is for their configuration to say.
fn check_target(app: &ConfiguredApp) -> Result<Vec<String>, String> {
    let settings = Webhooks::default();
    let guard = Guard::new(settings.allow_nets.clone()).denying(settings.deny_nets.clone());
    let account = Account { functions: vec!["*".to_owned()], ..Account::default() };
    let mut faults = FieldErrors::default();
    for webhook in &app.webhooks {
        let (mut plain, mut found) = webhook.read(&settings.defaults());
        plain.check(&Checks::new(&guard, &account), &mut found);
        faults.append(found);
    }
    if faults.iter().any(|fault| fault.network.is_none()) {
        return Err(reasons(&faults));
    }
    Ok(faults.iter().filter_map(|fault| fault.network.clone()).collect())
}

/// The faults of an app, or of its only webhook.
fn reasons(faults: &FieldErrors) -> String {
    let told = |FieldError { field, message, .. }: &FieldError| {
        let field = field.strip_prefix("webhooks.0.").unwrap_or(field);
        format!("{field}: {message}")
    };
    faults.iter().map(told).collect::<Vec<_>>().join("; ")
}

/// A whole number, which may be written as a text.
fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
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
