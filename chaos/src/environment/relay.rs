//! A relay of IP packets between the TUN devices of nodes, in user space. It does what `tc netem` does on
//! kernels that have it: it delays, reorders, loses, repeats and corrupts packets. Needs root.
//!
//! Half of the packets that it corrupts get a matching TCP checksum: those bits reach the program.

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering as Memory};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use testkit::background::Background;
use testkit::dice::Dice;
use tun_rs::SyncDevice;

/// The most packets that wait; the relay drops further packets, as a router does.
const QUEUE: usize = 20_000;
/// The length of the longest packet, in bytes.
const PACKET: usize = 2048;
/// What a slow link holds back; it drops further packets.
const BUFFER: Duration = Duration::from_millis(500);
/// How often a thread checks whether it has to end.
const LOOK: Duration = Duration::from_millis(50);

/// What the relay does to packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// The delay of each packet.
    pub delay: Duration,
    /// The most random delay that is added: packets overtake one another.
    pub jitter: Duration,
    /// How many packets of a thousand are lost.
    pub lost: u32,
    /// How many packets of a thousand arrive twice.
    pub repeated: u32,
    /// How many packets of a thousand have a bit flipped.
    pub corrupted: u32,
    /// The link to one node is slow.
    pub slow: Option<Slow>,
}

/// A link that passes few bytes.
#[derive(Debug, Clone, Copy)]
pub struct Slow {
    /// The node that the link leads to.
    pub to: usize,
    /// How many bytes pass in a second.
    pub bytes_per_second: u64,
}

/// How many packets met which fate.
#[derive(Debug, Default)]
pub struct Counts {
    /// Passed on.
    pub passed: AtomicU64,
    /// Lost on purpose.
    pub lost: AtomicU64,
    /// Sent twice.
    pub repeated: AtomicU64,
    /// Passed on with a bit flipped.
    pub corrupted: AtomicU64,
}

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    weather: Arc<Mutex<Weather>>,
    counts: Arc<Counts>,
    thread: Option<Background<()>>,
}

impl Relay {
    /// Relays between these devices; each has one address.
    pub fn start(devices: Vec<(Ipv4Addr, SyncDevice)>, seed: u64) -> Result<Self> {
        for (_, device) in &devices {
            device.set_nonblocking(true)?;
        }
        let weather = Arc::default();
        let counts = Arc::default();
        let busy = vec![Instant::now(); devices.len()];
        let work = Work {
            devices,
            busy,
            weather: Arc::clone(&weather),
            counts: Arc::clone(&counts),
            waiting: BinaryHeap::new(),
            dice: Dice::new(seed, 0x7e1a),
        };
        let thread = Some(Background::start(move |stop| work.run(stop)));
        Ok(Self { weather, counts, thread })
    }

    /// Changes the weather from now on.
    pub fn set(&self, weather: Weather) {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// The counts so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // An error of the thread is one of a device, which ends with the relay.
        let _ = self.thread.take().map(Background::stop);
    }
}

/// A packet on its way; the heap returns the packet that is due first.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Packet {
    due: std::cmp::Reverse<Instant>,
    to: usize,
    bytes: Vec<u8>,
}

/// The work of the relay's thread, with the packets that wait.
struct Work {
    devices: Vec<(Ipv4Addr, SyncDevice)>,
    /// Until when the link to each device is busy.
    busy: Vec<Instant>,
    weather: Arc<Mutex<Weather>>,
    counts: Arc<Counts>,
    waiting: BinaryHeap<Packet>,
    dice: Dice,
}

impl Work {
    fn run(mut self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Memory::Relaxed) {
            self.wait()?;
            for from in 0..self.devices.len() {
                let mut bytes = [0; PACKET];
                while let Ok(length) = self.devices[from].1.recv(&mut bytes) {
                    self.take(bytes.get(..length).unwrap_or_default());
                }
            }
            self.send_due();
        }
        Ok(())
    }

    /// Waits until a packet arrives or is due.
    fn wait(&self) -> Result<()> {
        let due = self.waiting.peek().map_or(LOOK, |p| p.due.0.saturating_duration_since(Instant::now()));
        let mut fds: Vec<_> =
            self.devices.iter().map(|(_, d)| PollFd::from_borrowed_fd(d.as_fd(), PollFlags::IN)).collect();
        let limit = Timespec { tv_sec: 0, tv_nsec: due.min(LOOK).as_nanos().try_into()? };
        match poll(&mut fds, Some(&limit)) {
            Err(error) if error != rustix::io::Errno::INTR => Err(error).context("poll"),
            _ => Ok(()),
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let Some(to) = receiver(bytes).and_then(|to| self.devices.iter().position(|(own, _)| *own == to))
        else {
            return;
        };
        let weather = *self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        if self.dice.thousandth(weather.lost) || self.waiting.len() >= QUEUE {
            self.counts.lost.fetch_add(1, Memory::Relaxed);
            return;
        }
        let mut bytes = bytes.to_vec();
        if self.dice.thousandth(weather.corrupted) && corrupt(&mut bytes, &mut self.dice) {
            self.counts.corrupted.fetch_add(1, Memory::Relaxed);
        }
        if self.dice.thousandth(weather.repeated) {
            self.counts.repeated.fetch_add(1, Memory::Relaxed);
            self.queue(to, bytes.clone(), weather);
        }
        self.queue(to, bytes, weather);
    }

    fn queue(&mut self, to: usize, bytes: Vec<u8>, weather: Weather) {
        let Some(sent) = self.sent(to, bytes.len(), weather.slow) else {
            self.counts.lost.fetch_add(1, Memory::Relaxed);
            return;
        };
        let after = weather.delay + self.dice.between(Duration::ZERO, weather.jitter);
        self.waiting.push(Packet { due: std::cmp::Reverse(sent + after), to, bytes });
    }

    /// When the link will have passed a packet of that length; `None` if it holds back too much already.
    fn sent(&mut self, to: usize, length: usize, slow: Option<Slow>) -> Option<Instant> {
        let now = Instant::now();
        let Some(slow) = slow.filter(|slow| slow.to == to) else { return Some(now) };
        let begins = self.busy[to].max(now);
        if begins > now + BUFFER {
            return None;
        }
        self.busy[to] = begins + Duration::from_secs_f64(length as f64 / slow.bytes_per_second as f64);
        Some(self.busy[to])
    }

    fn send_due(&mut self) {
        let now = Instant::now();
        while self.waiting.peek().is_some_and(|packet| packet.due.0 <= now) {
            let Some(packet) = self.waiting.pop() else { return };
            // A device with a full queue loses the packet; TCP sends it again.
            if self.devices[packet.to].1.send(&packet.bytes).is_ok() {
                self.counts.passed.fetch_add(1, Memory::Relaxed);
            }
        }
    }
}

