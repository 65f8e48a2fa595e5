//! `waypost tail --no-follow`: prints what is stored, a page at a time, and ends.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::client::{Client, encoded},
    Tail,
};

/// Events of a page.
const PAGE: usize = 1000;
/// How often in a row a page is asked for that no node could answer, and the pause where no answer names one.
const TRIES: usize = 10;
const PAUSE: Duration = Duration::from_secs(1);

/// An answer with stored events. They are printed as they came.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
    cursor: Option<String>,
    has_more: bool,
    #[serde(default)]
    gap: bool,
    oldest_id: Option<String>,
}

impl Tail {
    /// Prints the events that are stored, from the start that was asked for, or else from the oldest.
    pub(super) async fn print_stored(&mut self, client: &Client) -> anyhow::Result<()> {
        while !self.done() {
            let bytes = self.page(client).await?;
            let page: Page<'_> = client.understood(&bytes)?;
            if page.gap {
                self.report_gap(page.oldest_id.as_deref());
            }
            for event in page.data {
                if self.done() {
                    return Ok(());
                }
                self.print(&client.understood(event.get().as_bytes())?, event.get())?;
            }
            let Some(cursor) = page.cursor.filter(|_| page.has_more) else { return Ok(()) };
            self.position = Some(cursor);
        }
        Ok(())
    }

    /// The next page. What passes is waited for.
    async fn page(&self, client: &Client) -> anyhow::Result<bytes::Bytes> {
        let mut tries = 1;
        loop {
            match client.bytes(&self.page_path()).await {
                Err(error) if error.passes() && error.is_answer() && tries < TRIES => {
                    tokio::time::sleep(error.retry_after().unwrap_or(PAUSE)).await;
                    tries += 1;
                }
                result => return Ok(result?),
            }
        }
    }

    /// The page's path and query.
    fn page_path(&self) -> String {
        let start = match (&self.position, &self.since) {
            (Some(id), _) => Some(("after", id)),
            (None, Some(since)) => Some(("since", since)),
            (None, None) => None,
        };
        let chosen = self.chosen().chain(start);
        let query: String = chosen.map(|(name, value)| format!("&{name}={}", encoded(value))).collect();
        format!("{}?limit={PAGE}{query}", self.path)
    }
}
