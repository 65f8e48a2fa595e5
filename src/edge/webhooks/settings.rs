//! Writes settings into the replicated state: checks, encrypts and puts them, and tries again if another
//! change was faster.

use super::error::Problem;
use super::unexpected;
use crate::core::command::{By, Command, Refusal, Reply};
use crate::core::consumer::progress::OwnerCommand;
use crate::core::error_code::Code;
use crate::core::field_error::FieldErrors;
use crate::core::ids::{MapId, WebhookId};
use crate::core::limits::LimitName;
use crate::core::time::iso_millis;
use crate::core::webhook::patch::Patch;
use crate::core::webhook::secret::{MAX_PREVIOUS, TooMany};
use crate::core::webhook::{
    Defaults, Lambda, OnWebhook, Origin, Plain, Private, Profile, PutWebhook, Target, Webhook,
};
use crate::delivery::webhook::{CheckError, Webhooks};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::{Encryption, HubError};
use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

/// How often a change is tried when other changes interfere.
const TURNS: usize = 5;
const SECRET_BYTES: usize = 32;
/// Longest wait for the encryption key.
const ENCRYPTION_WAIT: Duration = Duration::from_secs(3);

/// Makes a new webhook for the API.
pub(super) async fn create(
    edge: &Edge,
    by: By,
    map: MapId,
    patch: &Patch,
    usual: Profile,
) -> Result<Plain, Problem> {
    let mut plain = new_draft(edge, map, patch, usual)?;
    let errors = patch.apply_to_new(&mut plain);
    check(&edge.webhooks, &mut plain, errors).await?;
    name_key_of_app(edge, &mut plain).await?;
    put(edge, by, plain, None).await
}

/// The settings that a new webhook would have, or the webhook `base` after such an update: `text` has what
/// is asked for, as in the bodies that create and update webhooks. Nothing is stored. A target is not needed,
/// and its name is not resolved.
pub(super) async fn tried(
    edge: &Edge,
    map: MapId,
    base: Option<WebhookId>,
    text: &str,
) -> Result<Plain, Problem> {
    let Some(id) = base else {
        let patch = Patch::read(text);
        let mut plain = new_draft(edge, map, &patch, Profile::Wanderer)?;
        check_alone(edge, &mut plain, &patch)?;
        name_key_of_app(edge, &mut plain).await?;
        return Ok(plain);
    };
    let mut plain = open(edge, id)?;
    let old = plain.private.clone();
    check_alone(edge, &mut plain, &Patch::read_back(text))?;
    follow(edge, &mut plain.private, &old, None)?;
    Ok(plain)
}

/// Applies the patch, and checks what the settings show by themselves.
fn check_alone(edge: &Edge, plain: &mut Plain, patch: &Patch) -> Result<(), Problem> {
    let mut errors = patch.apply(plain);
    plain.check(&edge.webhooks.checks(), &mut errors);
    Ok(errors.into_result(())?)
}

/// A new webhook for the API, of the profile that is asked for.
fn new_draft(edge: &Edge, map: MapId, patch: &Patch, usual: Profile) -> Result<Plain, Problem> {
    let id = WebhookId::new(uuid::Uuid::new_v4());
    let profile = patch.profile().unwrap_or(usual);
    draft(id, map, Origin::Api, profile, &edge.config.webhooks.defaults)
}

/// A webhook that signs with the secret of an app names the app's key, where its profile names a key:
/// receivers that know the app refuse any other.
async fn name_key_of_app(edge: &Edge, plain: &mut Plain) -> Result<(), Problem> {
    if !plain.webhook.profile.names_key() || plain.webhook.key.is_some() {
        return Ok(());
    }
    // The app may have been created at another node a moment ago.
    edge.hub.log().barrier().await?;
    let map = plain.webhook.map;
    let keys: Vec<_> = edge.hub.access().known().apps().of_map(map).map(|app| app.key.clone()).collect();
    let mut apps = keys.iter().filter_map(|key| edge.hub.apps().by_key(key));
    let same = apps.find(|app| app.secret.expose() == plain.private.secret);
    plain.webhook.key = same.map(|app| app.key.to_string());
    Ok(())
}

/// A new webhook with a secret and default settings, before the request's settings are applied.
pub(super) fn draft(
    id: WebhookId,
    map: MapId,
    origin: Origin,
    profile: Profile,
    defaults: &Defaults,
) -> Result<Plain, Problem> {
    let mut plain = Plain::new(id, map, origin, profile, defaults);
    plain.private.secret = new_secret()?;
    Ok(plain)
}

