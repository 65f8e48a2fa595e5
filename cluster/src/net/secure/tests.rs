//! Callers and nodes with every kind of security, over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::super::HANDSHAKE;
use super::super::authority::{Authority, FAR};
use super::certificates::OfPeer;
use super::*;
use crate::certificate::{Renewed, Said};
use crate::config::TlsFiles;
use crate::wire::frame::Frame;

fn secure(keys: &[&str], tls: Option<&TlsFiles>) -> Secure {
    let keys = keys.iter().map(|key| (*key).to_owned()).collect();
    let security = Security { keys, tls: tls.cloned() };
    Secure::new(&security, IdentityKey::random().unwrap()).unwrap()
}

fn tls(files: &TlsFiles) -> Secure {
    secure(&[], Some(files))
}

fn key(text: &str) -> Secure {
    secure(&[text], None)
}

fn none() -> Secure {
    secure(&[], None)
}

fn hello() -> Hello {
    Hello { cluster_id: [7; 16], from: 1, to: 2, from_addr: "a:1".to_owned(), lane: 4 }
}

/// What the caller and the called node each find out about the other, or the error text.
type Met = (Result<Shown, String>, Result<Shown, String>);

/// One connection, on which a request is asked and answered.
async fn meet(caller: &Secure, called: &Secure) -> Met {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let call = async {
        let (mut read, mut write, shown) = caller.call(TcpStream::connect(addr).await?, &hello()).await?;
        write.frame(&frame::encode(Kind::Request, 0, 9, b"question")?).await?;
        write.flush().await?;
        let (head, body) = read.frame(100).await?;
        assert_eq!((head.kind, &body[..]), (Kind::Answer, &b"answer"[..]));
        Ok::<_, io::Error>(shown)
    };
    let answer = async {
        let mut answering = called.answer(listener.accept().await?.0).await?;
        assert_eq!(answering.caller.hello, hello());
        called.welcome(&mut answering).await?;
        let Answering { mut read, mut write, caller, .. } = answering;
        let (head, body) = read.frame(100).await?;
        assert_eq!((head.kind, head.id, &body[..]), (Kind::Request, 9, &b"question"[..]));
        write.frame(&frame::encode(Kind::Answer, 0, 9, b"answer")?).await?;
        write.flush().await?;
        // The other end closes first.
        let _ = read.frame(100).await;
        Ok::<_, io::Error>(caller.shown)
    };
    let limit = HANDSHAKE * 10;
    let (call, answer) = tokio::join!(timeout(limit, call), timeout(limit, answer));
    (call.unwrap().map_err(|e| e.to_string()), answer.unwrap().map_err(|e| e.to_string()))
}

#[tokio::test]
async fn frames_of_every_length_arrive_whole_and_in_order() {
    let (caller, called) = (none(), none());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    // Around a record of TLS, around the buffer, and far beyond both.
    let lengths = [5, 0, 16_359, 16_360, 16_361, 65_511, 65_512, 65_513, 300_000, 1];
    let bodies = lengths.map(|length| Bytes::from(vec![length as u8; length]));
    let call = async {
        let (read, mut write, _) = caller.call(TcpStream::connect(addr).await?, &hello()).await?;
        for (id, body) in (0..).zip(&bodies) {
            write.send(&Frame::new(Kind::Request, 0, id, body.clone())?).await?;
        }
        write.flush().await?;
        Ok::<_, io::Error>((read, write))
    };
    let answer = async {
        let mut answering = called.answer(listener.accept().await?.0).await?;
        called.welcome(&mut answering).await?;
        for (id, body) in (0..).zip(&bodies) {
            let (head, found) = answering.read.frame(wire::MAX_ENCODED).await?;
            assert_eq!((head.id, found.len()), (id, body.len()));
            assert!(found == *body, "{id}");
        }
        Ok::<_, io::Error>(answering)
    };
    let limit = HANDSHAKE * 10;
    let (call, answer) = tokio::join!(timeout(limit, call), timeout(limit, answer));
    assert!(call.unwrap().is_ok() && answer.unwrap().is_ok());
}

/// Both sides prove their identities. Returns what the caller finds out about the called node's right to
/// admit it, and the reverse.
async fn admission(caller: &Secure, called: &Secure) -> (Result<(), NotAdmitted>, Result<(), NotAdmitted>) {
    let (at_caller, at_called) = meet(caller, called).await;
    let at_caller = at_caller.unwrap();
    let at_called = at_called.unwrap();
    assert_eq!((at_caller.identity, at_called.identity), (called.identity(), caller.identity()));
    (at_caller.admission, at_called.admission)
}

async fn get_together(caller: &Secure, called: &Secure) {
    assert_eq!(admission(caller, called).await, (Ok(()), Ok(())));
}

