//! Reports the state of the node to a service manager: ready, stopping, alive. Works with systemd and with
//! any other manager that speaks its `sd_notify` protocol.
//!
//! Owns the manager's socket and the interval of the watchdog. It does not check the node: the caller does.
//! Without `NOTIFY_SOCKET` nothing is reported. A manager that does not listen delays nothing.

use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(target_os = "linux")]
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How often changes are reported, unless the manager's watchdog asks for a shorter interval.
const ROUND: Duration = Duration::from_millis(250);

/// A service manager that accepts reports. The socket is open as long as this value lives.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
}

/// The state of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The node accepts clients.
    pub ready: bool,
    /// The state in one sentence, for people.
    pub text: String,
}

impl Manager {
    /// The manager that started this process, if it accepts reports.
    pub fn of_this_process() -> Option<Self> {
        let name = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty())?;
        let watchdog = watchdog(std::env::var_os("WATCHDOG_USEC"), std::env::var_os("WATCHDOG_PID"));
        match Self::at(&name, watchdog) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!(%error, ?name, "can't report to the service manager");
                None
            }
        }
    }

    /// The manager at a path, or at an abstract name, which begins with `@`. `watchdog` is the longest time
    /// between two signs of life that the manager accepts.
    ///
    /// # Errors
    /// If nothing listens there.
    pub fn at(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            #[cfg(target_os = "linux")]
            Some(name) => SocketAddr::from_abstract_name(name)?,
            #[cfg(not(target_os = "linux"))]
            Some(_) => {
                return Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has abstract names"));
            }
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        Ok(Self { socket, watchdog })
    }

    /// Reports that the node starts; `text` says what it does until it is ready.
    pub fn starting(&self, text: &str) {
        self.tell(&format!("STATUS={text}"));
    }

    /// Reports that the node was asked to stop and drains.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping: clients and the lead go to other nodes");
    }

    /// Reports readiness once and every change of the state, and feeds the watchdog as long as `alive`
    /// returns `true` in time. Runs until it is dropped.
    pub async fn follow(&self, state: impl Fn() -> State, alive: impl AsyncFn() -> bool) {
        // This gives the node three attempts before the manager's time limit ends.
        let beat = self.watchdog.map(|limit| limit / 3);
        let round = beat.map_or(ROUND, |beat| beat.min(ROUND)).max(Duration::from_millis(1));
        let mut was_ready = false;
        let mut told = String::new();
        let mut beaten = None::<Instant>;
        loop {
            let State { ready, text } = state();
            if ready && !was_ready {
                was_ready = true;
                self.tell("READY=1");
            }
            if text != told {
                self.tell(&format!("STATUS={text}"));
                told = text;
            }
            if let Some(beat) = beat.filter(|beat| beaten.is_none_or(|at| at.elapsed() >= *beat)) {
                if tokio::time::timeout(beat, alive()).await == Ok(true) {
                    self.tell("WATCHDOG=1");
                    beaten = Some(Instant::now());
                } else {
                    tracing::error!("parts of this node do not answer: the watchdog is not fed");
                }
            }
            tokio::time::sleep(round).await;
        }
    }

    fn tell(&self, message: &str) {
        if let Err(error) = self.socket.send(message.as_bytes()) {
            tracing::debug!(%error, message, "the service manager does not accept reports");
        }
    }
}

/// The watchdog's time limit, if the manager watches this process.
fn watchdog(usec: Option<OsString>, pid: Option<OsString>) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    let ours = pid.is_none_or(|pid| number(pid) == Some(u64::from(std::process::id())));
    usec.and_then(number).filter(|usec| *usec > 0 && ours).map(Duration::from_micros)
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// The messages received so far.
    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut bytes = [0; 512];
        std::iter::from_fn(|| {
            socket.recv(&mut bytes).ok().map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned())
        })
        .collect()
    }

    fn listening(address: &SocketAddr) -> UnixDatagram {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    #[test]
    fn the_watchdog_is_for_one_process() {
        let own = std::process::id().to_string();
        let given = |usec: &str, pid: &str| watchdog(Some(usec.into()), Some(pid.into()));
        assert_eq!(given("3000000", &own), Some(Duration::from_secs(3)));
        assert_eq!(watchdog(Some("1000".into()), None), Some(Duration::from_millis(1)));
        assert_eq!(given("3000000", "1"), None, "another process is watched");
        assert_eq!([given("0", &own), given("x", &own), watchdog(None, None)], [None, None, None]);
    }

    #[test]
    fn abstract_names_and_paths() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let name = format!("@waypost-test-{}", std::process::id());
        assert!(Manager::at(path.as_os_str(), None).is_err(), "nothing listens");
        let at_path = listening(&SocketAddr::from_pathname(&path).unwrap());
        let at_name = listening(&SocketAddr::from_abstract_name(&name[1..]).unwrap());
        Manager::at(path.as_os_str(), None).unwrap().starting("a");
        Manager::at(name.as_ref(), None).unwrap().stopping();
        assert_eq!(heard(&at_path), ["STATUS=a"]);
        assert!(heard(&at_name)[0].starts_with("STOPPING=1\nSTATUS="));
    }

    #[tokio::test]
    async fn a_node_that_does_not_answer_feeds_no_watchdog() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = listening(&SocketAddr::from_pathname(&path).unwrap());
        let manager = Manager::at(path.as_os_str(), Some(Duration::from_millis(30))).unwrap();
        let ready = Cell::new(false);
        let alive = Cell::new(true);
        let state = || State { ready: ready.get(), text: format!("ready: {}", ready.get()) };
        let answers = async || alive.get() || std::future::pending().await;
        let mut following = std::pin::pin!(manager.follow(state, answers));
        let some_time = Duration::from_millis(300);

        let _ = tokio::time::timeout(some_time, &mut following).await;
        let first = heard(&socket);
        assert_eq!(first[0], "STATUS=ready: false");
        assert!(
            first.contains(&"WATCHDOG=1".to_owned()) && !first.contains(&"READY=1".to_owned()),
            "{first:?}"
        );

        ready.set(true);
        let _ = tokio::time::timeout(some_time, &mut following).await;
        let then: Vec<String> = heard(&socket).into_iter().filter(|line| line != "WATCHDOG=1").collect();
        assert_eq!(then, ["READY=1", "STATUS=ready: true"]);

        alive.set(false);
        let _ = tokio::time::timeout(some_time, &mut following).await;
        heard(&socket);
        let _ = tokio::time::timeout(some_time, &mut following).await;
        assert!(heard(&socket).is_empty(), "it was fed though nothing answers");
    }
}
