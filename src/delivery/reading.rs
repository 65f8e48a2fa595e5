//! Measures whether the client of a connection reads its waiting bytes. While the client is behind, the
//! watchdog measures it in place of the kernel, whose own limit counts no progress.

use super::pace::Pace;
use super::settings::{DispatcherConfig, LOOK_AFTER};
use super::socket::Connection;

/// Measures how fast the client of one connection takes its waiting bytes. It lives as long as the session.
pub(super) struct Reading {
    connection: Connection,
    pace: Pace,
}

impl Reading {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, pace: Pace::default() }
    }

    /// Whether the client has taken too little for too long. `since` is the second since which something
    /// waits for the client. If nothing waits, the bytes that the kernel has yet to send count, while the
    /// kernel's own limit is lifted.
    ///
    /// Makes a system call only if something has waited for seconds.
    pub(super) fn is_too_slow(&mut self, now: u64, since: Option<u64>, config: &DispatcherConfig) -> bool {
        let is_measured = self.pace.is_looked_at();
        if since.map_or(!is_measured, |since| now.saturating_sub(since) < LOOK_AFTER) {
            return false;
        }
        let sent = self.connection.sent();
        if since.is_none() && sent.unsent == 0 {
            self.rest();
            return false;
        }
        if !is_measured {
            // The kernel would not count the progress of a window that opens in small pieces.
            self.connection.lift_limit();
        }
        self.pace.look(now, since.unwrap_or(now), sent.acknowledged, config.least_bytes)
            > config.stall_seconds
    }

    /// Nothing waits for the client any more. The kernel's limit applies again.
    pub(super) fn rest(&mut self) {
        if self.pace.is_looked_at() {
            self.pace.rest();
            self.connection.restore_limit();
        }
    }

    /// The connection.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Ends the connection at once.
    pub(super) fn cut(&self) {
        self.connection.cut();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::delivery::socket::{SocketConfig, prepare};
    use socket2::SockRef;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::{Duration, Instant};

    const LIMIT: Duration = Duration::from_secs(77);
    const CONFIG: DispatcherConfig = DispatcherConfig {
        ring_bytes: 0,
        ring_events: 0,
        rings_bytes: 0,
        stall_seconds: 6,
        least_bytes: 1000,
        idle_seconds: 0,
        join_seconds: 0,
        position_seconds: 0,
    };

    /// The server's side of a connection, its client, and how it reads.
    fn connected() -> (TcpStream, TcpStream, Reading) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let connection = prepare(&server, &SocketConfig { send_buffer_bytes: 8 << 10, user_timeout: LIMIT });
        (server, client, Reading::new(connection))
    }

    /// Writes until the client's window is shut and the kernel takes no more. Returns the number of bytes
    /// written.
    fn fill(server: &mut TcpStream, reading: &Reading) -> usize {
        let mut written = 0;
        let mut quiet = 0;
        while quiet < 30 || reading.connection.sent().unsent == 0 {
            match server.write(&[0; 4096]) {
                Ok(length) => (written, quiet) = (written + length, 0),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    quiet += 1;
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error}"),
            }
        }
        written
    }

    /// The kernel's limit.
    fn limit(server: &TcpStream) -> Option<Duration> {
        SockRef::from(server).tcp_user_timeout().unwrap()
    }

    /// Waits until the client's window has let the kernel send all its bytes.
    fn all_is_sent(reading: &Reading) {
        let start = Instant::now();
        while reading.connection.sent().unsent > 0 {
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", reading.connection.sent());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_client_that_has_caught_up_is_left_to_the_kernel_again() {
        let (mut server, mut client, mut reading) = connected();
        assert_eq!(limit(&server), Some(LIMIT));
        let written = fill(&mut server, &reading);
        assert!(
            !reading.is_too_slow(1, Some(0), &CONFIG) && limit(&server) == Some(LIMIT),
            "it has just begun"
        );
        assert!(!reading.is_too_slow(2, Some(0), &CONFIG));
        assert_eq!(limit(&server), None, "it is measured");
        client.read_exact(&mut vec![0; written]).unwrap();
        all_is_sent(&reading);
        assert!(!reading.is_too_slow(3, None, &CONFIG));
        assert_eq!(limit(&server), Some(LIMIT));
        fill(&mut server, &reading);
        assert!(!reading.is_too_slow(9, Some(6), &CONFIG), "it begins anew");
        assert_eq!(limit(&server), None);
    }

    #[test]
    fn bytes_that_the_kernel_can_not_send_count_as_waiting() {
        let (mut server, _client, mut reading) = connected();
        fill(&mut server, &reading);
        assert!(!reading.is_too_slow(2, Some(0), &CONFIG));
        assert!(
            !reading.is_too_slow(6, None, &CONFIG) && limit(&server).is_none(),
            "all is handed over, not taken"
        );
        assert!(reading.is_too_slow(7, None, &CONFIG));
    }

    #[test]
    fn a_connection_that_serves_another_request_has_its_limit() {
        let (mut server, _client, mut reading) = connected();
        fill(&mut server, &reading);
        assert!(!reading.is_too_slow(2, Some(0), &CONFIG) && limit(&server).is_none());
        reading.rest();
        assert_eq!(limit(&server), Some(LIMIT));
    }
}
