//! Traces: what a publisher says in `traceparent` is kept with its events and goes out with them, and the
//! spans of what the nodes do for them arrive at a collector.

use crate::support::scenario;
use crate::webhooks_support::{Hook, delivering, map};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::receiver::dead::ClosedPort;
use testkit::receiver::{Receiver, Request, behaviour};
use testkit::stream::Stream;
use testkit::{Cluster, wait};

/// The path at a collector to which spans are posted.
const SPANS: &str = "/v1/traces";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A `traceparent` of the trace with that number.
fn parent(number: u32, flags: &str) -> String {
    format!("00-{}-{:016x}-{flags}", trace(number), u64::from(number) << 20)
}

/// The id of the trace with that number.
fn trace(number: u32) -> String {
    format!("{:032x}", (u128::from(number) << 64) | 7)
}

/// The id of the span in a `traceparent`.
fn span_of(parent: &str) -> &str {
    parent.split('-').nth(2).unwrap_or_default()
}

/// Publishes through a node with these headers.
fn publish(c: &Cluster, node: usize, map: &Map, headers: &[(&str, &str)], body: &Value) -> Result<Value> {
    let headers: Vec<(&str, &str)> = headers.iter().copied().chain([JSON]).collect();
    let body = body.to_string();
    c.api(node, map).patient().call("POST", &map.events(), &headers, Some(body.as_bytes()))?.data(201)
}

/// The members `traceparent` of the stored events of a map.
fn stored(c: &Cluster, map: &Map) -> Result<Vec<Option<String>>> {
    c.wait_same_applied()?;
    let page = c.api(0, map).get(&format!("{}?limit=1000", map.events()))?.data(200)?;
    let events = page.as_array().context("no events")?;
    Ok(events.iter().map(|event| event["traceparent"].as_str().map(ToOwned::to_owned)).collect())
}

/// A span that came to a collector.
#[derive(Clone, Debug)]
struct Seen {
    /// The node that sent it.
    node: String,
    name: String,
    trace: String,
    id: String,
    parent: Option<String>,
    attributes: Value,
}

/// A collector of spans.
struct Collector(Receiver);

impl Collector {
    fn start() -> Self {
        let receiver = Receiver::start().unwrap();
        receiver.on(SPANS, behaviour::healthy());
        Self(receiver)
    }

    fn seen(&self) -> Vec<Seen> {
        self.0.accepted(SPANS).iter().flat_map(decode).collect()
    }

    /// Waits until the spans of a trace are as wanted, and returns them.
    fn wait(&self, trace: &str, what: &str, done: impl Fn(&[Seen]) -> bool) -> Result<Vec<Seen>> {
        let mut last: Vec<Seen> = Vec::new();
        let waited = wait::until(what, || {
            last = self.seen().into_iter().filter(|span| span.trace == trace).collect();
            Ok(done(&last).then_some(()))
        });
        waited.with_context(|| format!("{last:#?}"))?;
        Ok(last)
    }
}

/// Decodes the body of a request to a collector.
fn decode(request: &Request) -> Vec<Seen> {
    let body = request.json();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut seen = Vec::new();
    for of_node in list(&body["resourceSpans"]) {
        let attributes = list(&of_node["resource"]["attributes"]);
        let node = attributes.iter().find(|attribute| attribute["key"] == "service.instance.id");
        let node = node.map(|node| node["value"]["stringValue"].to_string()).unwrap_or_default();
        for span in list(&of_node["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
            // A publish that was refused and repeated has spans too. What failed is not what is looked for.
            if span["status"]["code"] == 2 {
                continue;
            }
            let member = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
            let times = [member("startTimeUnixNano"), member("endTimeUnixNano")]
                .map(|time| time.parse::<u64>().unwrap());
            assert!(times[0] > 0 && times[0] <= times[1], "{span}");
            seen.push(Seen {
                node: node.clone(),
                name: member("name"),
                trace: member("traceId"),
                id: member("spanId"),
                parent: span["parentSpanId"].as_str().map(ToOwned::to_owned),
                attributes: span["attributes"].clone(),
            });
        }
    }
    seen
}

/// The spans with that name.
fn named<'s>(spans: &'s [Seen], name: &str) -> Vec<&'s Seen> {
    spans.iter().filter(|span| span.name == name).collect()
}

