//! A map's channel rules: how much history the map keeps of its subjects, whether it stores their events at
//! all, and what clients may do on them.

use super::maps::unexpected;
use crate::core::channel_rules::{
    ChannelRule, ChannelRules, Durability, Join, MAX_MEMBERS, MAX_RULES, RulesError, SubjectHistory,
};
use crate::core::command::{Command, Reply, SetChannelRules};
use crate::core::field_error::{BODY, FieldCode, FieldError, FieldErrors};
use crate::core::json::Members;
use crate::core::subject::SubjectPattern;
use crate::edge::audit::changes::{Change, between};
use crate::edge::audit::facts::note_changes;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

const HINT: &str = "send a list such as [{\"match\": \"chat-*\", \"durability\": \"durable\", \"history\": {\"events\": 100}}]";

pub(super) async fn show(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    Ok(answer(&grant.map.rules))
}

/// Replaces all rules.
pub(super) async fn set(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let rules = read(&body.text().await?)?;
    let set = SetChannelRules { map: grant.map.id, by: grant.who.by(), rules };
    let Reply::Map(map) = edge.hub.log().propose(&Command::SetChannelRules(set)).await? else {
        return Err(unexpected());
    };
    note_changes(&request, changes(&grant.map.rules, &map.rules));
    Ok(answer(&map.rules))
}

/// What differs between two lists of rules. A rule has the name of what it matches.
fn changes(before: &ChannelRules, after: &ChannelRules) -> Vec<Change> {
    let mut found = between(&by_name(before), &by_name(after));
    let names =
        |rules: &ChannelRules| -> Vec<Value> { rules.all().iter().map(|rule| json!(rule.matches)).collect() };
    if found.is_empty() && names(before) != names(after) {
        found.push(Change::of("order"));
    }
    found
}

/// The rules by what they match, with what they say. Of two that match the same, the first counts.
fn by_name(rules: &ChannelRules) -> Value {
    let mut named = Map::new();
    for rule in rules.all().iter().rev() {
        let mut said = shown(rule);
        let name = said["match"].as_str().unwrap_or_default().to_owned();
        if let Some(members) = said.as_object_mut() {
            members.remove("match");
            if rule.history == SubjectHistory::default() {
                members.remove("history");
            }
            members.retain(|_, value| !value.is_null());
        }
        named.insert(name, said);
    }
    Value::Object(named)
}

fn read(text: &str) -> Result<ChannelRules, ApiError> {
    let invalid = |errors: &FieldErrors| ApiError::invalid_body(errors).hint(HINT);
    let bodies: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
        let code = if error.is_data() { FieldCode::WrongType } else { FieldCode::NotJson };
        invalid(&FieldError::new(BODY, code, format_args!("must be a JSON list of rules ({error})")).into())
    })?;
    let mut rules = Vec::new();
    let mut errors = FieldErrors::default();
    for (place, body) in bodies.into_iter().take(MAX_RULES + 1).enumerate() {
        let mut m = Members::at(&place.to_string(), body.get());
        rules.extend(read_rule(&mut m));
        errors.append(m.finish());
    }
    if !errors.is_empty() {
        return Err(invalid(&errors));
    }
    let wrong = |error: RulesError| invalid(&FieldError::new(BODY, FieldCode::OutOfRange, error).into());
    ChannelRules::new(rules).map_err(wrong)
}

/// Reads one rule. `None` if it has a fault.
fn read_rule(m: &mut Members<'_>) -> Option<ChannelRule> {
    const DURABILITY: [(&str, Durability); 2] =
        [("durable", Durability::Durable), ("ephemeral", Durability::Ephemeral)];
    let name: Option<String> = m.required("match", "a subject, or a pattern of subjects");
    const JOIN: [(&str, Join); 3] =
        [("anyone", Join::Anyone), ("token", Join::Token), ("signature", Join::Signature)];
    let durability = m.one_of_or_null("durability", &DURABILITY).flatten();
    let history = read_history(m);
    let client_events = m.nullable("client_events", "true, false").flatten();
    let presence = m.nullable("presence", "true, false").flatten();
    let members_max = read_members_max(m);
    let join = m.one_of_or_null("join", &JOIN).flatten();
    let name = name?;
    let matches = SubjectPattern::new(&name);
    if matches.is_none() {
        m.fault(
            "match",
            FieldCode::Invalid,
            format_args!("{name:?} is no subject, nor a pattern of subjects"),
        );
    }
    Some(ChannelRule { matches: matches?, durability, history, client_events, presence, members_max, join })
}

