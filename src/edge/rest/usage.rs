//! The usage of a map by hour or by day.

use crate::core::error_code::Code;
use crate::core::time::iso_millis;
use crate::core::usage::{Period, PeriodKind};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

/// Parameters of the answer.
pub(super) const NAMES: &[&str] = &["by"];

pub(super) async fn show(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let kind = match Query::of(&request, NAMES)?.get("by") {
        None => PeriodKind::Hour,
        Some(name) => PeriodKind::named(name)
            .ok_or_else(|| ApiError::bad_request(Code::InvalidBy, "by must be hour or day"))?,
    };
    let periods = edge.hub.quota().usage().periods(grant.map.topic, kind)?;
    let periods: Vec<Value> = periods.iter().map(|period| shown(kind, period)).collect();
    Ok(HttpResponse::Ok().json(json!({"data": {"by": kind.name(), "periods": periods}})))
}

fn shown(kind: PeriodKind, period: &Period) -> Value {
    let Period { number, counts } = period;
    let delivered = &counts.delivered;
    json!({
        "from": iso_millis(number.saturating_mul(kind.ms())),
        "events": counts.events,
        "event_bytes": counts.event_bytes,
        "deliveries": delivered.deliveries,
        "delivery_bytes": delivered.delivery_bytes,
        "attempts": delivered.attempts,
        "failed_attempts": delivered.failed_attempts,
    })
}