/// On how many nodes there are spans with that name.
fn nodes_with(spans: &[Seen], name: &str) -> usize {
    named(spans, name).iter().map(|span| &span.node).collect::<BTreeSet<_>>().len()
}

/// A map with a webhook.
struct Delivered {
    map: Map,
    receiver: Receiver,
}

impl Delivered {
    fn start(c: &Cluster, slug: &str) -> Result<Self> {
        let map = map(c, slug)?;
        let receiver = Receiver::start()?;
        let url = receiver.on("/hook", behaviour::healthy());
        Hook::create(c, &map, &url, json!({}))?;
        Ok(Self { map, receiver })
    }

    /// Waits for a request with an event of that type.
    fn request(&self, kind: &str) -> Result<Request> {
        let has = |request: &Request| String::from_utf8_lossy(&request.body).contains(kind);
        let came = self.receiver.wait("/hook", kind, |requests| requests.iter().any(has))?;
        came.into_iter().find(has).context("no request")
    }
}

#[test]
fn a_trace_goes_from_a_publish_through_all_nodes_to_a_webhook() {
    let collector = Collector::start();
    let options = delivering(3)
        .set("WAYPOST_OTEL_ENDPOINT", collector.0.url(""))
        .set("WAYPOST_OTEL_HEADERS", "x-key=of-the-collector")
        .set("WAYPOST_OTEL_SAMPLE_PER_MILLION", 0);
    scenario(options, |c| {
        let delivered = Delivered::start(c, "traced")?;
        one_event(c, &collector, &delivered).context("one event")?;
        not_recorded(c, &collector, &delivered).context("traces that are not recorded")?;
        batch(c, &collector).context("a batch")?;
        ingested(c, &collector).context("an ingest source")?;
        ephemeral(c, &collector).context("an ephemeral event")?;
        hostile(c).context("hostile headers")?;
        let keys: BTreeSet<Option<String>> = collector
            .0
            .requests(SPANS)
            .iter()
            .map(|request| request.header("x-key").map(ToOwned::to_owned))
            .collect();
        ensure!(keys == BTreeSet::from([Some("of-the-collector".to_owned())]), "{keys:?}");
        Ok(())
    });
}

/// One trace: the publish at one node, its commit, its application on all nodes, the readers on all nodes,
/// and the request to the webhook.
fn one_event(c: &Cluster, collector: &Collector, delivered: &Delivered) -> Result<()> {
    let map = &delivered.map;
    let mut readers = Vec::new();
    for node in &c.nodes {
        let path = format!("{}/stream", map.events());
        let mut reader = Stream::get(node.http, &path, Some(&map.token), &[])?;
        ensure!(reader.status()? == 200);
        reader.until("connected")?;
        readers.push(reader);
    }
    let sent = parent(1, "01");
    publish(c, 1, map, &[("traceparent", &sent)], &json!({"type": "one", "payload": {}}))?;
    let spans = collector.wait(&trace(1), "the spans of the trace", |spans| {
        named(spans, "publish").len() == 1
            && named(spans, "commit").len() == 1
            && nodes_with(spans, "apply") == 3
            && nodes_with(spans, "deliver") == 3
            && !named(spans, "webhook").is_empty()
    })?;
    let publish = named(&spans, "publish")[0];
    ensure!(publish.parent.as_deref() == Some(span_of(&sent)), "{publish:?}");
    ensure!(publish.attributes.to_string().contains(&map.id), "{publish:?}");
    for span in spans.iter().filter(|span| span.name != "publish") {
        ensure!(span.parent.as_deref() == Some(publish.id.as_str()), "{span:?} is not below {publish:?}");
    }
    ensure!(named(&spans, "apply").len() == 3 && named(&spans, "deliver").len() == 3, "{spans:#?}");
    let ids: BTreeSet<&String> = spans.iter().map(|span| &span.id).collect();
    ensure!(ids.len() == spans.len(), "spans with the same id: {spans:#?}");
    let kept = format!("00-{}-{}-01", trace(1), publish.id);
    for reader in &mut readers {
        reader.until(&format!(": traceparent {kept}\nevent: one\n"))?;
    }
    ensure!(stored(c, map)? == [Some(kept)], "{:?}", stored(c, map)?);
    // Each attempt has a span of its own, and its request names it.
    let request = delivered.request("one")?;
    let header = request.header("traceparent").context("no traceparent")?;
    ensure!(header.starts_with(&format!("00-{}-", trace(1))), "{header}");
    let is_of = |span: &&Seen| span.id == span_of(header);
    collector
        .wait(&trace(1), "the span of the request", |spans| named(spans, "webhook").iter().any(is_of))?;
    Ok(())
}

