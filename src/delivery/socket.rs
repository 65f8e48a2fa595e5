//! The TCP connection under a session: its kernel buffers, how much the client has taken, and the way to cut
//! it off from outside.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// Settings of client connections.
#[derive(Clone, Debug)]
pub struct SocketConfig {
    /// Bytes that the kernel may hold for a client.
    pub send_buffer_bytes: usize,
    /// The kernel gives up a connection after this time if the other side is gone or keeps its window shut.
    /// The kernel counts no progress while the window opens in small pieces. So at the least pace this time
    /// must be enough for the largest event and for the bytes that the kernel holds.
    pub user_timeout: Duration,
}

/// The connection by which a request came. It is in the connection's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Connection {
    descriptor: RawFd,
    /// As in [`SocketConfig`].
    user_timeout: Duration,
}

/// How many bytes of a connection were acknowledged and how many are unsent. Bytes of TLS count too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Bytes that the client's machine has acknowledged.
    pub(super) acknowledged: u64,
    /// Bytes in the kernel that were not sent yet, because the client's window has no room for them.
    pub(super) unsent: u32,
}

impl Connection {
    /// The counts of the kernel. They are zero if the kernel does not report them.
    pub(super) fn sent(&self) -> Sent {
        counts(self.descriptor).unwrap_or_default()
    }

    /// The address and the port of the client. `None` if the connection is gone.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        let address = self.with_socket(|socket| socket.peer_addr()).ok()?.as_socket()?;
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Ends the connection at once, whatever waits to be written. The worker's next poll of it fails.
    pub(super) fn cut(&self) {
        let cut = self.with_socket(|socket| socket.shutdown(std::net::Shutdown::Both));
        if let Err(error) = cut {
            tracing::debug!(%error, "a stalled connection was gone already");
        }
    }

    /// Makes the kernel keep the connection however long its window is shut: the watchdog measures what the
    /// client takes.
    pub(super) fn lift_limit(&self) {
        self.set_limit(None);
    }

    /// Makes the kernel's limit apply again.
    pub(super) fn restore_limit(&self) {
        self.set_limit(Some(self.user_timeout));
    }

    fn set_limit(&self, limit: Option<Duration>) {
        if let Err(error) = self.with_socket(|socket| set_user_timeout(&socket, limit)) {
            tracing::debug!(%error, "a connection was gone already");
        }
    }

    fn with_socket<T>(&self, act: impl FnOnce(socket2::SockRef<'_>) -> T) -> T {
        // SAFETY: Two parties use a `Connection`: the dispatcher of the worker thread on which the session's
        // body lives (it is not Send), for its watchdog and for its list of connections, and that body while
        // it is polled. Both use it only while the session is registered with the dispatcher, and the body
        // unregisters the session when it is dropped. Body and socket are fields of the same connection
        // future of that thread. That future drops the body before the socket or together with it, within one
        // poll, and the dispatcher never runs in between. So the descriptor is open and still belongs to this
        // connection.
        #[allow(unsafe_code)]
        let socket = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        act(socket2::SockRef::from(&socket))
    }
}

/// The kernel's counts for an open descriptor.
#[cfg(target_os = "linux")]
fn counts(descriptor: RawFd) -> Option<Sent> {
    let mut length = libc::socklen_t::try_from(std::mem::size_of::<libc::tcp_info>()).ok()?;
    // SAFETY: `tcp_info` consists of plain numbers, for which zero is a value. The kernel writes at most
    // `length` bytes, and `length` is the size of `tcp_info`. The descriptor is open and belongs to the
    // caller's connection, as in `with_socket`. If it belonged to another connection, the number would be
    // wrong, and nothing else.
    #[allow(unsafe_code)]
    let (info, status) = unsafe {
        let mut info: libc::tcp_info = std::mem::zeroed();
        let to = (&raw mut info).cast();
        let status = libc::getsockopt(descriptor, libc::IPPROTO_TCP, libc::TCP_INFO, to, &raw mut length);
        (info, status)
    };
    // A kernel before 4.1 writes less. A kernel before 4.6 leaves the count of unsent bytes zero.
    let told = std::mem::offset_of!(libc::tcp_info, tcpi_bytes_acked) + std::mem::size_of::<u64>();
    let is_told = status == 0 && usize::try_from(length).is_ok_and(|length| length >= told);
    is_told.then_some(Sent { acknowledged: info.tcpi_bytes_acked, unsent: info.tcpi_notsent_bytes })
}

/// The kernel's counts for an open descriptor. macOS does not count what was acknowledged. The bytes that
/// were sent stand for them: their number grows only while the client takes some.
#[cfg(target_vendor = "apple")]
fn counts(descriptor: RawFd) -> Option<Sent> {
    let size = std::mem::size_of::<libc::tcp_connection_info>();
    let mut length = libc::socklen_t::try_from(size).ok()?;
    // SAFETY: as for Linux: plain numbers, of which at most `length` bytes are written, and an open
    // descriptor.
    #[allow(unsafe_code)]
    let (info, status) = unsafe {
        let mut info: libc::tcp_connection_info = std::mem::zeroed();
        let to = (&raw mut info).cast();
        let name = libc::TCP_CONNECTION_INFO;
        let status = libc::getsockopt(descriptor, libc::IPPROTO_TCP, name, to, &raw mut length);
        (info, status)
    };
    let is_told = status == 0 && usize::try_from(length).is_ok_and(|length| length >= size);
    is_told.then_some(Sent { acknowledged: info.tcpi_txbytes, unsent: info.tcpi_snd_sbbytes })
}

/// Other systems are not asked.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn counts(_descriptor: RawFd) -> Option<Sent> {
    None
}

/// Sets after which time the kernel gives up a connection.
#[cfg(target_os = "linux")]
fn set_user_timeout(socket: &socket2::SockRef<'_>, limit: Option<Duration>) -> std::io::Result<()> {
    socket.set_tcp_user_timeout(limit)
}

/// Only Linux has such a limit for one socket; elsewhere that of the system stays.
#[cfg(not(target_os = "linux"))]
fn set_user_timeout(_socket: &socket2::SockRef<'_>, _limit: Option<Duration>) -> std::io::Result<()> {
    Ok(())
}

/// Prepares an accepted connection. The server calls it for each connection.
pub fn on_connect(
    config: &SocketConfig,
    connection: &impl AsFd,
    extensions: &mut actix_web::dev::Extensions,
) {
    extensions.insert(prepare(connection, config));
}

/// Sets up a client's socket.
pub(super) fn prepare(stream: &impl AsFd, config: &SocketConfig) -> Connection {
    let socket = socket2::SockRef::from(stream);
    let prepared = socket
        .set_send_buffer_size(config.send_buffer_bytes)
        .and_then(|()| set_user_timeout(&socket, Some(config.user_timeout)))
        .and_then(|()| socket.set_tcp_nodelay(true));
    if let Err(error) = prepared {
        tracing::warn!(%error, "a client's socket could not be set up");
    }
    Connection { descriptor: stream.as_fd().as_raw_fd(), user_timeout: config.user_timeout }
}
