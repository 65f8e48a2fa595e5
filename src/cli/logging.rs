//! Log lines on standard error: text for people, or one JSON object for each line.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use serde_json::{Map, Value};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
    reload,
};

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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // The only error of `try_init` is that logging has already been started.
    Ok(match config.log_format {
        LogFormat::Text => {
            let builder = builder.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            LogFilter(Box::new(move |filter| handle.reload(filter)))
        }
        LogFormat::Json => {
            let builder = builder.event_format(JsonLines).with_filter_reloading();
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

/// Writes a line as `{"time","level","target","message",…fields}`.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        let now = OffsetDateTime::now_utc().format(&Rfc3339).map_err(|_| fmt::Error)?;
        event.record(&mut fields);
        fields.0.insert("time".into(), now.into());
        fields.0.insert("level".into(), event.metadata().level().as_str().into());
        fields.0.insert("target".into(), event.metadata().target().into());
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

struct Fields(Map<String, Value>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use super::*;

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
        let subscriber =
            tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || tracing::info!(node = 3, "a \"b\""));
        let line: Value = serde_json::from_slice(&sink.0.lock().unwrap()).unwrap();
        assert_eq!(line["message"], "a \"b\"");
        assert_eq!(line["node"], 3);
        assert_eq!(line["level"], "INFO");
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
    }
}
