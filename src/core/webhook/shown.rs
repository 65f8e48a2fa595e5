//! A webhook as it is shown: the API answers with this type, the command line prints it, and
//! docs/openapi.yaml describes it. Secrets are masked. A caller may send every field back in an update.

use super::mask::{MASK, is_of_chat, masked_url};
use super::{Batch, Invocation, Method, Origin, Private, RateLimit, TopicKind, Webhook};
use crate::core::time::iso_millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Fields that have another name in a compatibility API: our name, and theirs.
pub const ALIASES: [(&str, &str); 2] = [("active", "enabled"), ("inserted_at", "created_at")];

/// A webhook's settings and the state of its delivery. The fields have the order in which people read them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ShownWebhook {
    /// Its settings.
    #[serde(flatten)]
    pub settings: Settings,
    /// The state of its delivery.
    #[serde(flatten)]
    pub state: State,
    /// The secret. Only the answer to the request that made it has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// The settings of a webhook as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "docs/openapi.yaml describes each field")]
pub struct Settings {
    pub id: String,
    pub map_id: String,
    pub name: String,
    pub url: Option<String>,
    pub target: Target,
    pub profile: String,
    pub method: String,
    pub key: Option<String>,
    pub events: Vec<String>,
    pub filter: Option<Filter>,
    pub ordering: String,
    pub ordering_key: Option<String>,
    pub rate_limit: Option<RateLimit>,
    pub batch: Option<Batch>,
    pub retry: Retry,
    pub timeout_ms: u32,
    pub auto_disable_seconds: Option<u64>,
    pub headers: BTreeMap<String, String>,
    pub template: Option<String>,
    pub content_type: Option<String>,
    pub active: bool,
    pub origin: String,
    pub inserted_at: String,
    pub updated_at: String,
}

/// The state of a webhook's delivery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "docs/openapi.yaml describes each field")]
pub struct State {
    pub state: String,
    pub disabled_reason: Option<String>,
    pub disabled_at: Option<String>,
    pub secret_previous_until: Option<String>,
    pub owner: Option<u64>,
    pub owner_name: Option<String>,
    pub queue_depth: u64,
    pub oldest_at: Option<String>,
    pub request_ms: Option<u64>,
    pub retrying: u64,
    pub dead_letters: u64,
    pub delivered: u64,
    pub failed_attempts: u64,
    pub given_up: u64,
    pub missed: u64,
    pub losing_since: Option<String>,
    pub success_rate: Option<f64>,
    pub consecutive_failures: u64,
    pub failing_since: Option<String>,
    pub last_delivery_at: Option<String>,
    pub last_error: Option<String>,
    pub next_attempt_at: Option<String>,
    pub warnings: Vec<String>,
}

/// Where a webhook's requests go. Only the type is shown if the target can't be decrypted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Target {
    /// An HTTP or HTTPS target.
    Http {
        /// The URL. A chat's URL is masked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// A function of AWS Lambda.
    Lambda {
        /// The function.
        #[serde(flatten)]
        function: Option<Function>,
    },
}

impl Default for Target {
    fn default() -> Self {
        Self::Http { url: None }
    }
}

/// A function of AWS Lambda.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "docs/openapi.yaml describes each field")]
pub struct Function {
    pub function_name: String,
    pub region: String,
    pub invocation_type: String,
    pub qualifier: Option<String>,
}

/// Which events of the chosen types a webhook gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "docs/openapi.yaml describes each field")]
pub struct Filter {
    pub expression: Option<String>,
    pub subjects: Option<Vec<String>>,
    pub channel_type: Option<String>,
    pub channel_prefix: Option<String>,
}

/// When a failed delivery is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "docs/openapi.yaml describes each field")]
pub struct Retry {
    pub max_attempts: u32,
    pub delay_ms: u64,
    pub factor: f64,
    pub max_delay_ms: u64,
    pub jitter: f64,
    pub ambiguous: bool,
}

/// The names of all fields that answers show, those of the compatibility API included.
pub fn names() -> impl Iterator<Item = &'static str> {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
        let shown = serde_json::to_value(ShownWebhook::default()).unwrap_or_default();
        shown.as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect()
    });
    NAMES.iter().map(String::as_str).chain(ALIASES.iter().map(|(_, theirs)| *theirs))
}

