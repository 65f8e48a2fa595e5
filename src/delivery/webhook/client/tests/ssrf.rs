//! An address that the guard refuses is never dialled, however it is reached. The dialer only records
//! addresses: even with a broken guard these tests send no packet.

use std::{cell::RefCell, net::IpAddr, rc::Rc};

use futures_util::future::LocalBoxFuture;

use super::support::*;
use crate::{
    core::webhook::outcome::Class,
    delivery::webhook::{
        client::{Client, Outside},
        guard::{
            Guard, Target,
            vectors::{PUBLIC_ADDRESSES, REFUSED_ADDRESSES, REFUSED_URLS},
        },
        resolve::{NoAddress, Resolve},
    },
};

thread_local! {
    /// Made once, since reading the system's many authorities is slow.
    static OUTSIDE: Outside = Outside::new(Guard::default(), None).unwrap();
}

fn client_of(names: Rc<dyn Resolve>, recorder: &Rc<Recorder>) -> Client {
    OUTSIDE.with(|outside| Client::through(outside, names, recorder.clone()))
}

/// The worst name server: it resolves every name to this machine.
struct Home;

impl Resolve for Home {
    fn resolve<'a>(&'a self, _: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, NoAddress>> {
        Box::pin(std::future::ready(Ok(vec![[127, 0, 0, 1].into()])))
    }
}

#[actix_web::test]
async fn stored_urls_are_refused_again_when_they_are_sent_to() {
    let recorder = Recorder::deaf();
    let client = client_of(Rc::new(Home), &recorder);
    let mut sent = 0;
    for url in REFUSED_URLS {
        // Parsed without the guard, as if an older release had stored it, or it had bypassed the API.
        let Ok(target) = Target::parse(url) else { continue };
        let failure = send(&client, &target, LONG).await.unwrap_err();
        assert_eq!(failure.class, Class::Blocked, "{url}: {failure}");
        sent += 1;
    }
    assert!(sent >= 120, "only {sent} of the URLs can be parsed");
    assert_eq!(*recorder.dialled.borrow(), []);
}

#[actix_web::test]
async fn one_bad_address_among_good_ones_refuses_the_name() {
    for bad in REFUSED_ADDRESSES {
        for answer in
            [[*bad, "8.8.8.8", "1.1.1.1"], ["8.8.8.8", "1.1.1.1", bad], ["2606:4700::1111", bad, "8.8.8.8"]]
        {
            let recorder = Recorder::deaf();
            let client = client_of(Names::with("receiver.example", &[&answer]), &recorder);
            let failure = send(&client, &receiver(80), LONG).await.unwrap_err();
            assert_eq!((failure.class, recorder.count()), (Class::Blocked, 0), "{answer:?}: {failure}");
            assert!(!failure.message.contains(bad), "a failure must not show internal addresses: {failure}");
        }
    }
}

#[actix_web::test]
async fn a_bad_address_after_very_many_good_ones_is_found() {
    let mut answer = vec!["8.8.8.8"; 100];
    answer.push("127.0.0.1");
    let recorder = Recorder::deaf();
    let client = client_of(Names::with("receiver.example", &[&answer]), &recorder);
    assert_eq!(send(&client, &receiver(80), LONG).await.unwrap_err().class, Class::Blocked);
    assert_eq!(recorder.count(), 0);
}

#[actix_web::test]
async fn public_addresses_are_dialled_and_no_others() {
    for ip in PUBLIC_ADDRESSES {
        let recorder = Recorder::deaf();
        let client = client_of(Names::with("receiver.example", &[&[ip]]), &recorder);
        let failure = send(&client, &receiver(8080), LONG).await.unwrap_err();
        assert_eq!(failure.class, Class::Connect, "{ip}: {failure}");
        assert_eq!(*recorder.dialled.borrow(), [std::net::SocketAddr::new(ip.parse().unwrap(), 8080)]);
    }
}

