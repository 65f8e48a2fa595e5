//! TLS: the authorities that the client trusts, the name that it asks for, and the failures that it reports.

use std::{cell::RefCell, io::Write, rc::Rc, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::NamedTempFile;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::{super::*, support::*};

/// A certificate authority of the test, with its certificate in a file.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: NamedTempFile,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(issuer.pem().as_bytes()).unwrap();
        Self { issuer, file }
    }

    fn acceptor(&self, name: &str) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    fn client(&self, recorder: &Rc<Recorder>) -> Client {
        let outside = Outside::new(Guard::default(), Some(self.file.path())).unwrap();
        Client::through(&outside, Names::with("receiver.example", &[&[PUBLIC]]), recorder.clone())
    }
}

/// A server with a certificate for `name`. It records the SNI and the `Host` of each request. Its connections
/// end after `requests` requests, the last of which gets no answer.
async fn serve_tls(authority: &Authority, name: &str, requests: usize) -> (u16, Rc<RefCell<Vec<String>>>) {
    let acceptor = authority.acceptor(name);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let port = serve(move |_, stream| {
        let acceptor = acceptor.clone();
        let log = log.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            for _ in 1..requests {
                let text = request(&mut stream).await?;
                let sni = stream.get_ref().1.server_name().unwrap_or("-").to_owned();
                let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
                log.borrow_mut().push(format!("{sni} {}", host.rsplit_once(':').unwrap().0));
                answer(&mut stream, OK).await?;
            }
            request(&mut stream).await?;
            Ok(())
        }
    })
    .await;
    (port, seen)
}

fn target(host: &str, port: u16) -> Target {
    Guard::default().target(&format!("https://{host}:{port}/")).unwrap()
}

#[actix_web::test]
async fn a_private_authority_is_trusted_if_its_file_is_configured() {
    let authority = Authority::new();
    let recorder = Recorder::routed();
    let (port, seen) = serve_tls(&authority, "receiver.example", 9).await;
    let good = authority.client(&recorder);
    for _ in 0..3 {
        assert_eq!(send(&good, &target("receiver.example", port), LONG).await.unwrap().status, 200);
    }
    assert_eq!(*seen.borrow(), ["receiver.example receiver.example"; 3]);
    assert_eq!(recorder.count(), 1, "TLS connections are kept too");

    let failure = send(&client(&recorder), &target("receiver.example", port), LONG).await.unwrap_err();
    assert_eq!(failure.class, Class::Tls);
    assert!(failure.message.contains("is not known; add it"), "{failure}");
    let other = Authority::new().client(&recorder);
    assert_eq!(send(&other, &target("receiver.example", port), LONG).await.unwrap_err().class, Class::Tls);
}

#[actix_web::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new();
    let recorder = Recorder::routed();
    let (port, seen) = serve_tls(&authority, "elsewhere.example", 9).await;
    let client = authority.client(&recorder);
    let failure = send(&client, &target("receiver.example", port), LONG).await.unwrap_err();
    assert_eq!(failure.class, Class::Tls);
    assert!(failure.message.contains("is not for receiver.example"), "{failure}");
    let failure = send(&client, &target(PUBLIC, port), LONG).await.unwrap_err();
    assert_eq!(failure.class, Class::Tls, "a certificate for a name is not valid for its address");
    assert!(seen.borrow().is_empty(), "no request was sent");
}

#[actix_web::test]
async fn addresses_have_certificates_too() {
    let authority = Authority::new();
    let recorder = Recorder::routed();
    let client = authority.client(&recorder);
    for (ip, host) in [(PUBLIC, PUBLIC), ("2606:4700::1111", "[2606:4700::1111]")] {
        let (port, seen) = serve_tls(&authority, ip, 9).await;
        assert_eq!(send(&client, &target(host, port), LONG).await.unwrap().status, 200, "{ip}");
        assert_eq!(*seen.borrow(), [format!("- {host}")]);
    }
}