fn read_members_max(m: &mut Members<'_>) -> Option<u32> {
    let most: u32 = m.nullable("members_max", "a whole number").flatten()?;
    if !(1..=MAX_MEMBERS).contains(&most) {
        m.fault("members_max", FieldCode::OutOfRange, format_args!("must be 1 to {MAX_MEMBERS}"));
    }
    Some(most)
}

fn read_history(m: &mut Members<'_>) -> SubjectHistory {
    m.skip_null("history");
    let history = m.object("history", |m| SubjectHistory {
        events: read_bound(m, "events"),
        seconds: read_bound(m, "seconds"),
        bytes: read_bound(m, "bytes"),
    });
    history.unwrap_or_default()
}

fn read_bound(m: &mut Members<'_>, name: &str) -> Option<u64> {
    let bound = m.nullable(name, "a whole number").flatten();
    if bound == Some(0) {
        m.fault(name, FieldCode::OutOfRange, "must be at least 1; leave it out to keep what the map keeps");
    }
    bound
}

fn shown(rule: &ChannelRule) -> Value {
    let SubjectHistory { events, seconds, bytes } = rule.history;
    json!({
        "match": rule.matches,
        "durability": rule.durability,
        "history": {"events": events, "seconds": seconds, "bytes": bytes},
        "client_events": rule.client_events,
        "presence": rule.presence,
        "members_max": rule.members_max,
        "join": rule.join,
    })
}

fn answer(rules: &ChannelRules) -> HttpResponse {
    HttpResponse::Ok().json(json!({"data": rules.all().iter().map(shown).collect::<Vec<_>>()}))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_strictly() {
        let text = r#"[{"match":"a-*","durability":"ephemeral"},{"match":"b","history":{"events":10,"bytes":null}}]"#;
        let rules = read(text).unwrap();
        assert_eq!(rules.durability_of("a-1"), Durability::Ephemeral);
        assert_eq!(rules.history_of("b").events, Some(10));
        assert_eq!(read("[]").unwrap(), ChannelRules::default());
        let text = r#"[{"match":"chat-*","durability":null,"client_events":true,"presence":true,"members_max":500,"join":"token"}]"#;
        let facts = read(text).unwrap().facts_of("chat-1");
        assert!(facts.client_events && facts.presence);
        assert_eq!(
            (facts.durability, facts.members_max, facts.join),
            (Durability::Durable, 500, Join::Token)
        );
        for bad in [
            "",
            "{}",
            r#"[{"match":"a b"}]"#,
            r#"[{"durability":"durable"}]"#,
            r#"[{"match":"a","durability":"maybe"}]"#,
            r#"[{"match":"a","histroy":{}}]"#,
            r#"[{"match":"a","history":{"event":1}}]"#,
            r#"[{"match":"a","history":{"events":0}}]"#,
            r#"[{"match":"a","client_events":"yes"}]"#,
            r#"[{"match":"a","members_max":0}]"#,
            r#"[{"match":"a","members_max":100001}]"#,
            r#"[{"match":"a","join":"nobody"}]"#,
        ] {
            assert!(read(bad).unwrap_err().to_string().len() > 5, "{bad}");
        }
        let told =
            read(r#"[{"match":"a b"},{"match":"a","durability":1,"history":{"events":0}}]"#).unwrap_err();
        for field in ["0.match: ", "1.durability: ", "1.history.events: "] {
            assert!(told.to_string().contains(field), "{told}");
        }
    }

    #[test]
    fn the_audit_log_is_told_which_rules_differ() {
        let rules = |text: &str| read(text).unwrap();
        let of =
            |before: &str, after: &str| serde_json::to_value(changes(&rules(before), &rules(after))).unwrap();
        let one = r#"[{"match":"chat-*","durability":"ephemeral"}]"#;
        let added = json!([{"field": "chat-*", "from": null, "to": {"durability": "ephemeral"}}]);
        assert_eq!(of("[]", one), added);
        let other = r#"[{"match":"chat-*","durability":"durable","history":{"events":9}}]"#;
        let expected = json!([
            {"field": "chat-*.durability", "from": "ephemeral", "to": "durable"},
            {"field": "chat-*.history", "from": null, "to": {"bytes": null, "events": 9, "seconds": null}},
        ]);
        assert_eq!(of(one, other), expected);
        let (first, second) = (r#"[{"match":"a"},{"match":"b"}]"#, r#"[{"match":"b"},{"match":"a"}]"#);
        assert_eq!(of(first, second), json!([{"field": "order"}]));
        assert_eq!(of(first, first), json!([]));
    }
}
