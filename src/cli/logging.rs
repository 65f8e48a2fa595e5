//! Log lines on standard error: text for people, or one JSON object for each line.

use std::io::{self, IsTerminal};

use tracing_subscriber::{
    EnvFilter,
    fmt::{
        SubscriberBuilder,
        format::{DefaultFields, Format, Json, JsonFields},
    },
    reload,
};

use super::named_lines::NamedLines;
use crate::config::{Config, LogFormat};

/// Replaces the filter of a running log.
pub(super) struct LogFilter(Box<dyn Fn(EnvFilter) -> Result<(), reload::Error>>);

impl LogFilter {
    /// Logs what this filter lets through from now on.
    ///
    /// # Errors
    /// If the text is not a filter. Nothing changes then.
    pub(super) fn set(&self, filter: &str) -> anyhow::Result<()> {
        Ok((self.0)(EnvFilter::try_new(quieted(filter))?)?)
    }
}

/// Starts logging as configured. A second call changes nothing.
pub(super) fn start(config: &Config) -> anyhow::Result<LogFilter> {
    let filter = EnvFilter::try_new(quieted(&config.log))?;
    let lines = NamedLines::of(config);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || lines.clone());
    // The only error of `try_init` is that logging has already been started.
    Ok(match config.log_format {
        LogFormat::Text => {
            let builder = builder.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            LogFilter(Box::new(move |filter| handle.reload(filter)))
        }
        LogFormat::Json => {
            let builder = as_json(builder).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            LogFilter(Box::new(move |filter| handle.reload(filter)))
        }
    })
}

/// A filter that also quiets the libraries, which log much that an operator can do nothing about. A library
/// that the filter names itself is not quieted.
fn quieted(filter: &str) -> String {
    ["openraft", "actix_server", "actix_http"]
        .iter()
        .filter(|library| !filter.contains(**library))
        .fold(filter.to_owned(), |filter, library| format!("{filter},{library}=off"))
}

/// Lines like `{"timestamp","level","message",…fields,"target"}`; within a span they have `span` too.
fn as_json<F, W>(
    builder: SubscriberBuilder<DefaultFields, Format, F, W>,
) -> SubscriberBuilder<JsonFields, Format<Json>, F, W> {
    builder.json().flatten_event(true).with_span_list(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;
    use serde_json::Value;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_json_line_has_time_level_message_and_fields() {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = as_json(tracing_subscriber::fmt().with_writer(move || writer.clone())).finish();
        tracing::subscriber::with_default(subscriber, || tracing::info!(node = 3, "a \"b\""));
        let line: Value = serde_json::from_slice(&sink.0.lock().unwrap()).unwrap();
        assert_eq!(line["message"], "a \"b\"");
        assert_eq!(line["node"], 3);
        assert_eq!(line["level"], "INFO");
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