#[actix_web::test]
async fn a_request_is_repeated_once_when_its_kept_connection_ends() {
    let authority = Authority::new();
    let recorder = Recorder::routed();
    let (port, seen) = serve_tls(&authority, "receiver.example", 2).await;
    let client = authority.client(&recorder);
    for dials in 1..=2 {
        assert_eq!(send(&client, &target("receiver.example", port), LONG).await.unwrap().status, 200);
        assert_eq!((seen.borrow().len(), recorder.count()), (dials, dials));
    }
}

#[actix_web::test]
async fn a_receiver_without_tls_fails_the_handshake() {
    let port =
        serve(|_, mut stream| async move { answer(&mut stream, "HTTP/1.1 400 Bad\r\n\r\n").await }).await;
    let client = client(&Recorder::routed());
    let failure = send(&client, &target("receiver.example", port), LONG).await.unwrap_err();
    assert_eq!(failure.class, Class::Tls);
    assert!(failure.message.contains("use http://"), "{failure}");
    let port = serve(|_, _| async { Ok(()) }).await;
    assert_eq!(send(&client, &target("receiver.example", port), LONG).await.unwrap_err().class, Class::Tls);
    let port = serve(|_, stream| async move {
        tokio::time::sleep(LONG).await;
        drop(stream);
        Ok(())
    })
    .await;
    let failure = send(&client, &target("receiver.example", port), SHORT).await.unwrap_err();
    assert_eq!(failure.class, Class::Timeout);
    assert!(failure.message.contains("TLS"), "{failure}");
}

#[test]
fn a_file_without_certificates_is_an_error() {
    let file = NamedTempFile::new().unwrap();
    assert!(Outside::new(Guard::default(), Some(file.path())).is_err());
    assert!(Outside::new(Guard::default(), Some(std::path::Path::new("/no/such/file"))).is_err());
}

/// A self-signed certificate with these properties, as `openssl req -x509` makes it. Returns the acceptor of
/// its server, and the file with the certificate.
fn self_signed(is_authority: bool, change: impl Fn(&mut CertificateParams)) -> (TlsAcceptor, NamedTempFile) {
    let mut params = CertificateParams::new(vec!["receiver.example".to_owned()]).unwrap();
    if is_authority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(certificate.pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), file)
}

async fn sent_to_self_signed(
    (acceptor, file): (TlsAcceptor, NamedTempFile),
    host: &str,
    is_listed: bool,
) -> Result<u16, Failure> {
    let port = serve(move |_, stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await?;
            request(&mut stream).await?;
            answer(&mut stream, OK).await
        }
    })
    .await;
    let listed = is_listed.then_some(file.path());
    let outside = Outside::new(Guard::default(), listed).unwrap();
    let client = Client::through(&outside, Names::with(host, &[&[PUBLIC]]), Recorder::routed());
    send(&client, &target(host, port), LONG).await.map(|answer| answer.status)
}

#[actix_web::test]
async fn a_self_signed_certificate_is_trusted_if_its_file_is_configured() {
    for is_authority in [true, false] {
        let listed = sent_to_self_signed(self_signed(is_authority, |_| ()), "receiver.example", true).await;
        assert_eq!(listed.unwrap(), 200);
        let unlisted =
            sent_to_self_signed(self_signed(is_authority, |_| ()), "receiver.example", false).await;
        let unlisted = unlisted.unwrap_err();
        assert_eq!(unlisted.class, Class::Tls);
        let told = if is_authority { "is self-signed or an authority's own" } else { "is not known" };
        assert!(unlisted.message.contains(told), "{unlisted}");
        assert!(unlisted.message.contains("webhooks.ca_file"), "{unlisted}");
        let other = sent_to_self_signed(self_signed(is_authority, |_| ()), "other.example", true).await;
        assert_eq!(other.unwrap_err().class, Class::Tls, "its name is another");
        let expired = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let expired = sent_to_self_signed(self_signed(is_authority, expired), "receiver.example", true).await;
        assert_eq!(expired.unwrap_err().class, Class::Tls);
    }
}
