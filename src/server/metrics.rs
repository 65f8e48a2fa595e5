//! Sets up the recorder of metrics.

use super::ServerError;
use crate::metric;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::time::Duration;

/// The upper bounds of the buckets, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Those of HTTP answers, which have many series: fewer.
const HTTP_BUCKETS: [f64; 7] = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
/// How often what was measured is sorted into buckets.
const SORT_EVERY: Duration = Duration::from_secs(5);

/// Installs the recorder of the process. It may be installed once.
pub(super) fn install() -> Result<PrometheusHandle, ServerError> {
    let of_http = Matcher::Full(metric::HTTP_SECONDS.to_owned());
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(of_http, &HTTP_BUCKETS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| ServerError::Metrics(error.to_string()))?;
    metric::describe();
    show_build();
    Ok(handle)
}

/// Shows what runs: the version, the commit if the build knew it, and the compiler.
fn show_build() {
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("commit", env!("BUILD_COMMIT")),
        ("rustc", env!("BUILD_RUSTC")),
    ];
    let labels: Vec<_> = labels.into_iter().filter(|(_, value)| *value != "unknown").collect();
    metrics::gauge!(metric::BUILD_INFO, &labels).set(1.0);
}

/// Sorts what was measured into the buckets of the histograms, as long as the node runs. Otherwise everything
/// that was measured would be kept until somebody asks for the metrics.
pub(super) async fn sort_measured(handle: PrometheusHandle) {
    loop {
        tokio::time::sleep(SORT_EVERY).await;
        handle.run_upkeep();
    }
}