/// Puts a webhook that doesn't exist yet, as the patch asks.
pub(super) async fn put_new(edge: &Edge, by: By, mut plain: Plain, patch: &Patch) -> Result<Plain, Problem> {
    let errors = patch.apply_to_new(&mut plain);
    check(&edge.webhooks, &mut plain, errors).await?;
    put(edge, by, plain, None).await
}

/// Changes settings of an existing webhook.
pub(super) async fn update(edge: &Edge, by: By, id: WebhookId, patch: &Patch) -> Result<Plain, Problem> {
    for _ in 0..TURNS {
        let old = open(edge, id)?;
        let mut plain = old.clone();
        let errors = patch.apply(&mut plain);
        check(&edge.webhooks, &mut plain, errors).await?;
        follow(edge, &mut plain.private, &old.private, None)?;
        if let Some(done) = try_put(edge, by, plain, &old).await? {
            return Ok(done);
        }
    }
    Err(Refusal::Changed.into())
}

/// A secret that is to replace that of a webhook.
pub(super) struct NewSecret {
    text: String,
    /// Whether the caller chose it. No receiver has one that is made here.
    is_given: bool,
}

impl NewSecret {
    /// The secret that the caller gave, or one that nobody can guess.
    pub(super) fn of(given: Option<String>) -> Result<Self, Problem> {
        let is_given = given.is_some();
        Ok(Self { text: given.map_or_else(new_secret, Ok)?, is_given })
    }
}

/// Gives a webhook another secret. The old secrets keep signing for `overlap` seconds; without an overlap they
/// end at once. Deliveries that wait are tried at once only if the caller gave the secret: the receiver can't
/// have another one yet, and attempts would be spent for nothing.
pub(super) async fn rotate(
    edge: &Edge,
    by: By,
    id: WebhookId,
    secret: &NewSecret,
    overlap: u64,
) -> Result<Plain, Problem> {
    for _ in 0..TURNS {
        let old = open(edge, id)?;
        let mut plain = old.clone();
        secret.text.clone_into(&mut plain.private.secret);
        follow(edge, &mut plain.private, &old.private, Some(overlap))?;
        if overlap == 0 {
            // Even if the secret stays, as after a rotation whose overlap is to end now.
            plain.private.previous.clear();
        }
        let may_help = secret.is_given && plain.requests_differ_from(&old);
        if let Some(done) = try_put_over(edge, by, plain, &old, may_help).await? {
            return Ok(done);
        }
    }
    Err(Refusal::Changed.into())
}

/// Makes the new private settings the successors of the old ones. Old secrets keep signing as long as was
/// decided before. The last secret keeps signing for `overlap` seconds, or for the configured time if
/// `overlap` is `None`.
pub(super) fn follow(
    edge: &Edge,
    new: &mut Private,
    old: &Private,
    overlap: Option<u64>,
) -> Result<(), Problem> {
    let overlap = overlap.unwrap_or(edge.config.webhooks.overlap_seconds);
    new.follow(old, overlap * 1000, edge.hub.clock().expiry_ms()).map_err(|TooMany { until_ms }| {
        let message = format!(
            "{MAX_PREVIOUS} old secrets still sign; the first of them ends at {}",
            iso_millis(edge.hub.clock().shown_ms(until_ms))
        );
        let error = ApiError::new(StatusCode::CONFLICT, Code::TooManySecrets, message);
        let error = error.hint("rotate with overlap_seconds 0 to end the old ones at once");
        Problem::Api(error.of_limit(LimitName::Fixed, MAX_PREVIOUS as u64))
    })
}

/// Waits for the cluster's encryption key. A node that has just started gets it within moments.
pub(super) async fn await_encryption(edge: &Edge) {
    let _ = edge.hub.vault().encryption_within(ENCRYPTION_WAIT).await;
}

/// Reads a webhook as it is stored, and decrypts it.
pub(super) fn open(edge: &Edge, id: WebhookId) -> Result<Plain, Problem> {
    let webhook = edge.hub.webhooks().directory().get(id).cloned().ok_or(Problem::NoWebhook)?;
    let private = edge.hub.vault().encryption()?.open(id, &webhook.encrypted)?;
    Ok(Plain { webhook: Webhook::clone(&webhook), private })
}