/// Both sides report why they do not connect.
async fn stay_apart(caller: &Secure, called: &Secure, told: &str, said: &str) {
    let (caller, called) = meet(caller, called).await;
    let caller = caller.unwrap_err();
    let called = called.unwrap_err();
    assert!(caller.contains(told), "the caller reports {caller:?}, not {told:?}");
    assert!(called.contains(said), "the called node reports {called:?}, not {said:?}");
}

const ONE: &str = "a key of the cluster";
const OTHER: &str = "a key of another one";

#[tokio::test]
async fn a_caller_that_begins_with_a_text_is_told_what_is_wrong() {
    let called = none().telling(Bytes::from_static(b"not here"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    for request in [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"P"] {
        let call = async {
            let mut socket = TcpStream::connect(addr).await?;
            socket.write_all(request).await?;
            let mut told = Vec::new();
            socket.read_to_end(&mut told).await?;
            Ok::<_, io::Error>(told)
        };
        let answer = async {
            called.answer(listener.accept().await?.0).await?;
            Ok::<_, io::Error>(())
        };
        let limit = HANDSHAKE * 10;
        let (call, answer) = tokio::join!(timeout(limit, call), timeout(limit, answer));
        assert_eq!(call.unwrap().unwrap(), b"not here");
        let error = answer.unwrap().unwrap_err().to_string();
        assert!(error.contains("does not speak TLS"), "{error}");
    }
}

#[test]
fn a_node_that_was_not_introduced_introduces_nobody() {
    let node = none();
    let other = key(ONE).identity();
    assert!(!node.is_introduced());
    assert_eq!(node.introduce(&[7; 16], 20, 2, other), None);
    node.introduce_with(Vec::new());
    assert!(node.is_introduced());
    let chain = node.introduce(&[7; 16], 20, 2, other).unwrap();
    let known = |key| key == node.identity();
    assert_eq!(crate::introduction::introduced(&chain, &[7; 16], other, 19, known), Some(2));
}

#[tokio::test]
async fn what_a_cluster_needs_admits_a_newcomer() {
    let authority = Authority::new();
    get_together(&none(), &none()).await;
    get_together(&key(ONE), &key(ONE)).await;
    // The names in the certificates do not matter.
    get_together(&tls(&authority.node("a", FAR)), &tls(&authority.node("b", FAR))).await;
}

#[tokio::test]
async fn without_it_a_node_is_recognized_but_not_admitted() {
    let caller = key(OTHER);
    let called = key(ONE);
    let admitted = admission(&caller, &called).await;
    // The called node shows no proof to a caller that has none.
    assert_eq!(admitted, (Err(NotAdmitted::NoKey), Err(NotAdmitted::AnotherKey)));
    assert_eq!(admission(&none(), &called).await.1, Err(NotAdmitted::NoKey));
    assert_eq!(admission(&called, &none()).await, (Err(NotAdmitted::NoKey), Ok(())));
}

#[tokio::test]
async fn while_a_key_is_replaced_both_admit() {
    let old = key(OTHER);
    let both = secure(&[ONE, OTHER], None);
    let new = key(ONE);
    for (caller, called) in [(&old, &both), (&both, &old), (&both, &both), (&both, &new), (&new, &both)] {
        get_together(caller, called).await;
    }
    assert_eq!(admission(&old, &new).await.1, Err(NotAdmitted::AnotherKey));
}

#[tokio::test]
async fn while_a_cluster_changes_to_certificates_either_admits() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let with_key = key(ONE);
    let with_tls = tls(&authority.node("a", FAR));
    let both = || secure(&[ONE], Some(&authority.node("b", FAR)));
    for (caller, called) in [(&with_key, &both()), (&both(), &with_key), (&both(), &both())] {
        get_together(caller, called).await;
    }
    get_together(&with_tls, &both()).await;
    get_together(&both(), &with_tls).await;
    let foreign = secure(&[OTHER], Some(&stranger.node("a", FAR)));
    assert_eq!(admission(&foreign, &both()).await.1, Err(NotAdmitted::AnotherKey));
    // With certificates alone every connection needs one.
    stay_apart(&with_key, &with_tls, "there is none", "shows no certificate").await;
    stay_apart(&with_tls, &with_key, "another authority", "").await;
}

/// Passes bytes on in both directions, as anybody on the network could.
async fn relay(between: TcpListener, to: std::net::SocketAddr) {
    let mut from = between.accept().await.unwrap().0;
    let mut to = TcpStream::connect(to).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
}

/// A node in the middle that ends the caller's TLS and begins its own. It shows the caller's greeting to the
/// called node as it came.
#[tokio::test]
async fn nothing_that_is_shown_on_one_connection_is_valid_on_another() {
    let caller = key(ONE);
    let called = key(ONE);
    let thief = key(ONE);
    let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near_addr = near.local_addr().unwrap();
    let far_addr = far.local_addr().unwrap();
    let call = async { caller.call(TcpStream::connect(near_addr).await?, &hello()).await.map(drop) };
    let steal = async {
        let mut heard = thief.tls.accept(near.accept().await?.0, b"").await?;
        let (head, greeting) = heard.read.frame(HANDSHAKE_BYTES).await?;
        let mut said = thief.tls.connect(TcpStream::connect(far_addr).await?).await?;
        said.write.frame(&frame::encode(head.kind, frame::NODE, 0, &greeting)?).await?;
        said.write.flush().await
    };
    let answer = async { called.answer(far.accept().await?.0).await.map(drop) };
    let all = timeout(HANDSHAKE * 10, async { tokio::join!(call, steal, answer) });
    let (_, stolen, answered) = all.await.unwrap();
    stolen.unwrap();
    let refused = answered.unwrap_err().to_string();
    assert!(refused.contains("does not prove its identity"), "{refused}");
}

#[tokio::test]
async fn who_only_passes_bytes_on_changes_nothing_and_reads_nothing() {
    let caller = key(ONE);
    let called = key(ONE);
    let near = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near_addr = near.local_addr().unwrap();
    let far_addr = far.local_addr().unwrap();
    let relaying = tokio::spawn(relay(near, far_addr));
    let call = async { caller.call(TcpStream::connect(near_addr).await?, &hello()).await };
    let answer = async {
        let mut answering = called.answer(far.accept().await?.0).await?;
        called.welcome(&mut answering).await.map(|()| answering)
    };
    let (call, answer) = timeout(HANDSHAKE * 10, async { tokio::join!(call, answer) }).await.unwrap();
    assert_eq!(call.unwrap().2.identity, called.identity());
    assert_eq!(answer.unwrap().caller.shown.admission, Ok(()));
    relaying.abort();
}

#[tokio::test]
async fn foreign_and_expired_certificates_are_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let node = tls(&authority.node("node", FAR));
    let foreign = tls(&stranger.node("node", FAR));
    stay_apart(&foreign, &node, "of another authority", "").await;
    stay_apart(&node, &foreign, "of another authority", "of another authority").await;
    let ended = tls(&authority.node("ended", 2020));
    stay_apart(&ended, &node, "it has ended", "has ended").await;
    stay_apart(&node, &ended, "has ended", "it has ended").await;
    assert_eq!(ended.certificate_until(), Some(1_609_372_800));
}

