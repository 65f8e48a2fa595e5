//! Settings of webhook delivery, and the webhooks in the configuration file.

use super::Secret;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::ids::{MapId, WebhookId};
use crate::core::webhook::patch::Patch;
use crate::core::webhook::{Defaults, Origin, Plain, Profile};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Public ranges that clouds use inside, for metadata and for services. waypost.default.toml and
/// docs/WEBHOOKS.md name the source of each.
const CLOUD_NETS: [IpNet; 9] = [
    // Azure: the host agent.
    v4([168, 63, 129, 16], 32),
    // Equinix Metal: metadata.
    v4([192, 80, 8, 124], 32),
    // Google Cloud: restricted.googleapis.com and private.googleapis.com.
    v4([199, 36, 153, 4], 30),
    v4([199, 36, 153, 8], 30),
    v6([0x2600, 0x2d00, 2, 0x1000, 0, 0, 0, 0], 56),
    v6([0x2600, 0x2d00, 2, 0x2000, 0, 0, 0, 0], 56),
    // Google Cloud: Cloud DNS.
    v4([35, 199, 192, 0], 19),
    // IBM Cloud: services, and the private addresses of cloud services.
    v4([161, 26, 0, 0], 16),
    v4([166, 8, 0, 0], 14),
];

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix))
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix))
}

/// Webhook delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Private networks (CIDR) that webhooks may reach although they are private.
    pub allow_nets: Vec<IpNet>,
    /// Networks (CIDR) that webhooks may never reach, whatever `allow_nets` says.
    pub deny_nets: Vec<IpNet>,
    /// Encrypts addresses, headers and keys of webhooks at rest: 64 hexadecimal digits, or base64 of 32
    /// bytes. If absent, the cluster generates a key.
    pub secret_key: Option<Secret>,
    /// Certificates (PEM) that are trusted in addition to the public ones.
    pub ca_file: Option<PathBuf>,
    /// Threads that deliver to webhooks; 0 = half the cores, at least one.
    pub workers: usize,
    /// Most requests in progress on this node.
    pub connections: usize,
    /// Most requests in progress to one webhook.
    pub window: usize,
    /// How long a rotated secret signs beside the new one, in seconds.
    pub rotation_overlap_seconds: u64,
    /// New webhooks: disabled after failing for this long, in seconds; 0 = never.
    pub auto_disable_seconds: u64,
    /// New webhooks: longest time for a whole request, in milliseconds; the profile `broadcasting` allows at
    /// most 5000.
    pub timeout_ms: u32,
    /// New webhooks: most attempts in total; 0 = the profile's number.
    pub retry_attempts: u32,
    /// New webhooks: time before the second attempt, in milliseconds; 0 = the profile's time.
    pub retry_delay_ms: u64,
    /// How often a node reports the progress of its webhooks, in milliseconds.
    pub flush_ms: u64,
    /// For functions of AWS Lambda.
    pub aws: Aws,
    /// Webhooks of the file, `[[webhooks.webhook]]`. This is not a setting: it has no flag and no variable.
    #[serde(default, skip_serializing)]
    #[serde(rename = "webhook")]
    pub listed: Vec<ConfiguredWebhook>,
}

/// Functions of AWS that webhooks may invoke, and the credentials for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// Functions that webhooks may invoke: names and ARNs as webhooks give them; `*` stands for any
    /// characters. If empty, none may be invoked.
    pub functions: Vec<String>,
    /// An address to use instead of the region's own, such as a private VPC endpoint.
    pub endpoint: Option<String>,
    /// Id of the access key.
    pub access_key_id: Option<String>,
    /// The access key.
    pub secret_access_key: Option<Secret>,
    /// The session token of temporary credentials.
    pub session_token: Option<Secret>,
}

/// One webhook of the file.
#[derive(Clone, Default, PartialEq)]
pub struct ConfiguredWebhook {
    /// Id or slug of its map.
    pub map: String,
    /// Its settings.
    pub patch: Patch,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            allow_nets: Vec::new(),
            deny_nets: CLOUD_NETS.to_vec(),
            secret_key: None,
            ca_file: None,
            workers: 0,
            connections: 4096,
            window: 16,
            rotation_overlap_seconds: 86_400,
            auto_disable_seconds: 432_000,
            timeout_ms: 10_000,
            retry_attempts: 0,
            retry_delay_ms: 0,
            flush_ms: 200,
            aws: Aws::default(),
            listed: Vec::new(),
        }
    }
}

