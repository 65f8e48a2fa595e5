#![allow(clippy::unwrap_used)]
//! Tests of the guard with the vectors, as at the creation of a webhook.

use super::{
    vectors::{PUBLIC_ADDRESSES, REFUSED_ADDRESSES, REFUSED_URLS},
    *,
};

#[test]
fn there_are_enough_vectors() {
    assert!(REFUSED_URLS.len() >= 150, "{}", REFUSED_URLS.len());
    assert!(REFUSED_ADDRESSES.len() >= 70, "{}", REFUSED_ADDRESSES.len());
}

#[test]
fn every_url_is_refused_when_a_webhook_is_created() {
    let guard = Guard::default();
    for url in REFUSED_URLS {
        let verdict = guard.target(url);
        assert!(verdict.is_err(), "{url:?} passed as {}", verdict.unwrap().as_str());
    }
}

#[test]
fn addresses_are_checked_at_the_edges() {
    let guard = Guard::default();
    for ip in REFUSED_ADDRESSES {
        assert!(guard.check(ip.parse().unwrap()).is_err(), "{ip}");
    }
    for ip in PUBLIC_ADDRESSES {
        assert_eq!(guard.check(ip.parse().unwrap()), Ok(()), "{ip}");
    }
}

#[test]
fn address_literals_are_refused_with_the_right_reason() {
    let what = |url: &str| Guard::default().target(url).unwrap_err().to_string();
    for url in [
        "http://2130706433/",
        "http://0177.1/",
        "http://0x7f.1/",
        "http://１２７.１/",
        "http://[::ffff:7f00:1]/",
    ] {
        assert!(what(url).contains("loopback"), "{url}: {}", what(url));
    }
    assert!(what("http://0xa9fea9fe/").contains("metadata"));
    assert!(what("http://a.localhost/").contains("inside a network"));
    assert!(what("http://me@example.com/").contains("user name"));
    assert!(what("ftp://example.com/").contains("http://"));
}

#[test]
fn good_urls_have_one_normal_form() {
    let long = format!("https://example.com/{}", "a".repeat(LARGEST_URL - 20));
    let table = [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.COM:443/A?b=C#part", "https://example.com/A?b=C"),
        ("http://example.com:8080/%7Ea/../b", "http://example.com:8080/b"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("https://example.com./x", "https://example.com/x"),
        ("https://bücher.example/ä?ö", "https://xn--bcher-kva.example/%C3%A4?%C3%B6"),
        ("https://my_host.example.com/a|b[c]{d}'\"", "https://my_host.example.com/a|b[c]%7Bd%7D'%22"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://134744072/", "http://8.8.8.8/"),
        ("https://[2606:4700::1111]:8443/", "https://[2606:4700::1111]:8443/"),
        (&long, &long),
    ];
    for (given, normal) in table {
        let target = Guard::default().target(given).unwrap();
        assert_eq!(target.as_str(), normal);
        assert_eq!(Target::parse(normal).unwrap().as_str(), normal, "again");
    }
    assert_eq!(
        Guard::default().target(&format!("{long}a")).unwrap_err(),
        BadTarget::TooLong(LARGEST_URL + 1)
    );
    let widened = format!("https://example.com/{}", "ä".repeat(900));
    assert!(
        matches!(Guard::default().target(&widened), Err(BadTarget::TooLong(_))),
        "the escaped form is too long"
    );
}

#[test]
fn the_allow_list_opens_only_its_networks() {
    let guard = |nets: &[&str]| Guard::new(nets.iter().map(|net| net.parse().unwrap()).collect());
    let ok = |guard: &Guard, ip: &str| guard.check(ip.parse().unwrap()).is_ok();
    let ten = guard(&["10.1.0.0/16"]);
    assert!(ok(&ten, "10.1.2.3") && ok(&ten, "::ffff:10.1.2.3") && ok(&ten, "8.8.8.8"));
    for ip in
        ["10.2.0.1", "127.0.0.1", "64:ff9b::10.1.2.3", "2002:a01:203::1", "::10.1.2.3", "::1", "fd00::1"]
    {
        assert!(!ok(&ten, ip), "{ip}");
    }
    let mapped = guard(&["::ffff:10.0.0.0/104"]);
    assert!(
        ok(&mapped, "10.9.9.9") && !ok(&mapped, "11.0.0.1".replace("11", "192.168").trim_end_matches(".1"))
    );
    let six = guard(&["::/0"]);
    assert!(
        ok(&six, "fd00::1") && ok(&six, "::1") && !ok(&six, "127.0.0.1"),
        "an IPv6 network does not open IPv4 addresses"
    );
    let nat = guard(&["64:ff9b::/96"]);
    assert!(ok(&nat, "64:ff9b::10.0.0.1") && !ok(&nat, "10.0.0.1"));
}

#[test]
fn internal_names_need_an_allow_list() {
    let names = |nets: &[&str], url: &str| {
        Guard::new(nets.iter().map(|net| net.parse().unwrap()).collect()).target(url).is_ok()
    };
    assert!(names(&["127.0.0.0/8"], "http://localhost:9000/") && names(&["::1/128"], "http://a.localhost/"));
    assert!(!names(&["10.0.0.0/8"], "http://localhost:9000/"), "loopback isn't open");
    assert!(
        names(&["10.0.0.0/8"], "http://receiver:8080/")
            && names(&["10.0.0.0/8"], "http://x.svc.cluster.local/")
    );
}

#[test]
fn a_denied_network_is_never_reached_however_it_is_written() {
    let nets = |nets: &[&str]| nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<IpNet>>();
    let guard =
        Guard::new(nets(&["10.0.0.0/8"])).denying(nets(&["8.8.8.0/24", "10.9.0.0/16", "2606:4700::/32"]));
    let denied = |ip: &str| matches!(guard.check(ip.parse().unwrap()), Err(Forbidden::Denied { .. }));
    for ip in [
        "8.8.8.8",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
        "2001:4860::200:5efe:808:808",
        "10.9.1.1",
        "2606:4700::1111",
    ] {
        assert!(denied(ip), "{ip}");
    }
    for ip in ["8.8.9.8", "10.8.1.1", "2606:4701::1"] {
        assert_eq!(guard.check(ip.parse().unwrap()), Ok(()), "{ip}");
    }
    let mapped = Guard::default().denying(nets(&["::ffff:8.8.8.0/120"]));
    assert!(mapped.check("8.8.8.8".parse().unwrap()).is_err());
    let told = guard.target("http://8.8.8.8/").unwrap_err().to_string();
    assert!(told.contains("8.8.8.0/24") && told.contains("webhooks.deny_nets"), "{told}");
}
