//! `waypost consumer lag`: how far a consumer is behind, and how fast it is read.

use std::time::Duration;

use http::Method;
use serde_json::Value;

use super::{
    super::{
        cluster::named::called_by,
        output::{self, cell, counted_cell},
    },
    One,
};

/// The pause between two looks: rates are measured over it.
const LOOK_PAUSE: Duration = Duration::from_secs(2);

/// A consumer to watch.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    one: One,
    /// Go on until it is interrupted
    #[arg(long)]
    watch: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let consumer = args.one.open();
    let mut before: Option<u64> = None;
    loop {
        let shown = consumer.call(Method::GET, "", None).await?;
        let state = &shown["state"];
        let count = state["acknowledged"].as_u64().unwrap_or(0);
        if let Some(before) = before {
            let rate = count.saturating_sub(before) as f64 / LOOK_PAUSE.as_secs_f64();
            if output::for_people(consumer.json) {
                output::line(words(state, rate))?;
            } else {
                let mut state = state.clone();
                state["rate"] = rate.into();
                output::json(&state)?;
            }
            if !args.watch {
                return Ok(());
            }
        }
        before = Some(count);
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// The line for people. With no event left there is no oldest one.
fn words(state: &Value, rate: f64) -> String {
    let mut words = vec![format!("lag {}", cell(state, "lag")), format!("{rate:.1} acknowledged a second")];
    if !state["oldest_at"].is_null() {
        words.push(format!("oldest of {}", cell(state, "oldest_at")));
    }
    words.push(counted_cell(state, "dead_letters", "dead letter", "dead letters"));
    words.push(match state["owner"].is_null() {
        true => "owner: none".to_owned(),
        false => format!("owner: node {}", called_by(state, "owner", "owner_name")),
    });
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_there_is_not_is_left_out() {
        let mut idle = json!({"lag": 0, "oldest_at": null, "dead_letters": 0, "owner": 3});
        assert_eq!(words(&idle, 0.0), "lag 0, 0.0 acknowledged a second, 0 dead letters, owner: node 3");
        idle["owner_name"] = "berlin-2".into();
        assert!(words(&idle, 0.0).ends_with("owner: node 3 (berlin-2)"));
        let behind = json!({"lag": 7, "oldest_at": "2026-01-31T12:00:00Z", "dead_letters": 1, "owner": null});
        assert_eq!(
            words(&behind, 1.5),
            "lag 7, 1.5 acknowledged a second, oldest of 2026-01-31T12:00:00Z, 1 dead letter, owner: none"
        );
    }
}