/// A publisher that does not record its trace, and one that has none: nobody records them either.
fn not_recorded(c: &Cluster, collector: &Collector, delivered: &Delivered) -> Result<()> {
    let map = &delivered.map;
    let before = stored(c, map)?.len();
    let unsampled = parent(2, "00");
    publish(c, 0, map, &[("traceparent", &unsampled)], &json!({"type": "unsampled", "payload": {}}))?;
    publish(c, 0, map, &[], &json!({"type": "plain", "payload": {}}))?;
    ensure!(stored(c, map)?[before..] == [Some(unsampled.clone()), None], "{:?}", stored(c, map)?);
    let request = delivered.request("unsampled")?;
    ensure!(request.header("traceparent") == Some(unsampled.as_str()), "{:?}", request.headers);
    let request = delivered.request("plain")?;
    ensure!(request.header("traceparent").is_none(), "{:?}", request.headers);
    // What comes later is there, so what came before would be.
    let sent = parent(3, "01");
    publish(c, 0, map, &[("traceparent", &sent)], &json!({"type": "later", "payload": {}}))?;
    let arrived = |spans: &[Seen]| nodes_with(spans, "apply") == 3 && !named(spans, "webhook").is_empty();
    collector.wait(&trace(3), "the spans of a later trace", arrived)?;
    let known = [trace(1), trace(3)];
    let others: Vec<Seen> =
        collector.seen().into_iter().filter(|span| !known.contains(&span.trace)).collect();
    ensure!(others.is_empty(), "{others:#?}");
    Ok(())
}

/// Events of a batch may name traces of their own; the others belong to that of the request.
fn batch(c: &Cluster, collector: &Collector) -> Result<()> {
    let map = map(c, "batch")?;
    let event = |traceparent: Option<String>| match traceparent {
        Some(traceparent) => json!({"type": "x", "payload": {}, "traceparent": traceparent}),
        None => json!({"type": "x", "payload": {}}),
    };
    let own =
        [Some(parent(10, "01")), None, Some(parent(11, "01")), Some(parent(10, "01")), Some("?".to_owned())];
    let events: Vec<Value> = own.into_iter().map(event).collect();
    publish(c, 2, &map, &[("traceparent", &parent(12, "01"))], &json!({"events": events}))?;
    let traces: Vec<String> = stored(c, &map)?
        .into_iter()
        .map(|parent| parent.unwrap_or_default().split('-').nth(1).unwrap_or_default().to_owned())
        .collect();
    ensure!(traces == [10, 12, 11, 10, 12].map(trace), "{traces:?}");
    for number in [10, 11, 12] {
        let events = traces.iter().filter(|id| **id == trace(number)).count();
        let whole =
            |spans: &[Seen]| named(spans, "publish").len() == 1 && named(spans, "apply").len() == 3 * events;
        collector.wait(&trace(number), "the spans of a trace of the batch", whole)?;
    }
    // So does a stream of lines.
    let lines = "{\"type\":\"x\",\"payload\":{}}\n{\"type\":\"x\",\"payload\":{}}\n";
    let sent = parent(13, "01");
    let headers = [("content-type", "application/x-ndjson"), ("traceparent", sent.as_str())];
    c.api(0, &map).patient().call("POST", &map.events(), &headers, Some(lines.as_bytes()))?.data(201)?;
    collector.wait(&trace(13), "the spans of a stream", |spans| named(spans, "apply").len() == 6)?;
    Ok(())
}

