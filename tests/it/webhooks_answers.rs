//! Receivers that answer wrongly or not at all: no request gets the answer of another, and an event is sent
//! again depending on whether the receiver may have taken it.

use crate::support::scenario;
use crate::webhooks_support::{Hook, delivering, map, publish_keys, quick};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use testkit::Cluster;
use testkit::receiver::dead::FullBacklog;
use testkit::receiver::{Receiver, behaviour};

/// Handles one request for a path; returns whether the connection stays open.
type Script = dyn Fn(&mut TcpStream, &str) -> std::io::Result<bool> + Send + Sync;

/// A receiver on raw sockets that follows a script. It runs until the process ends.
struct Raw {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Raw {
    fn start(
        script: impl Fn(&mut TcpStream, &str) -> std::io::Result<bool> + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let script = Arc::new(script);
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = script.clone();
                let count = count.clone();
                std::thread::spawn(move || serve(stream, &*script, &count));
            }
        });
        Ok(Self { port, requests })
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

fn serve(mut stream: TcpStream, script: &Script, count: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let Some(path) = request(&mut reader)? else { return Ok(()) };
        count.fetch_add(1, Ordering::Relaxed);
        if !script(&mut stream, &path)? {
            return Ok(());
        }
    }
}

/// Reads a request and returns its path.
fn request(reader: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut path = None;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if path.is_none() {
            path = line.split(' ').nth(1).map(|path| path.split('?').next().unwrap_or_default().to_owned());
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap_or(0);
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    Ok(path)
}

fn whole(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Returns the webhook's attempts so far, from the API.
fn attempts(c: &Cluster, hook: &Hook) -> Result<Vec<Value>> {
    hook.get(c, "/attempts")?.as_array().cloned().context("no attempts")
}

/// The webhooks of two maps deliver to one host and port. The receiver accepts the events of one map, refuses
/// those of the other, and sends interim answers.
#[test]
fn every_map_sees_the_answers_to_its_own_requests() {
    scenario(delivering(1), |cluster| {
        let interim = [
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 102 Processing\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nlink: <https://a.example>; rel=preload\r\n\r\n",
        ];
        let next = AtomicUsize::new(0);
        let raw = Raw::start(move |stream, path| {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // No, one or two interim answers in turn; the refusing receiver sends more than the other.
            let often = (number + usize::from(path == "/refuse")) % 3;
            let before = interim[number % 3].repeat(often);
            let (head, tail) = before.split_at(number.min(before.len()));
            for piece in [head, tail] {
                stream.write_all(piece.as_bytes())?;
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            let answer = if path == "/take" { whole(200, "taken") } else { whole(403, "refused") };
            stream.write_all(answer.as_bytes())?;
            Ok(true)
        })?;
        let mut hooks = Vec::new();
        for path in ["/take", "/refuse"] {
            let map = map(cluster, &path[1..])?;
            let more = json!({"profile": "standard", "retry": quick(1)});
            hooks.push(Hook::create(cluster, &map, &raw.url(path), more)?);
        }
        for round in 0..10 {
            for hook in &hooks {
                publish_keys(cluster, &hook.map, &format!("e{round}-"), 1)?;
            }
        }
        let [taken, refused] = &hooks[..] else { unreachable!() };
        let shown = refused.wait(cluster, "all refused", |hook| hook["dead_letters"] == 10)?;
        ensure!(shown["delivered"] == 0, "counted as delivered: {shown}");
        let shown = taken.wait(cluster, "all taken", |hook| hook["delivered"] == 10)?;
        ensure!(shown["dead_letters"] == 0 && shown["failed_attempts"] == 0, "{shown}");
        for (hook, status, answer) in [(taken, 200, "taken"), (refused, 403, "refused")] {
            let attempts = attempts(cluster, hook)?;
            let own = |a: &Value| a["status"] == status && a["response"] == answer && a["sent"] == "answered";
            ensure!(attempts.len() == 10 && attempts.iter().all(own), "{attempts:#?}");
        }
        ensure!(raw.count() == 20, "{} requests", raw.count());
        Ok(())
    });
}

/// A redirect is not followed. The error says so, and where it leads, without the keys of that address; the
/// dead letter and the webhook say the same.
#[test]
fn the_error_of_a_redirect_says_where_it_leads() {
    let receiver = Receiver::start().unwrap();
    let key = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789";
    let to = receiver.url(&format!("/moved?key={key}"));
    let url = receiver.on("/old", behaviour::redirecting(&to));
    let nowhere = receiver.on("/nowhere", behaviour::status(307));
    receiver.on("/moved", behaviour::status(200));
    scenario(delivering(1), |cluster| {
        let shown = receiver.url("/moved?key=***");
        let led = format!("status 302; redirects are not followed, and this one leads to {shown}");
        let unnamed = "status 307; redirects are not followed".to_owned();
        for (name, url, error) in [("led", &url, led), ("unnamed", &nowhere, unnamed)] {
            let map = map(cluster, name)?;
            let hook = Hook::create(cluster, &map, url, json!({"profile": "standard", "retry": quick(2)}))?;
            publish_keys(cluster, &map, "e", 1)?;
            let dead_letters = hook.wait_dead_letters(cluster, 1)?;
            ensure!(dead_letters[0]["error"] == error, "{name}: {}", dead_letters[0]);
            let shown = hook.show(cluster)?;
            ensure!(shown["last_error"] == error, "{name}: {shown}");
            for attempt in attempts(cluster, &hook)? {
                ensure!(attempt["class"] == "redirect" && attempt["error"] == error, "{name}: {attempt}");
            }
        }
        ensure!(receiver.count("/moved") == 0, "a redirect was followed");
        Ok(())
    });
}

/// A way in which a receiver fails, and what the sender must know about the request then.
struct Fault {
    name: &'static str,
    url: String,
    class: &'static str,
    sent: &'static str,
    stage: &'static str,
}

/// The attempts of an event that may be sent again.
const ATTEMPTS: u32 = 3;

/// Chats know no ids, so a request that may have been taken is not repeated. A request that was not sent is
/// repeated, whatever failed.
#[test]
fn a_request_that_may_have_been_taken_is_repeated_only_where_allowed() {
    scenario(delivering(1), |cluster| {
        // Never accepted: the kernel opens the connection and no process answers.
        let mute = TcpListener::bind("127.0.0.1:0")?;
        let mute = mute.local_addr().map(|at| (mute, at))?;
        let full = FullBacklog::new()?;
        let raw = Raw::start(|stream, path| {
            match path {
                "/head" => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le")?,
                "/interim" => stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
                "/odd" => stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")?,
                "/silent" => std::thread::sleep(std::time::Duration::from_secs(60)),
                _ => {}
            }
            Ok(false)
        })?;
        let fault = |name, url, class, sent, stage| Fault { name, url, class, sent, stage };
        let faults = [
            fault("dropped", format!("http://{}/", full.addr), "timeout", "nothing", "connect"),
            fault("handshake", format!("https://{}/", mute.1), "timeout", "nothing", "tls"),
            fault("closed", raw.url("/closed"), "closed", "maybe", "wait"),
            fault("silent", raw.url("/silent"), "timeout", "maybe", "wait"),
            fault("head", raw.url("/head"), "closed", "maybe", "head"),
            fault("interim", raw.url("/interim"), "closed", "maybe", "head"),
            fault("odd", raw.url("/odd"), "protocol", "maybe", "head"),
        ];
        let mut expected = 0;
        let mut hooks = Vec::new();
        for fault in &faults {
            for (what, profile, ambiguous) in [
                ("chat", "discord", None),
                ("other", "standard", None),
                ("explicit", "slack", Some(("ambiguous", true))),
                ("old", "standard", Some(("on_timeout", false))),
            ] {
                let mut retry = quick(ATTEMPTS);
                if let Some((name, value)) = ambiguous {
                    retry[name] = json!(value);
                }
                let repeats = ambiguous.map_or(profile == "standard", |(_, value)| value);
                let tries = if fault.sent == "nothing" || repeats { ATTEMPTS } else { 1 };
                expected += if fault.url.starts_with(&raw.url("/")) { tries as usize } else { 0 };
                let map = map(cluster, &format!("{}-{what}", fault.name))?;
                let more = json!({"profile": profile, "retry": retry, "timeout_ms": 1000});
                hooks.push((Hook::create(cluster, &map, &fault.url, more)?, fault, tries, what));
                publish_keys(cluster, &map, "e", 1)?;
            }
        }
        for (hook, fault, tries, what) in &hooks {
            let dead_letters = hook.wait_dead_letters(cluster, 1)?;
            let about = || format!("{} {what}: {:?}", fault.name, hook.attempts(cluster));
            ensure!(dead_letters[0]["attempts"] == *tries, "{}: {}", about(), dead_letters[0]);
            let attempts = attempts(cluster, hook)?;
            ensure!(attempts.len() == *tries as usize, "{}", about());
            for attempt in attempts {
                let known = (&attempt["class"], &attempt["sent"], &attempt["stage"]);
                ensure!(
                    known == (&json!(fault.class), &json!(fault.sent), &json!(fault.stage)),
                    "{}: {attempt}",
                    about()
                );
                let error = attempt["error"].as_str().unwrap_or_default();
                let is_late = fault.class == "timeout";
                ensure!(error.contains("(timeout_ms 1000)") == is_late, "{}: {attempt}", about());
            }
        }
        ensure!(raw.count() == expected, "{} requests instead of {expected}", raw.count());
        drop(mute);
        Ok(())
    });
}

/// A body that breaks off and one that outlasts the deadline count the same: the head of the answer has
/// decided. Only for a function that is awaited is the body the answer.
#[test]
fn an_incomplete_body_fails_only_an_awaited_function() {
    let raw = Raw::start(|stream, path| {
        let status = if path == "/refused" { 500 } else { 200 };
        stream.write_all(
            format!("HTTP/1.1 {status} X\r\ncontent-length: 100\r\n\r\n{{\"statusCode\":").as_bytes(),
        )?;
        if !path.contains("cut") {
            std::thread::sleep(std::time::Duration::from_secs(30));
        }
        Ok(false)
    });
    let raw = raw.unwrap();
    let options = delivering(1)
        .set("WAYPOST_WEBHOOKS_AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .set("WAYPOST_WEBHOOKS_AWS_SECRET_ACCESS_KEY", "secret")
        .set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "*")
        .set("WAYPOST_WEBHOOKS_AWS_ENDPOINT", raw.url(""));
    scenario(options, |cluster| {
        let webhook = |path: &str| json!({"url": raw.url(path), "profile": "standard"});
        let function = |name: &str, kind: &str| json!({"lambda": {"function_name": name, "region": "eu-west-1", "invocation_type": kind}});
        let table = [
            ("late", webhook("/late"), "delivered", "answered"),
            ("cut", webhook("/cut"), "delivered", "answered"),
            ("refused", webhook("/refused"), "status", "answered"),
            ("queued", function("cut-queued", "Event"), "delivered", "answered"),
            ("awaited", function("cut-awaited", "RequestResponse"), "closed", "maybe"),
            ("slow", function("slow", "RequestResponse"), "timeout", "maybe"),
        ];
        let mut hooks = Vec::new();
        for (name, mut body, class, sent) in table {
            let mut retry = quick(2);
            retry["ambiguous"] = json!(false);
            body["retry"] = retry;
            body["timeout_ms"] = json!(1000);
            let map = map(cluster, name)?;
            hooks.push((Hook::make(cluster, &map, &body)?, class, sent));
            publish_keys(cluster, &map, "e", 1)?;
        }
        for (hook, class, sent) in &hooks {
            let (outcome, tries) = match (*class, *sent) {
                ("delivered", _) => ("delivered", 1),
                (_, "maybe") => ("dead_letters", 1),
                _ => ("dead_letters", 2),
            };
            hook.wait(cluster, outcome, |shown| shown[outcome] == 1)?;
            let attempts = attempts(cluster, hook)?;
            ensure!(attempts.len() == tries, "{attempts:#?}");
            for attempt in attempts {
                let known = (&attempt["class"], &attempt["sent"], &attempt["stage"]);
                ensure!(known == (&json!(class), &json!(sent), &json!("body")), "{attempt}");
            }
        }
        Ok(())
    });
}
