//! Spans in the JSON of OTLP/HTTP, version 1: the body of a request to `/v1/traces`. Ids are hexadecimal
//! there, and numbers of 64 bits are strings.

use super::{Kind, Span, Value};
use crate::core::trace::TraceContext;
use serde_json::{Value as Json, json};

/// The body with these spans, of a process that these attributes describe.
pub fn body(resource: &[(&'static str, String)], spans: &[Span]) -> Vec<u8> {
    let resource: Vec<Json> =
        resource.iter().map(|(name, value)| attribute(name, &Value::Text(value.clone()))).collect();
    let spans: Vec<Json> = spans.iter().map(span).collect();
    let scope = json!({"name": "waypost", "version": env!("CARGO_PKG_VERSION")});
    let whole = json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{"scope": scope, "spans": spans}],
    }]});
    whole.to_string().into_bytes()
}

/// How many spans the collector refused, as the body of its answer says. It may accept the others.
pub fn refused(answer: &[u8]) -> u64 {
    let answer: Json = serde_json::from_slice(answer).unwrap_or_default();
    let count = &answer["partialSuccess"]["rejectedSpans"];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

fn span(span: &Span) -> Json {
    let attributes: Vec<Json> = span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut shown = json!({
        "traceId": hex(&span.context.trace()),
        "spanId": hex(&span.context.span()),
        "name": span.name,
        "kind": kind(span.kind),
        "startTimeUnixNano": span.began_ns.to_string(),
        "endTimeUnixNano": span.ended_ns.to_string(),
        "attributes": attributes,
    });
    if let Some(parent) = &span.parent {
        shown["parentSpanId"] = hex(parent).into();
    }
    if !span.links.is_empty() {
        shown["links"] = span.links.iter().map(link).collect();
    }
    if let Some(error) = &span.error {
        shown["status"] = json!({"code": 2, "message": error});
    }
    shown
}

fn link(to: &TraceContext) -> Json {
    json!({"traceId": hex(&to.trace()), "spanId": hex(&to.span())})
}

/// The number of the kind in OTLP.
fn kind(kind: Kind) -> u8 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
    }
}

fn attribute(name: &str, value: &Value) -> Json {
    let value = match value {
        Value::Text(text) => json!({"stringValue": text}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
    };
    json!({"key": name, "value": value})
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_the_form_that_collectors_read() {
        let context = TraceContext::begin([1; 16], [2; 8]);
        let whole = Span {
            context,
            parent: Some([3; 8]),
            name: "publish",
            kind: Kind::Server,
            began_ns: 1_750_509_296_789_000_000,
            ended_ns: 1_750_509_296_790_000_000,
            attributes: vec![
                ("waypost.events", Value::Number(2)),
                ("waypost.map_id", Value::Text("m".into())),
            ],
            links: vec![TraceContext::begin([4; 16], [5; 8])],
            error: Some("no leader".to_owned()),
        };
        let plain = Span { parent: None, attributes: vec![], links: vec![], error: None, ..whole.clone() };
        let body = body(&[("service.name", "waypost".to_owned())], &[whole, plain]);
        let body: Json = serde_json::from_slice(&body).unwrap();
        let of = &body["resourceSpans"][0];
        assert_eq!(
            of["resource"]["attributes"],
            json!([{"key": "service.name", "value": {"stringValue": "waypost"}}])
        );
        let spans = &of["scopeSpans"][0]["spans"];
        assert_eq!(
            spans[0],
            json!({
                "traceId": "01010101010101010101010101010101",
                "spanId": "0202020202020202",
                "parentSpanId": "0303030303030303",
                "name": "publish",
                "kind": 2,
                "startTimeUnixNano": "1750509296789000000",
                "endTimeUnixNano": "1750509296790000000",
                "attributes": [
                    {"key": "waypost.events", "value": {"intValue": "2"}},
                    {"key": "waypost.map_id", "value": {"stringValue": "m"}},
                ],
                "links": [{"traceId": "04040404040404040404040404040404", "spanId": "0505050505050505"}],
                "status": {"code": 2, "message": "no leader"},
            })
        );
        for member in ["parentSpanId", "links", "status"] {
            assert!(spans[1].get(member).is_none(), "{member}");
        }
    }

    #[test]
    fn a_collector_may_refuse_some_spans() {
        for (answer, count) in [
            ("", 0),
            ("{}", 0),
            (r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"too old"}}"#, 3),
            (r#"{"partialSuccess":{"rejectedSpans":4}}"#, 4),
            (r#"{"partialSuccess":{}}"#, 0),
        ] {
            assert_eq!(refused(answer.as_bytes()), count, "{answer}");
        }
    }
}
