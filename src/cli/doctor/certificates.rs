//! The certificates that the node shows to clients and to its peers.

use std::{fs, path::Path};

use super::{host, report::Report};
use crate::{clock::now_ms, config::Config, core::text::counted, tls};
use waypost_cluster::{BadFile, PemFile, certificate_days_left};

const AREA: &str = "certificates";
const DAY: u64 = 86_400;

/// Checks the files of both certificates, as far as the node has them.
pub(super) fn check(config: &Config, report: &mut Report) {
    let of_clients = config.http.tls();
    if let Some((cert, key)) = of_clients {
        let settings = "http.tls_cert and http.tls_key";
        if pair("the certificate for clients", (cert, key), settings, report) {
            names(config, cert, report);
        }
    }
    let of_peers = config.peer.security().tls;
    if let Some(files) = &of_peers {
        let settings = "peer.tls_cert and peer.tls_key";
        pair("the peer certificate", (&files.cert, &files.key), settings, report);
        if let Err(error) = PemFile::read(&files.ca).and_then(|file| file.certificates()) {
            report.fail(AREA, format!("the authority of the peers: {error}"), "correct peer.tls_ca");
        }
    }
    if of_clients.is_none() && of_peers.is_none() {
        report.ok(
            AREA,
            "the node has none: clients speak HTTP, and nodes admit each other by peer.key or on loopback",
        );
    }
}

/// Checks a certificate and its key. Returns whether they can be used.
fn pair(what: &str, (cert, key): (&Path, &Path), settings: &str, report: &mut Report) -> bool {
    if let Err(error) = tls::Shown::load(cert, key) {
        report.fail(AREA, format!("{what} can't be used: {error}"), format!("correct {settings}"));
        return false;
    }
    if fs::metadata(key).is_ok_and(|file| host::is_open_to_others(&file)) {
        let shown = key.display();
        let found = format!("other users of this host may read {shown}, the key of {what}");
        report.warn(AREA, found, format!("chmod 600 {shown}"));
    }
    match tls::until(cert) {
        Ok(until) => ends(what, until, settings, report),
        Err(error) => report.fail(AREA, format!("{what}: {error}"), format!("correct {settings}")),
    }
    true
}

/// Reports when a certificate ends, in seconds since 1970.
fn ends(what: &str, until: Option<u64>, settings: &str, report: &mut Report) {
    let now = now_ms() / 1000;
    let todo = format!("replace the files of {settings}: a node reads them again without a restart");
    let Some(until) = until else {
        report.ok(AREA, format!("{what} can be read"));
        return;
    };
    match certificate_days_left(until, now) {
        None => {
            let days = counted(until.saturating_sub(now) / DAY, "day", "days");
            report.ok(AREA, format!("{what} is valid for {days}"));
        }
        Some(Some(days)) => {
            report.warn(AREA, format!("{what} ends in {}", counted(days, "day", "days")), todo);
        }
        Some(None) => report.fail(AREA, format!("{what} has ended: it is refused"), todo),
    }
}

/// Whether clients that use the advertised names accept the certificate.
fn names(config: &Config, cert: &Path, report: &mut Report) {
    let advertised = config.advertise_http_addr.as_deref().and_then(|addr| addr.rsplit_once(':'));
    let public = config.http.public_url.as_deref().and_then(|url| url::Url::parse(url).ok());
    let public = public.as_ref().and_then(url::Url::host_str);
    for host in advertised.map(|(host, _)| host).into_iter().chain(public) {
        let host = host.trim_matches(['[', ']']);
        match tls::is_for(cert, host) {
            Ok(true) => report.ok(AREA, format!("the certificate for clients is for {host}")),
            Ok(false) => report.fail(
                AREA,
                format!("the certificate for clients is not for {host}, under which the node is known"),
                "make one for that name, or correct advertise_http_addr and http.public_url",
            ),
            Err(error) => unreadable(&error, report),
        }
    }
}

fn unreadable(error: &BadFile, report: &mut Report) {
    report.fail(AREA, error.to_string(), "correct http.tls_cert");
}
