#![allow(clippy::unwrap_used)]
//! The ways around a guard that are known, each in one line. The client's tests send to them as well.

use super::*;

/// URLs of address literals that must not be reached, in every notation; names that stand for such; and URLs that
/// parsers disagree on.
pub(in crate::delivery::webhook) const REFUSED_URLS: &[&str] = &[
    // Loopback in every notation of IPv4.
    "http://127.0.0.1/",
    "http://127.0.0.1:80/",
    "http://127.0.0.1:22/",
    "https://127.0.0.1/",
    "HTTP://127.0.0.1/",
    "http://127.0.0.1./",
    "http://127.1/",
    "http://127.0.1/",
    "http://127.1./",
    "http://127.255.255.254/",
    "http://2130706433/",
    "http://2130706433./",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://0177.0.0.01/",
    "http://0177.0x0.0.1/",
    "http://0x7f000001/",
    "http://0x7F000001/",
    "http://0x7f.0.0.1/",
    "http://0x7f.1/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://0x7f.0.1/",
    "http://127.0.0.0x1/",
    "http://00000000177.0.0.1/",
    "http://127.00.00.01/",
    // The same behind escapes, full-width and circled digits, other dots and ignored characters.
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http://%30x7f.1/",
    "http://127.0.0.%31/",
    "http://１２７.0.0.1/",
    "http://１２７。０。０。１/",
    "http://127。0。0。1/",
    "http://127．0．0．1/",
    "http://127｡0｡0｡1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/",
    "http://127.0.0\u{ad}.1/",
    "http://127.0.\u{200b}0.1/",
    "http://０ｘ７ｆ.1/",
    "http://２１３０７０６４３３/",
    "http://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1/",
    // White space and control characters.
    " http://127.0.0.1/",
    "http://127.0.0.1/ ",
    "\thttp://127.0.0.1/",
    "http://127.0.\n0.1/",
    "http://127.0.0.1\t/",
    "http://127.0.0.1\r\nHost: x/",
    "http://127.0.0.1\0.example.com/",
    "http://exam\nple.com/",
    "http://127.0.0.1%00/",
    "http://127.0.0.1%20/",
    "http://example.com%00.127.0.0.1/",
    "http://\u{a0}127.0.0.1/",
    // User names, backslashes and other places where parsers part ways.
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://:password@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com:80@127.0.0.1/",
    "http://example.com%40127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http:\\\\127.0.0.1/",
    "http:/\\127.0.0.1/",
    "http:127.0.0.1/",
    "http:/127.0.0.1/",
    "http:///127.0.0.1/",
    "http://@127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://127.0.0.1;example.com/",
    "http://127.0.0.1,example.com/",
    "http://[127.0.0.1]/",
    "http://exa[mple.com/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:-1/",
    "http://example.com:8o/",
    "http://",
    "http:///",
    "http://./",
    "http://.example.com/",
    "http://example..com/",
    "http://example.com../",
    "http://exa%25mple.com/",
    "http://exam*ple.com/",
    "http://xn--/",
    "http://1.2.3.4.5/",
    "http://256.256.256.256/",
    "http://127.0.0.1.1/",
    "http://4294967296/",
    "http://0x100000000/",
    "http://127.0.0.08/",
    // Other schemes.
    "",
    "127.0.0.1",
    "//127.0.0.1/",
    "/etc/passwd",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/",
    "ws://example.com/",
    "wss://example.com/",
    "unix:/run/docker.sock",
    "jar:http://example.com!/",
    "javascript:alert(1)",
    "data:text/plain,hello",
    "blob:http://example.com/x",
    "view-source:http://127.0.0.1/",
    "https+unix://%2Frun%2Fdocker.sock/",
    // Other special networks of IPv4.
    "http://0.0.0.0/",
    "http://0/",
    "http://0.1.2.3/",
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://012.0.0.1/",
    "http://167772161/",
    "http://100.64.0.1/",
    "http://100.127.255.254/",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/",
    "http://0xA9.0xFE.0xA9.0xFE/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.16689662/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.0.0.1/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://192.31.196.1/",
    "http://192.52.193.1/",
    "http://192.88.99.1/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://0300.0250.0.1/",
    "http://192.175.48.1/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://239.255.255.250:1900/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    // IPv6.
    "http://[::]/",
    "http://[::1]/",
    "http://[::1]:80/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "https://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::FFFF:7F00:0001]/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:0.0.0.0]/",
    "http://[::127.0.0.1]/",
    "http://[::7f00:1]/",
    "http://[::8.8.8.8]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[64:ff9b:1::1]/",
    "http://[64:ff9b:1::8.8.8.8]/",
    "http://[100::1]/",
    "http://[100:0:0:1::1]/",
    "http://[2001::1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2001:0:4136:e378:8000:63bf:3fff:fdd2]/",
    "http://[2001:2::1]/",
    "http://[2001:10::1]/",
    "http://[2001:20::1]/",
    "http://[2001:1ff::1]/",
    "http://[2001:db8::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:7f00:1::1]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2002:a00:1::1]/",
    "http://[2002:c0a8:101::1]/",
    "http://[2620:4f:8000::1]/",
    "http://[3fff::1]/",
    "http://[3fff:fff::1]/",
    "http://[4000::1]/",
    "http://[5f00::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[fd20:ce::254]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[::1%25lo]/",
    "http://[fec0::1]/",
    "http://[feff::1]/",
    "http://[ff02::1]/",
    "http://[ff0e::1]/",
    "http://[::1/",
    "http://::1/",
    "http://[:::1]/",
    "http://[::1]]/",
    "http://[::g]/",
    // Names that stand for something inside.
    "http://localhost/",
    "http://LOCALHOST/",
    "http://LocalHost.:8080/",
    "http://localhost./",
    "http://a.localhost/",
    "http://a.b.localhost./",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://loc%61lhost/",
    "http://lo\u{ad}calhost/",
    "http://printer.local/",
    "http://printer.LOCAL./",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://metadata.google.internal./",
    "http://METADATA.GOOGLE.INTERNAL/",
    "http://metadata/computeMetadata/v1/",
    "http://instance-data/latest/meta-data/",
    "http://instance-data.ec2.internal/",
    "http://host.docker.internal/",
    "http://kubernetes.default.svc.cluster.local/",
    "http://kubernetes/",
    "http://redis:6379/",
    "http://router.home.arpa/",
    "http://intranet/",
    "http://wiki.corp/",
    "http://nas.lan/",
    "http://nas.home/",
    "http://x.onion/",
    "http://x.invalid/",
];

