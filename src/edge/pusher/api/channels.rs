//! Which channels are occupied, by how many, and who is there: over the whole cluster.

use super::attributes::{Attributes, has_members};
use super::caller::Caller;
use super::signature::{BODY_MD5, KEY, NAMES, SIGNATURE, TIMESTAMP, VERSION};
use crate::core::access::Map;
use crate::core::channel::{Channel, Kind};
use crate::core::error_code::Code;
use crate::core::subject::Subject;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::pusher::alias::{own_name, subject_of};
use crate::edge::pusher::cache::last_event;
use crate::hub::{Counted, Counts};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Map as Object, Value, json};
use std::collections::BTreeMap;

const PREFIX: &str = "filter_by_prefix";
const INFO: &str = "info";

/// The query parameters of the list of channels.
pub(super) const LIST_NAMES: &[&str] = &[KEY, TIMESTAMP, VERSION, BODY_MD5, SIGNATURE, PREFIX, INFO];
/// The query parameters of one channel.
pub(super) const SHOW_NAMES: &[&str] = &[KEY, TIMESTAMP, VERSION, BODY_MD5, SIGNATURE, INFO];

/// Channels of one list, at most. The list has no pages, so a longer one is refused.
const MAX_LISTED: usize = 10_000;
/// Channels that the nodes are asked for at once.
const PAGE: usize = 4000;
/// The prefix of the channels that have members.
const PRESENCE: &str = "presence-";

/// `GET /apps/{app}/channels`: the occupied channels.
pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    app: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let caller = Caller::of(&request, &edge, &app, LIST_NAMES).await?;
    edge.charge(&caller.grant).await?;
    let map = &caller.grant.map;
    let attributes = attributes(&caller)?;
    let prefix = caller.query.get(PREFIX).filter(|prefix| !prefix.is_empty());
    if attributes.user_count && !prefix.is_some_and(|prefix| prefix.starts_with(PRESENCE)) {
        return Err(no_attribute("user_count is known of presence channels only")
            .hint(format!("ask with {PREFIX}={PRESENCE}, or a longer prefix of that kind")));
    }
    if attributes.cache {
        return Err(no_attribute("cache is told of one channel only"));
    }
    let found = occupied(&edge, map, prefix).await?.into_iter();
    let named = found.filter_map(|(subject, counts)| Some((name_of(map, &subject)?, counts)));
    let mut channels: Object<String, Value> =
        named.map(|(name, counts)| (name, attributes.counts(counts).into())).collect();
    // Its subject does not begin with what its name begins with.
    let own = own_name(map);
    if prefix.is_some_and(|prefix| own.starts_with(prefix)) {
        let counts = counts_of(&edge, map, &Subject::own()).await?;
        if is_occupied(counts) {
            channels.insert(own, attributes.counts(counts).into());
        }
    }
    Ok(HttpResponse::Ok().json(json!({"channels": channels})))
}

/// `GET /apps/{app}/channels/{channel}`: whether a channel is occupied, and its attributes.
pub(super) async fn show(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (app, name) = path.into_inner();
    let caller = Caller::of(&request, &edge, &app, SHOW_NAMES).await?;
    edge.charge(&caller.grant).await?;
    let map = &caller.grant.map;
    let channel = channel(&name)?;
    let attributes = attributes(&caller)?;
    if attributes.user_count && !has_members(map, &channel) {
        return Err(no_attribute("user_count is known of presence channels only"));
    }
    if attributes.cache && !channel.is_cache() {
        return Err(no_attribute("cache is known of cache channels only"));
    }
    let subject = subject_of(map, &channel);
    let counts = counts_of(&edge, map, &subject).await?;
    let mut told = attributes.counts(counts);
    told.insert("occupied".to_owned(), is_occupied(counts).into());
    if attributes.cache {
        let last = last_event(&edge.hub, map, &subject).await;
        told.insert("cache".to_owned(), last.map(|event| json!({"data": event.data()})).into());
    }
    Ok(HttpResponse::Ok().json(told))
}

/// `GET /apps/{app}/channels/{channel}/users`: the members of a presence channel.
pub(super) async fn users(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (app, name) = path.into_inner();
    let caller = Caller::of(&request, &edge, &app, NAMES).await?;
    edge.charge(&caller.grant).await?;
    let map = &caller.grant.map;
    let channel = channel(&name)?;
    if !has_members(map, &channel) {
        return Err(ApiError::bad_request(Code::NoPresenceChannel, "only presence channels have users"));
    }
    edge.catch_up().await;
    let members = edge.hub.presence().members(map.id, &subject_of(map, &channel));
    let users: Vec<Value> = members.iter().map(|member| json!({"id": *member.user})).collect();
    Ok(HttpResponse::Ok().json(json!({"users": users})))
}

/// The occupied subjects whose names begin with `prefix`, read a page at a time.
async fn occupied(
    edge: &Edge,
    map: &Map,
    prefix: Option<&str>,
) -> Result<BTreeMap<Subject, Counts>, ApiError> {
    let mut found: BTreeMap<Subject, Counts> = BTreeMap::new();
    loop {
        let after = found.keys().next_back();
        let page = edge.hub.presence().count_everywhere(map.id, prefix, after, PAGE).await;
        let Counted { counts, more, .. } = complete(page)?;
        let is_last = !more || counts.is_empty();
        found.extend(counts);
        if found.len() > MAX_LISTED {
            return Err(too_many());
        }
        if is_last {
            return Ok(found);
        }
    }
}

fn too_many() -> ApiError {
    let message = format!("more than {MAX_LISTED} channels are occupied, the most that one answer has");
    ApiError::bad_request(Code::TooManyChannels, message)
        .hint(format!("ask with a longer {PREFIX}, several times"))
}

fn channel(name: &str) -> Result<Channel, ApiError> {
    Channel::parse(name).map_err(|error| ApiError::bad_request(Code::InvalidChannel, error.to_string()))
}

fn attributes(caller: &Caller<'_>) -> Result<Attributes, ApiError> {
    Ok(Attributes::read(caller.query.get(INFO).unwrap_or_default())?)
}

fn no_attribute(message: &str) -> ApiError {
    ApiError::bad_request(Code::InvalidInfo, message)
}

fn is_occupied(counts: Counts) -> bool {
    counts.subscriptions > 0 || counts.users > 0
}

/// The name of the channel that stands for a subject. `None` for a subject that clients of this protocol
/// can't subscribe to by a name.
fn name_of(map: &Map, subject: &Subject) -> Option<String> {
    if subject.is_own() {
        return Some(own_name(map));
    }
    let channel = Channel::parse(subject.as_str()).ok()?;
    (channel.kind() != Kind::ServerToUser).then(|| channel.name().to_owned())
}

async fn counts_of(edge: &Edge, map: &Map, subject: &Subject) -> Result<Counts, ApiError> {
    let counted = complete(edge.hub.presence().counts_of(map.id, vec![subject.clone()]).await)?;
    Ok(counted.counts.get(subject).copied().unwrap_or_default())
}

/// Refuses counts that lack a node: a count is right, or there is none.
fn complete(counted: Counted) -> Result<Counted, ApiError> {
    if counted.silent.is_empty() {
        return Ok(counted);
    }
    let nodes: Vec<String> = counted.silent.iter().map(ToString::to_string).collect();
    Err(ApiError::unavailable(format!("node {} did not answer, so the counts are unknown", nodes.join(", "))))
}