/// The events of a request to an ingest source belong to its trace.
fn ingested(c: &Cluster, collector: &Collector) -> Result<()> {
    let map = map(c, "ingested")?;
    let settings = json!({"name": "source", "authentication": "api_key", "apiKey": "a-key-of-the-source"});
    let source = c.api(0, &map).post(&map.path("/ingest"), &settings)?.data(201)?;
    let path = format!("/webhooks/{}", text(&source, "id")?);
    let sent = parent(20, "01");
    let headers = [JSON, ("x-api-key", "a-key-of-the-source"), ("traceparent", sent.as_str())];
    let post = |node: usize| -> Result<Answer> {
        let body = br#"{"event_type": "test", "user_id": "u"}"#;
        Api::new(&c.nodes[node].url(), None).patient().call("POST", &path, &headers, Some(body))
    };
    post(1)?.data(200)?;
    let spans = collector.wait(&trace(20), "the spans of the request", |spans| {
        named(spans, "publish").len() == 1 && named(spans, "apply").len() == 3
    })?;
    let publish = named(&spans, "publish")[0];
    ensure!(publish.parent.as_deref() == Some(span_of(&sent)), "{publish:?}");
    let kept = format!("00-{}-{}-01", trace(20), publish.id);
    c.wait_same_applied()?;
    let page = c.api(0, &map).get(&format!("{}?subjects=*", map.events()))?.data(200)?;
    ensure!(page[0]["traceparent"] == kept, "{page}");
    Ok(())
}

/// An event that is not stored carries its trace from node to node.
fn ephemeral(c: &Cluster, collector: &Collector) -> Result<()> {
    let map = map(c, "ephemeral")?;
    let path = format!("{}/stream?subjects=private-a", map.events());
    let mut reader = Stream::get(c.nodes[1].http, &path, Some(&map.token), &[])?;
    reader.until("connected")?;
    let sent = parent(40, "01");
    let headers = [JSON, ("traceparent", sent.as_str())];
    let body = json!({"type": "moved", "subject": "private-a", "payload": {}}).to_string();
    let answer = c.api(0, &map).patient().call("POST", &map.events(), &headers, Some(body.as_bytes()))?;
    answer.data(202)?;
    let spans = collector.wait(&trace(40), "the spans of the event", |spans| {
        named(spans, "publish").len() == 1 && named(spans, "deliver").len() == 1
    })?;
    let (publish, deliver) = (named(&spans, "publish")[0], named(&spans, "deliver")[0]);
    ensure!(deliver.parent.as_deref() == Some(publish.id.as_str()), "{spans:#?}");
    ensure!(deliver.node != publish.node && named(&spans, "commit").is_empty(), "{spans:#?}");
    reader.until(&format!(": traceparent 00-{}-{}-01\nevent: moved\n", trace(40), publish.id))
}