#[tokio::test]
async fn a_caller_without_a_certificate_is_refused() {
    let authority = Authority::new();
    let node = tls(&authority.node("node", FAR));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(authority.issuer.der().clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = tokio_rustls::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let call = async {
        let socket = TcpStream::connect(addr).await.unwrap();
        let name = "node".try_into().unwrap();
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await
    };
    let answer = async { node.answer(listener.accept().await.unwrap().0).await.map(drop) };
    let both = timeout(HANDSHAKE * 10, async { tokio::join!(call, answer) });
    let (called, answered) = both.await.unwrap();
    let called = called.unwrap_err().to_string();
    let answered = answered.unwrap_err().to_string();
    assert!(called.contains("CertificateRequired"), "{called}");
    assert!(answered.contains("shows no certificate"), "{answered}");
}

fn tried(files: &TlsFiles) -> Result<Secure, StartError> {
    let security = Security { keys: Vec::new(), tls: Some(files.clone()) };
    Secure::new(&security, IdentityKey::random().unwrap())
}

/// The certificates in use.
fn certificates(of: &Secure) -> &Arc<Renewed<OfPeer>> {
    let Tls::Certificates(certificates) = &of.tls else { panic!("no certificates") };
    certificates
}

#[test]
fn files_that_do_not_match_are_reported() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let one = authority.node("one", FAR);
    let other = authority.node("other", FAR);
    let foreign = stranger.node("one", FAR);
    let told = |files: &TlsFiles| match tried(files) {
        Err(StartError::Config(text)) => text,
        _ => panic!("taken"),
    };
    assert!(told(&TlsFiles { key: other.key, ..one.clone() }).contains("is not that of the certificate"));
    assert!(told(&TlsFiles { ca: foreign.ca, ..one.clone() }).contains("not of these authorities"));
    let absent = told(&TlsFiles { key: PathBuf::from("/no/such.key"), ..one.clone() });
    assert!(absent.contains("/no/such.key: No such file"), "{absent}");
    assert!(told(&TlsFiles { cert: one.key.clone(), ..one.clone() }).contains("no certificate in the file"));
    assert!(told(&TlsFiles { key: one.cert.clone(), ..one }).contains("no private key"));
}