impl Settings {
    /// The settings of a webhook. `private` is `None` if it can't be decrypted.
    pub fn of(webhook: &Webhook, private: Option<&Private>) -> Self {
        let target = private.map(|private| &private.target);
        let url = match target {
            Some(super::Target::Http(url)) if webhook.profile.is_chat() || is_of_chat(url) => {
                Some(masked_url(url))
            }
            Some(super::Target::Http(url)) => Some(url.clone()),
            _ => None,
        };
        let (ordering, ordering_key) = match &webhook.ordering {
            super::Ordering::None => ("none", None),
            super::Ordering::Key(key) => ("key", Some(key.clone())),
            super::Ordering::Strict => ("strict", None),
        };
        let headers = private.iter().flat_map(|private| &private.headers);
        Self {
            id: webhook.id.to_string(),
            map_id: webhook.map.to_string(),
            name: webhook.name.clone(),
            target: Target::of(webhook, target, url.as_ref()),
            url,
            profile: webhook.profile.name().to_owned(),
            method: name_of(&Method::NAMES, webhook.method),
            key: webhook.key.clone(),
            events: webhook.events.clone(),
            filter: Filter::of(&webhook.filter),
            ordering: ordering.to_owned(),
            ordering_key,
            rate_limit: webhook.rate,
            batch: webhook.batch,
            retry: Retry::of(webhook),
            timeout_ms: webhook.timeout_ms,
            auto_disable_seconds: webhook.auto_disable_seconds,
            headers: headers.map(|(name, _)| (name.clone(), MASK.to_owned())).collect(),
            template: webhook.template.as_ref().map(|template| template.body.clone()),
            content_type: webhook.template.as_ref().map(|template| template.content_type.clone()),
            active: webhook.active,
            origin: name_of(&Origin::NAMES, webhook.origin),
            inserted_at: iso_millis(webhook.inserted_ms),
            updated_at: iso_millis(webhook.updated_ms),
        }
    }
}

impl Target {
    fn of(webhook: &Webhook, target: Option<&super::Target>, url: Option<&String>) -> Self {
        match (target, webhook.target) {
            (Some(super::Target::Lambda(lambda)), _) => Self::Lambda {
                function: Some(Function {
                    function_name: lambda.function_name.clone(),
                    region: lambda.region.clone(),
                    invocation_type: name_of(&Invocation::NAMES, lambda.invocation),
                    qualifier: lambda.qualifier.clone(),
                }),
            },
            (None, super::TargetKind::Lambda) => Self::Lambda { function: None },
            (Some(super::Target::Http(_)), _)
            | (None, super::TargetKind::Http | super::TargetKind::Readers) => {
                Self::Http { url: url.cloned() }
            }
        }
    }
}

impl Filter {
    fn of(filter: &super::EventFilter) -> Option<Self> {
        (*filter != super::EventFilter::default()).then(|| Self {
            expression: filter.expression.clone(),
            subjects: filter.subjects.clone(),
            channel_type: filter.topic_kind.map(|kind| name_of(&TopicKind::NAMES, kind)),
            channel_prefix: filter.topic_prefix.clone(),
        })
    }
}

impl Retry {
    fn of(webhook: &Webhook) -> Self {
        let retry = &webhook.retry;
        Self {
            max_attempts: retry.max_attempts,
            delay_ms: retry.delay_ms,
            factor: f64::from(retry.factor_percent) / 100.0,
            max_delay_ms: retry.max_delay_ms,
            jitter: f64::from(retry.jitter_percent) / 100.0,
            ambiguous: retry.ambiguous,
        }
    }
}

