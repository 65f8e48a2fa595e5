//! `/metrics`: what the recorder has, and what is read from the node's state when somebody asks.

use super::not_ready;
use crate::clock::now_ms;
use crate::edge::context::Edge;
use crate::metric;
use crate::metric::exposition::{Exposition, Kind};
use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;

pub(super) async fn scrape(edge: Data<Edge>) -> HttpResponse {
    let status = edge.hub.health().status();
    let clock = status.clock;
    let (number, truth) = (|number: u64| number as f64, |truth| f64::from(u8::from(truth)));
    for (name, value) in [
        (metric::COMMITTED_INDEX, number(status.committed)),
        (metric::APPLIED_INDEX, number(status.applied)),
        (metric::DURABLE_INDEX, number(status.snapshot)),
        (metric::SNAPSHOT_AGE, status.snapshot_age_ms as f64 / 1000.0),
        (metric::TERM, number(status.term)),
        (metric::IS_LEADER, truth(status.is_leader())),
        (metric::HAS_QUORUM, truth(status.has_quorum)),
        (metric::READY, truth(not_ready(&edge).is_none())),
        (metric::LEADER_SILENCE_SECONDS, status.silence_ms as f64 / 1000.0),
        (metric::CLOCK_OFFSET, (now_ms() as f64 - clock.time_ms as f64) / 1000.0),
        (metric::IDS_AHEAD, clock.id_ms.saturating_sub(clock.time_ms) as f64 / 1000.0),
        (metric::EXPIRY_HELD, clock.held_ms.unwrap_or(0) as f64 / 1000.0),
        (metric::DISK_FREE, number(status.disk_free)),
        (metric::DISK_SIZE, number(status.disk_total)),
        (metric::DISK_FULL, truth(status.disk_full)),
        (metric::DISK_SLOW, truth(status.disk_slow)),
        (metric::SYNC_SLOWEST, status.sync_slowest_ms as f64 / 1000.0),
        (metric::SYNC_AGE, status.sync_age_ms as f64 / 1000.0),
    ] {
        metrics::gauge!(name).set(value);
    }
    match edge.hub.webhooks().losing() {
        Ok(losing) => metrics::gauge!(metric::WEBHOOKS_LOSING).set(losing.len() as f64),
        Err(error) => tracing::error!(%error, "the list of webhooks that lose events can't be read"),
    }
    edge.metrics.run_upkeep();
    let mut out = Exposition::behind(edge.metrics.render());
    // A node that is no member yet has no name in the membership.
    if let Some(name) = status.member(status.node_id).and_then(|me| me.name()) {
        let labels = [("node", &*status.node_id.to_string()), ("name", name)];
        out.info(metric::NODE_INFO, "Which node this is: its id and its name", &labels);
    }
    edge.webhooks.write_metrics(&mut out);
    write_process(&mut out);
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(out.into_text())
}

/// Writes what the operating system says of this process, under the names that all exporters use. What the
/// system does not say is left out.
fn write_process(out: &mut Exposition) {
    let process = metrics_process::collector::collect();
    let number = |number: Option<u64>| number.map(|number| number as f64);
    for (kind, name, help, value) in [
        (
            Kind::Counter,
            "process_cpu_seconds_total",
            "CPU time of the process, in its own code and in the system's",
            process.cpu_seconds_total,
        ),
        (
            Kind::Gauge,
            "process_resident_memory_bytes",
            "Memory of the process that is in RAM",
            number(process.resident_memory_bytes),
        ),
        (
            Kind::Gauge,
            "process_virtual_memory_bytes",
            "Address space of the process",
            number(process.virtual_memory_bytes),
        ),
        (Kind::Gauge, "process_open_fds", "Open files and sockets of the process", number(process.open_fds)),
        (
            Kind::Gauge,
            "process_max_fds",
            "Files and sockets that the process may have open",
            number(process.max_fds),
        ),
        (
            Kind::Gauge,
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            number(process.start_time_seconds),
        ),
        (Kind::Gauge, "process_threads", "Threads of the process", number(process.threads)),
    ] {
        if let Some(value) = value {
            out.one(kind, name, help, value);
        }
    }
}
