//! A map's channel rules: what it keeps of its subjects, and whether it stores them at all.

use super::body;
use super::maps::unexpected;
use crate::core::channel_rules::{ChannelRule, ChannelRules, Durability, SubjectHistory};
use crate::core::command::{Command, Reply, SetChannelRules};
use crate::core::subject::SubjectPattern;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Value, json};

/// A rule as it is sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    #[serde(rename = "match")]
    matches: String,
    #[serde(default)]
    durability: Durability,
    #[serde(default)]
    history: Option<HistoryBody>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryBody {
    events: Option<u64>,
    seconds: Option<u64>,
    bytes: Option<u64>,
}

pub(super) async fn show(request: HttpRequest, edge: Data<Edge>, map: Path<String>) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    Ok(answer(&grant.map.rules))
}

/// Sets all rules in the place of those before.
pub(super) async fn set(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    mut payload: Payload,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let rules = read(&body::text(&mut payload, edge.config.body_bytes).await?)?;
    let set = SetChannelRules { map: grant.map.id, by: grant.who.by(), rules };
    let Reply::Map(map) = edge.hub.log().propose(&Command::SetChannelRules(set)).await? else {
        return Err(unexpected());
    };
    Ok(answer(&map.rules))
}

fn read(text: &str) -> Result<ChannelRules, ApiError> {
    let invalid = |message: String| {
        ApiError::bad_request("invalid_rules", message).hint(
            "send a list such as [{\"match\": \"chat-*\", \"durability\": \"durable\", \"history\": {\"events\": 100}}]",
        )
    };
    let bodies: Vec<RuleBody> = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let rule = |(index, body): (usize, RuleBody)| {
        let HistoryBody { events, seconds, bytes } = body.history.unwrap_or_default();
        let matches = SubjectPattern::new(&body.matches)
            .ok_or_else(|| invalid(format!("{:?} is no subject, nor a pattern of subjects", body.matches)).at(index))?;
        let history = SubjectHistory { events, seconds, bytes };
        Ok(ChannelRule { matches, durability: body.durability, history })
    };
    let rules = bodies.into_iter().enumerate().map(rule).collect::<Result<Vec<_>, ApiError>>()?;
    ChannelRules::new(rules).map_err(|error| invalid(error.to_string()))
}

fn answer(rules: &ChannelRules) -> HttpResponse {
    let shown = |rule: &ChannelRule| -> Value {
        let SubjectHistory { events, seconds, bytes } = rule.history;
        json!({
            "match": rule.matches,
            "durability": rule.durability,
            "history": {"events": events, "seconds": seconds, "bytes": bytes},
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
        for bad in [
            "",
            "{}",
            r#"[{"match":"a b"}]"#,
            r#"[{"durability":"durable"}]"#,
            r#"[{"match":"a","durability":"maybe"}]"#,
            r#"[{"match":"a","histroy":{}}]"#,
            r#"[{"match":"a","history":{"event":1}}]"#,
            r#"[{"match":"a","history":{"events":0}}]"#,
        ] {
            assert!(read(bad).unwrap_err().to_string().len() > 5, "{bad}");
        }
    }
}