/// Addresses that names may resolve to, and must not be reached: the edges of each network.
pub(in crate::delivery::webhook) const REFUSED_ADDRESSES: &[&str] = &[
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "168.63.129.16",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.31.196.0",
    "192.31.196.255",
    "192.52.193.0",
    "192.52.193.255",
    "192.88.99.0",
    "192.88.99.255",
    "192.168.0.0",
    "192.168.255.255",
    "192.175.48.0",
    "192.175.48.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.254",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:192.168.1.1",
    "::ffff:0:8.8.8.8",
    "64:ff9b::127.0.0.1",
    "64:ff9b::192.168.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:0:0:0:1:808:808",
    "64:ff9b:1::",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::",
    "100::ffff",
    "1fff:ffff::1",
    "2001::",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::",
    "2001:db8:ffff::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:e000:1::1",
    "2620:4f:8000::1",
    "3fff::",
    "3fff:fff:ffff::1",
    "4000::",
    "5f00::1",
    "8000::1",
    "fbff::1",
    "fc00::",
    "fdff:ffff::1",
    "fe00::1",
    "fe80::",
    "fe80::1",
    "febf::1",
    "fec0::",
    "feff::1",
    "ff00::",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
];

/// Addresses just outside of those networks, and forms of public ones: all may be reached.
pub(in crate::delivery::webhook) const PUBLIC_ADDRESSES: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.195.255",
    "192.31.197.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7:ffff::1",
    "2001:db9::1",
    "2002:808:808::1",
    "2003::1",
    "2606:4700::1111",
    "2620:4f:7fff::1",
    "2620:4f:8001::1",
    "3ffe:ffff::1",
    "3fff:1000::1",
];