impl Webhooks {
    /// The encryption key in bytes; `Some(None)` if the configured text is not a key.
    pub(super) fn read_key(&self) -> Option<Option<[u8; 32]>> {
        self.secret_key.as_ref().map(|key| Self::key_of(key.expose()))
    }

    /// The encryption key that a text says: 64 hexadecimal digits, or base64 of 32 bytes.
    pub fn key_of(text: &str) -> Option<[u8; 32]> {
        let text = text.trim();
        let bytes = if text.len() == 64 { from_hex(text) } else { STANDARD.decode(text).ok() };
        bytes.and_then(|bytes| bytes.try_into().ok())
    }

    /// The encryption key in bytes.
    pub fn encryption_key(&self) -> Option<[u8; 32]> {
        self.read_key().flatten()
    }

    /// The credentials that invoke functions: id and key of an access key, and the token of temporary
    /// credentials.
    pub fn credentials(&self) -> Option<(String, String, Option<String>)> {
        let own = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
        let Aws { access_key_id, secret_access_key, session_token, .. } = &self.aws;
        Some((access_key_id.clone()?, own(secret_access_key)?, own(session_token)))
    }

    /// The defaults of new webhooks.
    pub fn defaults(&self) -> Defaults {
        Defaults {
            timeout_ms: self.timeout_ms,
            retry_attempts: (self.retry_attempts > 0).then_some(self.retry_attempts),
            retry_delay_ms: (self.retry_delay_ms > 0).then_some(self.retry_delay_ms),
            auto_disable_seconds: (self.auto_disable_seconds > 0).then_some(self.auto_disable_seconds),
        }
    }

    /// The faults of the webhooks in the file: the index of each faulty one, and why it is faulty.
    pub(super) fn webhook_faults(&self) -> Vec<(usize, String)> {
        let faults = self.listed.iter().enumerate().filter_map(|(index, webhook)| {
            let mut errors = webhook.errors(&self.defaults());
            let same = |other: &&ConfiguredWebhook| {
                other.map == webhook.map && other.patch.name() == webhook.patch.name()
            };
            if self.listed[..index].iter().any(|other| same(&other)) {
                errors.add("name", FieldCode::Conflict, "another one of the map has it");
            }
            (!errors.is_empty()).then(|| (index, errors.to_string()))
        });
        faults.collect()
    }
}

impl ConfiguredWebhook {
    /// Reads the settings without regard to the map. Returns them and the faults that they have by
    /// themselves.
    pub fn read(&self, defaults: &Defaults) -> (Plain, FieldErrors) {
        let nobody = (WebhookId::from_bytes([0; 16]), MapId::from_bytes([0; 16]));
        let profile = self.patch.profile().unwrap_or(Profile::Wanderer);
        let mut plain = Plain::new(nobody.0, nobody.1, Origin::Config, profile, defaults);
        let errors = self.patch.apply_to_new(&mut plain);
        (plain, errors)
    }

    pub(super) fn errors(&self, defaults: &Defaults) -> FieldErrors {
        let (plain, asked) = self.read(defaults);
        let mut errors = FieldErrors::default();
        if self.map.is_empty() {
            errors.require("map");
        }
        if self.patch.name().is_none_or(str::is_empty) && !asked.concern("name") {
            errors.require("name");
        }
        let secret = plain.webhook.profile.is_chat() || self.patch.has_secret() || asked.concern("secret");
        errors.append(asked);
        if !secret {
            errors.require("secret");
        }
        errors
    }
}

impl fmt::Debug for ConfiguredWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfiguredWebhook").field("map", &self.map).field("patch", &self.patch).finish()
    }
}

impl<'de> Deserialize<'de> for ConfiguredWebhook {
    /// `map`, and beside it the settings that the API takes. Faults in those settings are reported later,
    /// when the whole configuration is checked.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = serde_json::Map::<String, Value>::deserialize(deserializer)?;
        let map = match table.remove("map") {
            Some(Value::String(map)) => map,
            Some(_) => return Err(serde::de::Error::custom("map must be a string, the id or slug of a map")),
            None => String::new(),
        };
        Ok(Self { map, patch: Patch::read(&Value::Object(table).to_string()) })
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    Some(digits?.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