/// Checks the faults that the settings alone don't show. `Ok` if there are none. It resolves names, so that a
/// name that leads to an inside address is refused now.
pub(super) async fn check(
    webhooks: &Webhooks,
    plain: &mut Plain,
    mut errors: FieldErrors,
) -> Result<(), Problem> {
    plain.check(&webhooks.checks(), &mut errors);
    if plain.private.has_target() && !errors.concern_target() {
        match webhooks.check_name(&plain.private.target, plain.webhook.profile).await {
            Ok(()) => {}
            Err(CheckError::Field(error)) => errors.push(error),
            Err(CheckError::NotMade(error)) => return Err(error.into()),
        }
    }
    Ok(errors.into_result(())?)
}

/// Puts the webhook if nobody has changed it since it was read as `old`. `None` if somebody has. If the receiver
/// gets other requests now, it may take what it refused: deliveries that wait are tried at once.
pub(super) async fn try_put(
    edge: &Edge,
    by: By,
    plain: Plain,
    old: &Plain,
) -> Result<Option<Plain>, Problem> {
    let may_help = plain.requests_differ_from(old);
    try_put_over(edge, by, plain, old, may_help).await
}

/// The same. `may_help` says whether the receiver may take now what it refused.
async fn try_put_over(
    edge: &Edge,
    by: By,
    plain: Plain,
    old: &Plain,
    may_help: bool,
) -> Result<Option<Plain>, Problem> {
    match encrypt_and_propose(edge, by, plain, Some(old.webhook.revision)).await? {
        Ok(plain) => {
            // With another target, or active again, it has started over already: the state sees these.
            let has_begun = !old.webhook.active || plain.webhook.fingerprint != old.webhook.fingerprint;
            if may_help && plain.webhook.active && !has_begun {
                start_over(edge, by, &plain.webhook).await;
            }
            Ok(Some(plain))
        }
        Err(HubError::Refused(Refusal::Changed)) => {
            edge.hub.log().barrier().await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes the owner try the deliveries that wait. The state can't see that a secret or a header has changed: they
/// are encrypted anew with each change. Without this command the deliveries are tried at their time, so its failure
/// is none of the change, which is stored.
async fn start_over(edge: &Edge, by: By, webhook: &Webhook) {
    let Webhook { id, map, .. } = *webhook;
    let resume = OnWebhook { by, map, webhook: id, what: OwnerCommand::Resume };
    if let Err(error) = edge.hub.log().propose(&Command::OwnerCommand(resume)).await {
        tracing::warn!(webhook = %id, %error, "deliveries that wait are not tried at once after a change");
    }
}

async fn put(edge: &Edge, by: By, plain: Plain, revision: Option<u64>) -> Result<Plain, Problem> {
    Ok(encrypt_and_propose(edge, by, plain, revision).await??)
}

async fn encrypt_and_propose(
    edge: &Edge,
    by: By,
    plain: Plain,
    revision: Option<u64>,
) -> Result<Result<Plain, HubError>, Problem> {
    let Plain { mut webhook, private } = plain;
    let encryption = edge.hub.vault().encryption()?;
    webhook.fingerprint = fingerprint(&encryption, &private.target);
    webhook.encrypted = encryption.encrypt(webhook.id, &private)?;
    let command = Command::PutWebhook(Box::new(PutWebhook { by, webhook, revision, start_seq: None }));
    match edge.hub.log().propose(&command).await {
        Ok(Reply::Webhook(webhook)) => Ok(Ok(Plain { webhook: *webhook, private })),
        Ok(_) => Err(unexpected()),
        Err(error) => Ok(Err(error)),
    }
}

/// A fingerprint by which two webhooks with the same target are found.
fn fingerprint(encryption: &Encryption, target: &Target) -> [u8; 16] {
    match target {
        Target::Http(url) => encryption.fingerprint(&["http", url]),
        Target::Lambda(Lambda { region, function_name, qualifier, .. }) => encryption.fingerprint(&[
            "lambda",
            region,
            function_name,
            qualifier.as_deref().unwrap_or_default(),
        ]),
    }
}

/// A key for signatures that nobody can guess.
fn new_secret() -> Result<String, Problem> {
    let mut random = [0u8; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the system has no random bytes")
    })?;
    Ok(format!("whsec_{}", STANDARD.encode(random)))
}