#[test]
fn there_are_enough_of_them() {
    assert!(REFUSED_URLS.len() >= 150, "{}", REFUSED_URLS.len());
    assert!(REFUSED_ADDRESSES.len() >= 70, "{}", REFUSED_ADDRESSES.len());
}

#[test]
fn every_url_is_refused_at_create() {
    let guard = Guard::default();
    for url in REFUSED_URLS {
        let verdict = guard.target(url);
        assert!(verdict.is_err(), "{url:?} passed as {}", verdict.unwrap().as_str());
    }
}

#[test]
fn addresses_are_judged_at_the_edges() {
    let guard = Guard::default();
    for ip in REFUSED_ADDRESSES {
        assert!(guard.check(ip.parse().unwrap()).is_err(), "{ip}");
    }
    for ip in PUBLIC_ADDRESSES {
        assert_eq!(guard.check(ip.parse().unwrap()), Ok(()), "{ip}");
    }
}

#[test]
fn literals_are_refused_for_what_they_are() {
    let what = |url: &str| Guard::default().target(url).unwrap_err().to_string();
    for url in
        ["http://2130706433/", "http://0177.1/", "http://0x7f.1/", "http://１２７.１/", "http://[::ffff:7f00:1]/"]
    {
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
    assert_eq!(Guard::default().target(&format!("{long}a")).unwrap_err(), BadTarget::TooLong(LARGEST_URL + 1));
    let widened = format!("https://example.com/{}", "ä".repeat(900));
    assert!(matches!(Guard::default().target(&widened), Err(BadTarget::TooLong(_))), "longer once escaped");
}

#[test]
fn the_allow_list_opens_what_it_names_and_no_more() {
    let guard = |nets: &[&str]| Guard::new(nets.iter().map(|net| net.parse().unwrap()).collect());
    let ok = |guard: &Guard, ip: &str| guard.check(ip.parse().unwrap()).is_ok();
    let ten = guard(&["10.1.0.0/16"]);
    assert!(ok(&ten, "10.1.2.3") && ok(&ten, "::ffff:10.1.2.3") && ok(&ten, "8.8.8.8"));
    for ip in ["10.2.0.1", "127.0.0.1", "64:ff9b::10.1.2.3", "2002:a01:203::1", "::10.1.2.3", "::1", "fd00::1"] {
        assert!(!ok(&ten, ip), "{ip}");
    }
    let mapped = guard(&["::ffff:10.0.0.0/104"]);
    assert!(ok(&mapped, "10.9.9.9") && !ok(&mapped, "11.0.0.1".replace("11", "192.168").trim_end_matches(".1")));
    let six = guard(&["::/0"]);
    assert!(ok(&six, "fd00::1") && ok(&six, "::1") && !ok(&six, "127.0.0.1"), "IPv4 is not meant");
    let nat = guard(&["64:ff9b::/96"]);
    assert!(ok(&nat, "64:ff9b::10.0.0.1") && !ok(&nat, "10.0.0.1"));
}

#[test]
fn names_inside_need_an_allow_list() {
    let names = |nets: &[&str], url: &str| {
        Guard::new(nets.iter().map(|net| net.parse().unwrap()).collect()).target(url).is_ok()
    };
    assert!(names(&["127.0.0.0/8"], "http://localhost:9000/") && names(&["::1/128"], "http://a.localhost/"));
    assert!(!names(&["10.0.0.0/8"], "http://localhost:9000/"), "loopback isn't open");
    assert!(names(&["10.0.0.0/8"], "http://receiver:8080/") && names(&["10.0.0.0/8"], "http://x.svc.cluster.local/"));
}
