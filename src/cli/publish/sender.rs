//! Sends events to a map, and repeats a request that failed, at the next node if necessary.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::{
    client::{ANSWER, Body, Client, ClientError, Connection, encoded},
    output,
};

/// Shortest and longest pause between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// How long a request that a limit of the map refuses is repeated.
const LIMITED: Duration = Duration::from_secs(60);
/// Longest wait for a node if there is another one. A node waits less for a leader.
const ATTEMPT: Duration = Duration::from_secs(8);

/// How long a request is repeated while no node takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Patience {
    /// For so many seconds; 0 tries each node once.
    Seconds(u64),
    /// Until it succeeds.
    Endless,
}

impl Patience {
    /// Whether a request that has taken this long may be repeated.
    fn allows(self, taken: Duration, is_limited: bool) -> bool {
        match self {
            Self::Endless => true,
            Self::Seconds(_) if is_limited => taken <= LIMITED,
            Self::Seconds(seconds) => taken <= Duration::from_secs(seconds),
        }
    }

    /// What is said when the first round over all nodes has failed.
    fn words(self) -> String {
        match self {
            Self::Endless => "trying again until it succeeds".to_owned(),
            Self::Seconds(seconds) => format!("trying again for {seconds} s at most"),
        }
    }
}

/// Sends events to one map.
pub(in crate::cli) struct Sender {
    client: Client,
    path: String,
    patience: Patience,
}

impl Sender {
    /// A sender to that map.
    pub(in crate::cli) fn new(map: &str, connection: Connection, patience: Patience) -> Self {
        let path = format!("/api/maps/{}/events", encoded(map));
        Self { client: Client::new(connection), path, patience }
    }

    /// Sends a request until it succeeds, is refused for good, or the time for it has passed. Each node is
    /// tried once in any case.
    pub(in crate::cli) async fn send(&self, body: Body) -> Result<Value, ClientError> {
        let began = Instant::now();
        let mut pause = PAUSES.0;
        let mut failures = 0;
        // What a node answered says more than that another one can't be reached.
        let mut answered = None;
        loop {
            let limit = if self.client.nodes() > 1 { ATTEMPT } else { ANSWER };
            let attempt = self.client.call_here(Method::POST, &self.path, body.clone(), limit);
            let error = match attempt.await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if !error.passes() {
                return Err(error);
            }
            self.client.next_node();
            let limited = error.is_limit();
            failures += usize::from(!limited);
            if !limited && failures % self.client.nodes() != 0 {
                answered = Some(error).filter(ClientError::is_answer).or(answered);
                continue;
            }
            let error = if error.is_answer() { error } else { answered.take().unwrap_or(error) };
            let wait = error.retry_after().unwrap_or_default().max(pause);
            if !self.patience.allows(began.elapsed() + wait, limited) {
                if self.patience == Patience::Seconds(0) && !limited {
                    output::note("not published; --wait SECONDS tries again for that long");
                }
                return Err(error);
            }
            if failures == self.client.nodes() {
                output::note(format_args!("{error}\n{}", self.patience.words()));
            }
            sleep(wait).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }
}
