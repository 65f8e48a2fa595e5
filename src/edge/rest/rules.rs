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
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::value::RawValue;
use serde_json::{Value, json};

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
    Ok(answer(&map.rules))
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

fn answer(rules: &ChannelRules) -> HttpResponse {
    let shown = |rule: &ChannelRule| -> Value {
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
    };
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
}
