#![allow(clippy::unwrap_used)]
//! Tests of the resolver with a name server on loopback.

use std::{cell::RefCell, collections::HashMap, net::Ipv4Addr, rc::Rc};

use bytes::Bytes;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
};

use super::*;
use crate::{
    core::{
        ids::WebhookId,
        webhook::{Method, outcome::Class},
    },
    delivery::webhook::{
        client::{Answer, Client, Failure, Outgoing, Outside, Requester},
        dial::Network,
        guard::{Guard, Target},
    },
};

const A: u16 = 1;

/// The records of a name server, by name.
type Zone = Rc<RefCell<HashMap<&'static str, Vec<Ipv4Addr>>>>;
type Asked = Rc<RefCell<Vec<(String, u16)>>>;

/// A name server with A records for the names of a zone. Other names don't exist. `silent.example` gets no
/// answer.
async fn name_server(zone: &Zone) -> (SystemResolver, Asked) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    let zone = zone.clone();
    let asked = Asked::default();
    let log = asked.clone();
    actix_rt::spawn(async move {
        let mut packet = [0; 512];
        while let Ok((len, from)) = socket.recv_from(&mut packet).await {
            let (name, kind, end) = question(&packet[..len]);
            log.borrow_mut().push((name.clone(), kind));
            if name != "silent.example" {
                let reply = reply(&packet[..end], kind, zone.borrow().get(name.as_str()));
                socket.send_to(&reply, from).await.unwrap();
            }
        }
    });
    let mut udp = ConnectionConfig::udp();
    udp.port = port;
    let mut server = NameServerConfig::udp([127, 0, 0, 1].into());
    server.connections = vec![udp];
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(200);
    let search = vec![hickory_resolver::proto::rr::Name::from_ascii("inside.test.").unwrap()];
    let config = ResolverConfig::from_parts(None, search, vec![server]);
    (SystemResolver::with(Path::new(HOSTS), move || (config.clone(), options.clone())), asked)
}

/// The name, the type and the end of the only question of a packet.
fn question(packet: &[u8]) -> (String, u16, usize) {
    let mut at = 12;
    let mut labels = Vec::new();
    while packet[at] > 0 {
        let end = at + 1 + usize::from(packet[at]);
        labels.push(String::from_utf8(packet[at + 1..end].to_ascii_lowercase()).unwrap());
        at = end;
    }
    (labels.join("."), u16::from_be_bytes([packet[at + 1], packet[at + 2]]), at + 5)
}

fn reply(asked: &[u8], kind: u16, known: Option<&Vec<Ipv4Addr>>) -> Vec<u8> {
    let addresses = known.filter(|_| kind == A).map_or(&[][..], Vec::as_slice);
    let mut reply = asked.to_vec();
    let code = if known.is_some() { 0x80 } else { 0x83 };
    let counts = [0x81, code, 0, 1, 0, addresses.len() as u8, 0, 0, 0, 0];
    reply[2..12].copy_from_slice(&counts);
    for ip in addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(ip.octets());
    }
    reply
}