#[test]
fn a_certificate_must_be_valid_for_both_sides() {
    let authority = Authority::new();
    let only = |purpose| {
        let mut params = CertificateParams::new(vec!["node".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let files = authority.node("node", FAR);
        let pair = KeyPair::generate().unwrap();
        std::fs::write(&files.cert, params.signed_by(&pair, &authority.issuer).unwrap().pem()).unwrap();
        std::fs::write(&files.key, pair.serialize_pem()).unwrap();
        files
    };
    let told = |files: TlsFiles| tried(&files).err().unwrap().to_string();
    let server = told(only(ExtendedKeyUsagePurpose::ServerAuth));
    assert!(server.contains("not for clients (extendedKeyUsage)"), "{server}");
    let client = told(only(ExtendedKeyUsagePurpose::ClientAuth));
    assert!(client.contains("not for servers (extendedKeyUsage)"), "{client}");

    // Neither replaces a good certificate.
    let files = authority.node("good", FAR);
    let node = tls(&files);
    let certificates = certificates(&node);
    let bad = only(ExtendedKeyUsagePurpose::ServerAuth);
    replace(&bad.cert, &files.cert);
    replace(&bad.key, &files.key);
    let before = node.certificate_until();
    certificates.look(&mut Said::default());
    assert_eq!(node.certificate_until(), before);
}

#[test]
fn a_chain_expires_with_its_earliest_certificate() {
    let authority = Authority::new();
    let ca = |name: &str, year| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(year, 12, 31);
        params
    };
    let outer =
        CertifiedIssuer::signed_by(ca("outer", FAR - 50), KeyPair::generate().unwrap(), &authority.issuer)
            .unwrap();
    let inner =
        CertifiedIssuer::signed_by(ca("inner", FAR - 40), KeyPair::generate().unwrap(), &outer).unwrap();
    let files = authority.node("node", FAR);
    let mut params = CertificateParams::new(vec!["node".to_owned()]).unwrap();
    params.not_after = date_time_ymd(FAR, 12, 31);
    let pair = KeyPair::generate().unwrap();
    let own = params.signed_by(&pair, &inner).unwrap();
    std::fs::write(&files.cert, own.pem() + &inner.pem() + &outer.pem()).unwrap();
    std::fs::write(&files.key, pair.serialize_pem()).unwrap();
    let end = u64::try_from(date_time_ymd(FAR - 50, 12, 31).unix_timestamp()).unwrap();
    assert_eq!(tls(&files).certificate_until(), Some(end));
}

#[test]
fn a_refusal_cannot_forge_log_lines() {
    let reason = format!("no\n2026-11-21 ERROR forged\u{1b}[2J{}", "x".repeat(3000));
    let body = wire::encode(&Welcome::RefusedV1 { reason }).unwrap();
    let told = refused(Kind::Welcome, &body).to_string();
    assert!(told.starts_with("refused: no 2026-11-21 ERROR forged [2Jxxx"), "{told}");
    assert!(told.len() < 400 && !told.contains(char::is_control), "{told}");
}

fn replace(with: &Path, file: &Path) {
    std::fs::copy(with, file).unwrap();
}

#[tokio::test]
async fn replaced_files_are_taken_and_bad_files_are_not() {
    let old = Authority::new();
    let new = Authority::new();
    let files = old.node("node", FAR - 1);
    let node = tls(&files);
    let certificates = certificates(&node);
    let mut said = Said::default();
    let peer = tls(&old.node("peer", FAR));

    // Only the certificate is new so far: the old pair stays in use.
    let next = old.node("next", FAR);
    replace(&next.cert, &files.cert);
    certificates.look(&mut said);
    certificates.look(&mut said);
    let before = node.certificate_until().unwrap();
    get_together(&peer, &node).await;
    replace(&next.key, &files.key);
    certificates.look(&mut said);
    assert!(node.certificate_until().unwrap() > before);
    get_together(&peer, &node).await;
    get_together(&node, &peer).await;

    // An expired certificate is not taken.
    let ended = old.node("ended", 2020);
    replace(&ended.cert, &files.cert);
    replace(&ended.key, &files.key);
    certificates.look(&mut said);
    get_together(&node, &peer).await;

    // Both authorities are trusted for a while, then a certificate of the new one follows.
    std::fs::write(&files.ca, old.issuer.pem() + &new.issuer.pem()).unwrap();
    let moved = new.node("node", FAR);
    replace(&moved.cert, &files.cert);
    replace(&moved.key, &files.key);
    certificates.look(&mut said);
    get_together(&node, &tls(&TlsFiles { ca: files.ca.clone(), ..old.node("peer", FAR) })).await;
    let only_new = tls(&new.node("only", FAR));
    get_together(&only_new, &node).await;
    stay_apart(&peer, &only_new, "another authority", "").await;
}
