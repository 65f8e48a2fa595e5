//! Where webhooks may go: the policy for addresses, and the one parser for the URL of a target.
//!
//! Pure: it never resolves a name and never connects. The dialer checks each address that a name resolves to
//! with [`Guard::check`]. An address literal is checked here already, when the webhook is created.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

mod target;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) mod vectors;

pub use target::{BadTarget, Host, LARGEST_URL, Receiver, Target};

/// Special-purpose networks of IPv4: those in IANA's registry, multicast, and those that clouds reserve.
const V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "this network"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "shared by a carrier's customers"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([168, 63, 129, 16], 32), "the host agent of a cloud"),
    (v4([169, 254, 0, 0], 16), "link-local, where clouds keep their metadata"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "reserved for protocols"),
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([192, 31, 196, 0], 24), "reserved for AS112"),
    (v4([192, 52, 193, 0], 24), "reserved for multicast tunnels"),
    (v4([192, 88, 99, 0], 24), "a retired 6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([192, 175, 48, 0], 24), "reserved for AS112"),
    (v4([198, 18, 0, 0], 15), "for benchmarks"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([255, 255, 255, 255], 32), "broadcast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// Special-purpose networks of IPv6. They are checked before the rule that only 2000::/3 is public.
const V6: &[(Ipv6Net, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "an IPv4 address in a retired form"),
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), "a translated IPv4 address"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "translated by the local network"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discarded"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "a Teredo tunnel"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "reserved for protocols"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation"),
    (v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48), "reserved for AS112"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation"),
    (v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16), "for segment routing"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "private"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

/// The part of IPv6 that is assigned for public use.
const GLOBAL: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// NAT64 with the well-known prefix: the last 32 bits are the IPv4 address that is reached.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);
/// 6to4: the 32 bits after the prefix are the IPv4 address of the relay.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

/// What an address is that isn't on the public Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Special {
    /// The kind of network that it is in.
    pub what: &'static str,
    /// The network to allow for it, if it has a name of its own.
    pub net: Option<IpNet>,
}

/// What is special about an address; `None` for a public one. An IPv4 address inside an IPv6 address is
/// checked as that IPv4 address.
pub fn special(ip: IpAddr) -> Option<Special> {
    match ip {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => {
            // The network of the IPv4 address does not allow what reaches it through a tunnel.
            let tunnelled = |ip: Ipv4Addr| special_v4(ip).map(|special| Special { net: None, ..special });
            let outer = match (ip.to_ipv4_mapped(), inner(ip)) {
                (Some(mapped), _) => special_v4(mapped),
                (None, Some(reached)) => tunnelled(reached),
                (None, None) => special_v6(ip),
            };
            outer.or_else(|| tunnelled(isatap(ip)?))
        }
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<Special> {
    let found = V4.iter().find(|(net, _)| net.contains(&ip));
    found.map(|(net, what)| Special { what, net: Some(IpNet::V4(*net)) })
}

fn special_v6(ip: Ipv6Addr) -> Option<Special> {
    let found = V6.iter().find(|(net, _)| net.contains(&ip));
    let named = found.map(|(net, what)| Special { what, net: Some(IpNet::V6(*net)) });
    let unassigned = Special { what: "not assigned for public use", net: None };
    named.or_else(|| (!GLOBAL.contains(&ip)).then_some(unassigned))
}

/// The IPv4 address that traffic to this IPv6 address reaches, if it does.
fn inner(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = ip.octets();
    if let Some(mapped) = ip.to_ipv4_mapped() {
        return Some(mapped);
    }
    if NAT64.contains(&ip) {
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    if SIX_TO_FOUR.contains(&ip) {
        let [_, _, a, b, c, d, ..] = ip.octets();
        return Some(Ipv4Addr::new(a, b, c, d));
    }
    None
}

/// The IPv4 address that an ISATAP tunnel with any prefix reaches: the interface identifier is
/// `[02]00:5efe:a.b.c.d`.
fn isatap(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    match ip.octets() {
        [_, _, _, _, _, _, _, _, 0 | 2, 0, 0x5e, 0xfe, a, b, c, d] => Some(Ipv4Addr::new(a, b, c, d)),
        _ => None,
    }
}

/// Why webhooks must not go to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The address is in a special-purpose network that the configuration does not allow.
    #[error(
        "{ip} is not a public address ({what}); to reach it, add {} to webhooks.allow_nets",
        network(.net.as_ref())
    )]
    NotPublic {
        /// The address.
        ip: IpAddr,
        /// The kind of network that it is in.
        what: &'static str,
        /// That network, if it has a name of its own.
        net: Option<IpNet>,
    },
    /// The address is in a network that the configuration denies.
    #[error("{ip} is in {net}, which webhooks may not reach (webhooks.deny_nets)")]
    Denied {
        /// The address.
        ip: IpAddr,
        /// The network.
        net: IpNet,
    },
}

/// A network in a sentence.
fn network(net: Option<&IpNet>) -> String {
    net.map_or_else(|| "its network".to_owned(), ToString::to_string)
}

/// Decides where webhooks may go: to public addresses and to the networks that the configuration allows, but
/// never to those that it denies.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl Guard {
    /// A guard that allows public addresses and these networks.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow, deny: Vec::new() }
    }

    /// The same guard without these networks, whatever else allows them.
    pub fn denying(self, deny: Vec<IpNet>) -> Self {
        Self { deny, ..self }
    }

    /// Whether webhooks may go to this address.
    pub fn check(&self, ip: IpAddr) -> Result<(), Forbidden> {
        if let Some(net) = self.denied(ip) {
            return Err(Forbidden::Denied { ip, net });
        }
        match special(ip) {
            Some(Special { what, net }) if !self.allows(ip) => Err(Forbidden::NotPublic { ip, what, net }),
            _ => Ok(()),
        }
    }

    /// The denied network that traffic to this address reaches. That may be the network of an IPv4 address
    /// inside an IPv6 address.
    fn denied(&self, ip: IpAddr) -> Option<IpNet> {
        let inside = match ip {
            IpAddr::V4(_) => [None, None],
            IpAddr::V6(ip) => [inner(ip), isatap(ip)],
        };
        let reached = std::iter::once(ip).chain(inside.into_iter().flatten().map(IpAddr::V4));
        reached.filter_map(|ip| self.deny.iter().find(|net| holds(net, ip))).next().copied()
    }

    /// Whether the allow-list has this address. An IPv4 network also includes its addresses as
    /// `::ffff:a.b.c.d`, but none of the tunnelled forms, since those take another route.
    fn allows(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|net| holds(net, ip))
    }

    /// Whether the allow-list has any network.
    fn opens_anything(&self) -> bool {
        !self.allow.is_empty()
    }
}

/// Whether the network has the address, in whichever of the two forms each of them is written.
fn holds(net: &IpNet, ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    net.contains(&ip) || matches!(ip, IpAddr::V4(v4) if holds_mapped(net, v4))
}

/// Whether a network that is written in the v4-mapped form has the address.
fn holds_mapped(net: &IpNet, ip: Ipv4Addr) -> bool {
    matches!(net, IpNet::V6(net) if net.prefix_len() >= 96 && net.contains(&ip.to_ipv6_mapped()))
}