/// A header that is not valid is as good as none: the publish is accepted, and nothing is kept.
fn hostile(c: &Cluster) -> Result<()> {
    let map = map(c, "hostile")?;
    let good = parent(30, "01");
    let zeros = good.replace(&trace(30), &"0".repeat(32));
    let (long, upper) = ("0".repeat(8000), good.to_uppercase());
    let unknown = good.replacen("00", "ff", 1);
    let more = format!("{good}-more");
    let values = ["", "00", "?", &zeros, &long, &upper, &unknown, &more, "00-'; drop table events; --"];
    let mut all: Vec<Vec<(&str, &str)>> =
        values.into_iter().map(|value| vec![("traceparent", value)]).collect();
    all.push(vec![("traceparent", good.as_str()), ("traceparent", good.as_str())]);
    let count = all.len();
    for headers in all {
        publish(c, 0, &map, &headers, &json!({"type": "x", "payload": {}}))
            .with_context(|| format!("{headers:?}"))?;
    }
    let kept = stored(c, &map)?;
    ensure!(kept.len() == count && kept.iter().all(Option::is_none), "{kept:?}");
    Ok(())
}

#[test]
fn without_a_collector_a_trace_goes_out_as_it_came() {
    scenario(delivering(1), |c| {
        let delivered = Delivered::start(c, "kept")?;
        let map = &delivered.map;
        let sent = parent(1, "01");
        publish(c, 0, map, &[("traceparent", &sent)], &json!({"type": "traced", "payload": {}}))?;
        publish(c, 0, map, &[], &json!({"type": "plain", "payload": {}}))?;
        ensure!(stored(c, map)? == [Some(sent.clone()), None], "{:?}", stored(c, map)?);
        let traced = delivered.request("traced")?;
        ensure!(traced.header("traceparent") == Some(sent.as_str()), "{:?}", traced.headers);
        ensure!(!String::from_utf8_lossy(&traced.body).contains(&trace(1)), "the body names the trace");
        let plain = delivered.request("plain")?;
        ensure!(plain.header("traceparent").is_none(), "{:?}", plain.headers);
        ensure!(c.metric(0, "waypost_spans_sent_total", "")? == 0);
        ensure!(c.metric(0, "waypost_spans_dropped_total", "")? == 0);
        Ok(())
    });
}

#[test]
fn of_the_traces_that_begin_here_a_share_is_recorded() {
    let collector = Collector::start();
    let options = delivering(1)
        .set("WAYPOST_OTEL_ENDPOINT", collector.0.url(SPANS))
        .set("WAYPOST_OTEL_SAMPLE_PER_MILLION", 1_000_000);
    scenario(options, |c| {
        let delivered = Delivered::start(c, "begun")?;
        publish(c, 0, &delivered.map, &[], &json!({"type": "begun", "payload": {}}))?;
        let kept = stored(c, &delivered.map)?.pop().flatten().context("no trace")?;
        let id = kept.split('-').nth(1).context("no id")?;
        let spans = collector.wait(id, "the spans", |spans| {
            ["publish", "commit", "apply", "webhook"].iter().all(|name| !named(spans, name).is_empty())
        })?;
        ensure!(named(&spans, "publish")[0].parent.is_none(), "{spans:#?}");
        let request = delivered.request("begun")?;
        ensure!(
            request.header("traceparent").is_some_and(|header| header.contains(id)),
            "{:?}",
            request.headers
        );
        wait::until("the count of spans", || {
            Ok((c.metric(0, "waypost_spans_sent_total", "")? >= 4).then_some(()))
        })
    });
}

#[test]
fn a_collector_that_is_out_of_reach_holds_up_nobody() {
    let nobody = ClosedPort::new().unwrap();
    let options = delivering(1)
        .set("WAYPOST_OTEL_ENDPOINT", format!("http://{}", nobody.addr))
        .set("WAYPOST_OTEL_SAMPLE_PER_MILLION", 1_000_000);
    scenario(options, |c| {
        let delivered = Delivered::start(c, "nobody")?;
        publish(c, 0, &delivered.map, &[], &json!({"type": "all-the-same", "payload": {}}))?;
        delivered.request("all-the-same")?;
        wait::until("dropped spans", || {
            let dropped = c.metric(0, "waypost_spans_dropped_total", "reason=\"unreachable\"")?;
            Ok((dropped > 0).then_some(()))
        })?;
        ensure!(c.metric(0, "waypost_spans_sent_total", "")? == 0);
        Ok(())
    });
}