/// The destination of an IPv4 packet.
fn receiver(packet: &[u8]) -> Option<Ipv4Addr> {
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (packet.first()? >> 4 == 4).then(|| address.into())
}

/// Flips a bit in the data of a TCP packet, and half the time makes the checksum match. Returns whether the
/// packet has data.
fn corrupt(packet: &mut [u8], dice: &mut Dice) -> bool {
    let Some((head, data)) = parts(packet) else { return false };
    let at = data + dice.below(packet.len() - data);
    packet[at] ^= 1 << dice.below(8);
    if dice.thousandth(500) {
        let sum = checksum(packet, head);
        packet[head + 16..head + 18].copy_from_slice(&sum.to_be_bytes());
    }
    true
}

/// Where a packet's TCP head and its data begin; `None` without data.
fn parts(packet: &[u8]) -> Option<(usize, usize)> {
    const TCP: u8 = 6;
    let head = usize::from(packet.first()? & 0x0f) * 4;
    if *packet.get(9)? != TCP || packet.len() < head + 20 {
        return None;
    }
    let data = head + usize::from(packet.get(head + 12)? >> 4) * 4;
    (data < packet.len()).then_some((head, data))
}

/// The TCP checksum of a packet (RFC 9293): over the addresses, the protocol, the length and the segment
/// without the checksum.
fn checksum(packet: &[u8], head: usize) -> u16 {
    let tcp = &packet[head..];
    let words = |bytes: &[u8]| -> u32 {
        bytes
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
            .sum()
    };
    let own = u32::from(u16::from_be_bytes([tcp[16], tcp[17]]));
    let mut sum = words(&packet[12..20]) + 6 + tcp.len() as u32 + words(tcp) - own;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_link_passes_its_packets_one_after_another_and_drops_what_it_cannot_hold() {
        let mut work = Work {
            devices: Vec::new(),
            busy: vec![Instant::now(); 2],
            weather: Arc::default(),
            counts: Arc::default(),
            waiting: BinaryHeap::new(),
            dice: Dice::new(1, 0),
        };
        let slow = Some(Slow { to: 1, bytes_per_second: 1000 });
        let first = work.sent(1, 100, slow).unwrap();
        let second = work.sent(1, 100, slow).unwrap();
        assert!(second >= first + Duration::from_millis(100));
        while work.sent(1, 100, slow).is_some() {}
        assert!(work.sent(0, 100, slow).is_some() && work.sent(1, 100, None).is_some());
    }

    /// A packet as a kernel sent it: 10.0.0.1:1 → 10.0.0.2:2, data "hello".
    fn packet() -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 45, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
        packet.extend([0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
        packet.extend(b"hello");
        let sum = checksum(&packet, 20);
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        packet
    }

    #[test]
    fn a_packet_is_parsed_and_its_checksum_is_repaired() {
        let whole = packet();
        assert_eq!(receiver(&whole), Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(parts(&whole), Some((20, 40)));
        let mut mended = 0;
        let mut broken = 0;
        for seed in 0..64 {
            let mut packet = whole.clone();
            assert!(corrupt(&mut packet, &mut Dice::new(seed, 0)));
            assert_ne!(packet[40..], whole[40..]);
            match checksum(&packet, 20).to_be_bytes() == packet[36..38] {
                true => mended += 1,
                false => broken += 1,
            }
        }
        assert!(mended > 10 && broken > 10, "{mended} {broken}");
        assert!(!corrupt(&mut whole[..40].to_vec(), &mut Dice::new(1, 0)), "nothing to corrupt");
    }
}