fn name_of<T: PartialEq + Copy>(names: &[(&str, T)], value: T) -> String {
    names.iter().find(|(_, known)| *known == value).map_or_else(String::new, |(name, _)| (*name).to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::{MapId, WebhookId};
    use crate::core::webhook::patch::Patch;
    use crate::core::webhook::{Defaults, Plain, Profile};
    use serde_json::{Value, json};
    use std::collections::BTreeSet;

    const OPENAPI: &str = include_str!("../../../docs/openapi.yaml");

    fn plain(text: &str) -> Plain {
        let defaults = Defaults {
            timeout_ms: 10_000,
            retry_attempts: None,
            retry_delay_ms: None,
            auto_disable_seconds: None,
        };
        let id = WebhookId::from_bytes([1; 16]);
        let map = MapId::from_bytes([2; 16]);
        let mut plain = Plain::new(id, map, Origin::Api, Profile::Wanderer, &defaults);
        assert_eq!(Patch::read(text).apply(&mut plain).messages(), Vec::<String>::new());
        plain
    }

    fn shown(plain: &Plain) -> Value {
        let settings = Settings::of(&plain.webhook, Some(&plain.private));
        serde_json::to_value(ShownWebhook { settings, ..ShownWebhook::default() }).unwrap()
    }

    /// The names of a schema's properties in docs/openapi.yaml.
    fn documented(schema: &str) -> BTreeSet<&'static str> {
        let block = OPENAPI.split(&format!("\n    {schema}:\n")).nth(1).unwrap();
        let block = block.split("\n      properties:\n").nth(1).unwrap();
        let lines = block.lines().take_while(|line| line.starts_with("        "));
        lines
            .filter_map(|line| line.strip_prefix("        ")?.split_once(':'))
            .map(|(name, _)| name)
            .collect()
    }

    #[test]
    fn the_reference_documents_every_shown_field() {
        let mut documented = documented("WebhookState");
        // Each API has its own names for these fields.
        documented.extend(ALIASES.iter().flat_map(|(ours, theirs)| [*ours, *theirs]));
        assert_eq!(names().collect::<BTreeSet<_>>(), documented);
    }

    #[test]
    fn sending_back_what_is_shown_changes_nothing() {
        let url = r#""url":"https://example.com/a","headers":{"X-A":"b"},"rate_limit":5,"batch":{"max":3}"#;
        let filter =
            r#""filter":{"subjects":["a-*"],"channel_type":"public"},"ordering":"key","ordering_key":"type""#;
        for asked in [
            format!("{{{url},{filter},\"method\":\"PUT\",\"key\":\"k\",\"retry\":{{\"factor\":1.5}}}}"),
            r#"{"lambda":{"function_name":"f","region":"us-east-1","qualifier":"q"}}"#.to_owned(),
            r#"{"url":"https://hooks.slack.com/services/T1/B2/x","profile":"slack"}"#.to_owned(),
            r#"{"url":"https://discord.com/api/webhooks/1/x?wait=true","profile":"wanderer"}"#.to_owned(),
        ] {
            let before = plain(&asked);
            let mut after = before.clone();
            let errors = Patch::read_back(&shown(&before).to_string()).apply(&mut after);
            assert_eq!(errors.messages(), Vec::<String>::new(), "{asked}");
            assert!(after == before, "{asked}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let chat = r#"{"url":"https://hooks.slack.com/services/T1/B2/hidden","profile":"slack","secret":"hidden-secret"}"#;
        let by_form = r#"{"url":"https://discord.com/api/webhooks/1/hidden?wait=true","profile":"wanderer"}"#;
        for asked in [chat, by_form, r#"{"url":"https://example.com/","headers":{"X-A":"hidden"}}"#] {
            assert!(!shown(&plain(asked)).to_string().contains("hidden"), "{asked}");
        }
    }

    #[test]
    fn the_json_of_a_target_has_its_known_shape() {
        let target = |text: &str| shown(&plain(text))["target"].clone();
        let http = json!({"type": "http", "url": "https://example.com/"});
        assert_eq!(target(r#"{"url":"https://example.com/"}"#), http);
        let lambda = json!({"type": "lambda", "function_name": "f", "region": "us-east-1",
                            "invocation_type": "Event", "qualifier": null});
        assert_eq!(target(r#"{"lambda":{"function_name":"f","region":"us-east-1"}}"#), lambda);
        let encrypted = plain(r#"{"lambda":{"function_name":"f","region":"us-east-1"}}"#);
        let encrypted = serde_json::to_value(Settings::of(&encrypted.webhook, None)).unwrap();
        assert_eq!((&encrypted["target"], &encrypted["url"]), (&json!({"type": "lambda"}), &Value::Null));
    }

    #[test]
    fn an_answer_of_another_release_can_be_read() {
        let less: ShownWebhook = serde_json::from_value(json!({"id": "x", "new": 1})).unwrap();
        assert_eq!(less.settings.id, "x");
        let mut all = shown(&plain(r#"{"lambda":{"function_name":"f","region":"us-east-1"}}"#));
        let read: ShownWebhook = serde_json::from_value(all.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), all);
        all["target"] = json!({"type": "lambda"});
        assert!(serde_json::from_value::<ShownWebhook>(all).is_ok());
    }
}