#[actix_web::test]
async fn a_name_that_changes_is_dialled_at_the_checked_address() {
    // The name is public when the webhook is created, but not when it is dialled.
    let guard = Guard::default();
    let target = guard.target("http://receiver.example/").unwrap();
    let recorder = Recorder::deaf();
    let client = client_of(Names::with("receiver.example", &[&["169.254.169.254"]]), &recorder);
    assert_eq!(send(&client, &target, LONG).await.unwrap_err().class, Class::Blocked);
    assert_eq!(recorder.count(), 0);

    // No second question is asked between the check and the connection, so no answer can differ.
    let names = Names::with("receiver.example", &[&["93.184.216.34"], &["127.0.0.1"]]);
    let client = client_of(names.clone(), &recorder);
    assert_eq!(send(&client, &target, LONG).await.unwrap_err().class, Class::Connect);
    assert_eq!(names.asked(), 1);
    assert_eq!(*recorder.dialled.borrow(), ["93.184.216.34:80".parse().unwrap()]);

    // The retry asks again, and checks again.
    assert_eq!(send(&client, &target, LONG).await.unwrap_err().class, Class::Blocked);
    assert_eq!((names.asked(), recorder.count()), (2, 1));
}

#[actix_web::test]
async fn redirects_are_answers_and_are_not_followed() {
    let locations = [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://127.0.0.1:22/",
        "//127.0.0.1/",
        "/elsewhere",
        "http://receiver.example/again",
        "file:///etc/passwd",
    ];
    for status in [301, 302, 303, 307, 308] {
        for location in locations {
            let seen = Rc::new(RefCell::new(Vec::new()));
            let log = seen.clone();
            let port = serve(move |_, mut stream| {
                let log = log.clone();
                async move {
                    loop {
                        let text = request(&mut stream).await?;
                        log.borrow_mut().push(text.lines().next().unwrap().to_owned());
                        let head = format!(
                            "HTTP/1.1 {status} X\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
                        );
                        answer(&mut stream, &head).await?;
                    }
                }
            })
            .await;
            let recorder = Recorder::routed();
            let got = send(&client(&recorder), &receiver(port), LONG).await.unwrap();
            assert_eq!(got.status, status);
            assert_eq!(*seen.borrow(), ["POST /hook?a=b HTTP/1.1"], "{status} {location}");
            assert_eq!(recorder.count(), 1);
        }
    }
}

#[actix_web::test]
async fn allowed_networks_are_reached_and_their_neighbours_are_not() {
    let recorder = Recorder::deaf();
    let guard = Guard::new(vec!["10.1.0.0/16".parse().unwrap()]);
    let outside = Outside::new(guard.clone(), None).unwrap();
    let answers: &[&[&str]] = &[&["10.1.2.3"], &["10.1.2.3", "10.2.0.1"]];
    let client = Client::through(&outside, Names::with("inside.corp", answers), recorder.clone());
    let target = guard.target("http://inside.corp/").unwrap();
    assert_eq!(send(&client, &target, LONG).await.unwrap_err().class, Class::Connect);
    assert_eq!(send(&client, &target, LONG).await.unwrap_err().class, Class::Blocked);
    assert_eq!(*recorder.dialled.borrow(), ["10.1.2.3:80".parse().unwrap()]);
}

#[actix_web::test]
async fn a_denied_network_is_not_dialled_whatever_allows_it() {
    let nets = |net: &str| vec![net.parse().unwrap()];
    let guard = Guard::new(nets("10.0.0.0/8")).denying(nets("10.2.0.0/16"));
    let outside = Outside::new(guard, None).unwrap();
    for (ip, dials) in [("10.1.0.1", 1), ("10.2.0.1", 0), ("64:ff9b::10.2.0.1", 0)] {
        let recorder = Recorder::deaf();
        let names = Names::with("receiver.example", &[&[ip]]);
        let client = Client::through(&outside, names, recorder.clone());
        let failure = send(&client, &receiver(80), LONG).await.unwrap_err();
        assert_eq!((failure.class == Class::Blocked, recorder.count()), (dials == 0, dials), "{ip}");
        assert!(!failure.message.contains(ip), "a failure must not show internal addresses: {failure}");
    }
}
