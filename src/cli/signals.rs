//! The signals that do not end a node: SIGHUP has it read its files again, and others do nothing.

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::logging::LogFilter;
use super::settings::ConfigArgs;
use crate::config::{Config, KEYS};

/// Signals that would end a process that does not handle them, and that nobody sends to end one: some tools
/// send the first two to have a program reopen its log files, and timers send the others.
const HARMLESS: &[(&str, i32)] = &[
    ("SIGUSR1", libc::SIGUSR1),
    ("SIGUSR2", libc::SIGUSR2),
    ("SIGALRM", libc::SIGALRM),
    ("SIGVTALRM", libc::SIGVTALRM),
    ("SIGPROF", libc::SIGPROF),
    ("SIGIO", libc::SIGIO),
    #[cfg(target_os = "linux")]
    ("SIGPWR", libc::SIGPWR),
];

/// The handlers of these signals. From its creation on none of the signals ends the process.
pub(super) struct Signals {
    hangup: Signal,
    harmless: Vec<(&'static str, Signal)>,
}

impl Signals {
    pub(super) fn take() -> anyhow::Result<Self> {
        let take = |&(name, number): &(&'static str, i32)| {
            let taken = signal(SignalKind::from_raw(number));
            taken.map(|signal| (name, signal)).with_context(|| format!("cannot listen for {name}"))
        };
        Ok(Self {
            hangup: signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?,
            harmless: HARMLESS.iter().map(take).collect::<Result<_, _>>()?,
        })
    }

    /// Handles the signals as long as the node runs. At SIGHUP it applies the log filter of the configuration
    /// `args`, and has the node read its certificates again through `reload`. `running` is the configuration
    /// with which the node started.
    pub(super) async fn handle(
        self,
        args: ConfigArgs,
        running: Config,
        filter: LogFilter,
        reload: mpsc::Sender<()>,
    ) {
        let Self { mut hangup, harmless } = self;
        for (name, mut signal) in harmless {
            actix_rt::spawn(async move {
                while signal.recv().await.is_some() {
                    tracing::info!("{name} does nothing; SIGHUP reads certificates and the log filter again");
                }
            });
        }
        while hangup.recv().await.is_some() {
            tracing::info!("SIGHUP: reading certificates and the log filter again");
            reload_settings(&args, &running, &filter);
            // If a reload waits already, it reads the present files.
            let _ = reload.try_send(());
        }
    }
}

fn reload_settings(args: &ConfigArgs, running: &Config, filter: &LogFilter) {
    let config = match args.load() {
        Ok(loaded) => loaded.config,
        Err(error) => return tracing::error!(%error, "the configuration can't be used; nothing was changed"),
    };
    match filter.set(&config.log) {
        Ok(()) => tracing::info!(log = config.log, "the log filter is set"),
        Err(error) => tracing::error!(%error, "the log filter can't be used; the old one stays"),
    }
    let later = changed(running, &config);
    if !later.is_empty() {
        tracing::warn!("changed settings that take effect at the next start: {}", later.join(", "));
    }
}

/// The names of the settings that differ, without the one that a reload applies.
fn changed(running: &Config, read: &Config) -> Vec<&'static str> {
    let tree = |config: &Config| serde_json::to_value(config).unwrap_or_default();
    let running = tree(running);
    let read = tree(read);
    let differs = |path: &str| {
        let pointer = format!("/{}", path.replace('.', "/"));
        running.pointer(&pointer) != read.pointer(&pointer)
    };
    KEYS.iter().map(|key| key.path.as_str()).filter(|path| *path != "log" && differs(path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_names_the_settings_that_need_a_restart() {
        let running = Config::default();
        let mut read = Config { log: "debug".to_owned(), workers: 3, ..Config::default() };
        read.session.drain_seconds += 1;
        assert_eq!(changed(&running, &read), ["session.drain_seconds", "workers"]);
        assert_eq!(changed(&running, &running), [""; 0]);
    }
}