fn zone(names: &[(&'static str, &[[u8; 4]])]) -> Zone {
    let record =
        |(name, ips): &(&'static str, &[[u8; 4]])| (*name, ips.iter().map(|ip| (*ip).into()).collect());
    Rc::new(RefCell::new(names.iter().map(record).collect()))
}

#[actix_web::test]
async fn all_addresses_of_a_name_are_found_and_cached_for_a_while() {
    let zone = zone(&[("many.example", &[[93, 184, 216, 34], [127, 0, 0, 1], [8, 8, 8, 8]])]);
    let (resolver, asked) = name_server(&zone).await;
    let mut found = resolver.resolve("many.example").await.unwrap();
    found.sort_unstable();
    let expected: [IpAddr; 3] = [[8, 8, 8, 8].into(), [93, 184, 216, 34].into(), [127, 0, 0, 1].into()];
    assert!(expected.iter().all(|ip| found.contains(ip)) && found.len() == 3, "{found:?}");
    resolver.resolve("many.example").await.unwrap();
    let questions = asked.borrow().iter().filter(|(_, kind)| *kind == A).count();
    assert_eq!(questions, 1, "the second answer came from the cache");
}

#[actix_web::test]
async fn a_name_without_an_address_is_reported_with_the_reason() {
    let zone = zone(&[("empty.example", &[])]);
    let (resolver, _) = name_server(&zone).await;
    let why = async |name: &str| resolver.resolve(name).await.unwrap_err().0;
    assert_eq!(why("missing.example").await, "there is no host missing.example");
    assert_eq!(why("empty.example").await, "empty.example has no address");
    // The resolver stops by itself: this test has no deadline for the request.
    assert_eq!(why("silent.example").await, "the name servers did not answer for silent.example");
}

/// In a company network, name servers answer for internal hosts under names that the search list completes.
#[actix_web::test]
async fn a_name_is_never_completed_by_the_search_list() {
    let zone = zone(&[("receiver.inside.test", &[[8, 8, 8, 8]]), ("a.example.inside.test", &[[8, 8, 8, 8]])]);
    let (resolver, asked) = name_server(&zone).await;
    for name in ["receiver", "a.example"] {
        assert_eq!(resolver.resolve(name).await.unwrap_err().0, format!("there is no host {name}"));
    }
    assert!(asked.borrow().iter().all(|(name, _)| !name.ends_with("inside.test")), "{:?}", asked.borrow());
}

fn without_servers(hosts: &Path) -> SystemResolver {
    SystemResolver::with(hosts, || {
        (ResolverConfig::from_parts(None, vec![], vec![]), ResolverOpts::default())
    })
}

/// Such names are common between containers.
#[actix_web::test]
async fn a_name_may_have_an_underscore_anywhere() {
    let names = ["my_app", "my_app_", "_my_app", "a_b.my_net.example"];
    let (resolver, _) = name_server(&zone(&names.map(|name| (name, &[[8, 8, 8, 8]][..])))).await;
    for name in names {
        assert_eq!(resolver.resolve(name).await.unwrap(), [IpAddr::from([8, 8, 8, 8])], "{name}");
    }
}

#[actix_web::test]
async fn the_hosts_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    let resolver = without_servers(&hosts);
    assert!(resolver.resolve("my_app").await.is_err());
    for ips in [&["10.0.0.1"][..], &["10.0.0.22", "10.0.0.3"]] {
        let lines: String = ips.iter().map(|ip| format!("{ip} my_app\n")).collect();
        std::fs::write(&hosts, lines).unwrap();
        let expected: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(resolver.resolve("my_app").await.unwrap(), expected);
    }
    std::fs::remove_file(&hosts).unwrap();
    assert!(resolver.resolve("my_app").await.is_err());
}

#[actix_web::test]
async fn localhost_needs_no_name_server() {
    let resolver = without_servers(Path::new("/nonexistent"));
    let found = resolver.resolve("localhost").await.unwrap();
    assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{found:?}");
    assert!(resolver.resolve("receiver.example").await.is_err());
}

async fn post(allow: &[&str], resolver: SystemResolver, port: u16) -> Result<Answer, Failure> {
    let guard = Guard::new(allow.iter().map(|net| net.parse().unwrap()).collect());
    let client = Client::through(&Outside::new(guard, None).unwrap(), Rc::new(resolver), Rc::new(Network));
    let url = Target::parse(&format!("http://home.example:{port}/")).unwrap();
    let body = Bytes::from_static(b"x");
    let timeout = Duration::from_secs(30);
    let webhook = Requester { id: WebhookId::from_bytes([1; 16]), ambiguous: true };
    client.send(Outgoing { method: Method::Post, url: &url, headers: vec![], body, timeout }, webhook).await
}

/// Uses the real client, resolver and network. A name that resolves to this machine is refused, or reached if
/// the allow-list allows it.
#[actix_web::test]
async fn a_name_on_this_machine_is_reached_only_where_that_is_allowed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let zone = zone(&[("home.example", &[[127, 0, 0, 1]])]);
    let accepted = Rc::new(RefCell::new(0));
    let count = accepted.clone();
    actix_rt::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            *count.borrow_mut() += 1;
            let _ = stream.read_u8().await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    for allow in [&[][..], &["10.0.0.0/8"], &["127.0.0.2/32"]] {
        let failure = post(allow, name_server(&zone).await.0, port).await.unwrap_err();
        assert_eq!(failure.class, Class::Blocked, "{allow:?}: {failure}");
    }
    assert_eq!(*accepted.borrow(), 0);
    assert_eq!(post(&["127.0.0.0/8"], name_server(&zone).await.0, port).await.unwrap().status, 204);
    assert_eq!(*accepted.borrow(), 1);
}
