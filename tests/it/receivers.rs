//! What profiles send, at receivers that nobody here wrote: those of the guides that the profiles come from, unchanged,
//! and public verifier libraries. Payloads are whatever JSON a publisher may send.

use anyhow::{Context, Result, ensure};
use chaos::http::Api;
use chaos::wait;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use waypost::core::endpoint::Profile;
use waypost::core::event::{Event, MapText, NewEvent};
use waypost::core::ids::{EventId, MapId};
use waypost::core::json::normalise;
use waypost::delivery::webhook::render::{Rendered, Rendering, Secrets, render};

/// Payloads that every receiver is sent.
const PAYLOADS: usize = 300;
const MAP: &str = "550e8400-e29b-41d4-a716-446655440000";
const SECRET: &str = "whsec_d2F5cG9zdCBzaWducyB3aGF0IGl0IHNlbmRz";
const OLD_SECRET: &str = "a secret that somebody typed";
const KEY: &str = "app-key";

/// A receiver's process.
struct Receiver {
    name: String,
    child: Child,
    api: Api,
    lines: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn node(script: &str, env: &[(&str, &str)]) -> Result<Self> {
        let folder = tests("js/receivers");
        ensure!(tests("js/node_modules").is_dir(), "the test clients aren't installed: run `make clients`");
        let mut command = Command::new("node");
        command.arg("-r").arg(folder.join("watch.cjs")).arg(folder.join(script)).env("PORT", "0");
        command.envs(env.iter().copied());
        Self::start(script, command)
    }

    fn python() -> Result<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
        let python = target.join("python/bin/python");
        ensure!(python.exists(), "the Python packages aren't installed: run `make clients`");
        let mut command = Command::new(python);
        command.arg("-B").arg(tests("py/receivers.py"));
        Self::start("receivers.py", command)
    }

    fn start(name: &str, mut command: Command) -> Result<Self> {
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_lowercase());
        }
        // Standard input stays open as long as this process lives: when it ends, so do they.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("no output")?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // What receivers print themselves is no JSON.
                if let Ok(line) = serde_json::from_str::<Value>(&line) {
                    sink.lock().unwrap().push(line);
                }
            }
        });
        let mut receiver = Self { name: name.to_owned(), child, api: Api::new("", None), lines };
        let listening = |receiver: &Self| receiver.of("listening").first().and_then(|line| line["port"].as_u64());
        let port = wait::until(&format!("{name} to listen"), || Ok(listening(&receiver)))?;
        receiver.api = Api::new(&format!("http://127.0.0.1:{port}"), None);
        Ok(receiver)
    }

    fn of(&self, kind: &str) -> Vec<Value> {
        self.lines.lock().unwrap().iter().filter(|line| line["t"] == kind).cloned().collect()
    }

    /// Sends a request as it was made; whether it was verified.
    fn verifies(&self, path: &str, rendered: &Rendered) -> Result<bool> {
        let headers: Vec<(&str, &str)> =
            rendered.headers.iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?))).collect::<Result<_>>()?;
        let answer = self.api.call("POST", path, &headers, Some(&rendered.body))?;
        // A comparison of signatures of different lengths throws: that is a refusal too.
        ensure!(matches!(answer.status, 200 | 401 | 500), "{}: {}", self.name, answer.text());
        Ok(answer.status == 200)
    }

    /// Verified, and so is nothing that differs in one byte.
    fn verifies_only(&self, path: &str, rendered: &Rendered) -> Result<()> {
        let body = String::from_utf8_lossy(&rendered.body);
        ensure!(self.verifies(path, rendered)?, "{} refused {path}: {body}", self.name);
        let mut forged = rendered.clone();
        let mut bytes = forged.body.to_vec();
        let at = bytes.iter().rposition(u8::is_ascii_digit).context("no digit in a body")?;
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        forged.body = bytes.into();
        ensure!(!self.verifies(path, &forged)?, "{} took a forged body at {path}: {body}", self.name);
        Ok(())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64
}

fn event(place: u32, kind: &str, payload: &str) -> Event {
    let id = EventId::new(now_ms(), 7, place);
    let event = NewEvent { kind: kind.into(), payload: payload.as_bytes().to_vec() };
    Event::from_stored(u64::from(place) + 1, Event::to_stored(id, &event).into()).unwrap()
}

fn made(profile: Profile, secrets: &Secrets, events: &[Event]) -> Result<Rendered> {
    let map = MapText::from(MAP.parse::<MapId>()?);
    let topic = format!("events:map:{MAP}");
    let rendering = Rendering { profile, map: &map, topic: &topic, key: KEY, template: None, secrets };
    Ok(render(&rendering, events, None, 1, now_ms())?)
}

/// One secret of the kind that every library takes.
fn secrets() -> Secrets {
    Secrets::new(SECRET.into())
}

/// JSON as publishers write it: numbers in every notation, escapes, keys that JavaScript puts in another order or knows
/// for something else, deep and empty values.
fn json_texts() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        any::<i32>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        "-?(0|[1-9][0-9]{0,6})\\.[0-9]{1,12}([eE][+-]?[0-9]{1,2})?",
        prop::sample::select(vec!["9.0", "1e3", "-0.0", "-0", "1e21", "1E-7", "0.1e1", "5e-324", "9007199254740991"])
            .prop_map(str::to_owned),
    ];
    let character = prop_oneof![
        8 => any::<char>().prop_map(|c| if c < ' ' || c == '"' || c == '\\' { format!("\\u{:04x}", c as u32) } else { c.into() }),
        4 => "[a-zA-Z0-9 <>&'/.-]",
        1 => prop::sample::select(vec!["\\n", "\\/", "\\\"", "\\\\", "\\u00e9", "\\ud83d\\ude00", "\\u2028", "\u{2029}", "\\u0000"])
            .prop_map(str::to_owned),
    ];
    let string = prop::collection::vec(character, 0..12).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "{}", "[]", "\"\""]).prop_map(str::to_owned),
        number,
        string.clone(),
    ];
    let names = ["2", "10", "01", "-1", "4294967294", "4294967295", "__proto__", "constructor", "toJSON", "length", ""];
    let key = prop_oneof![
        3 => "[a-z]{1,8}".prop_map(|name| format!("\"{name}\"")),
        2 => prop::sample::select(names.to_vec()).prop_map(|name| format!("\"{name}\"")),
        1 => string,
    ];
    let nested = leaf.prop_recursive(6, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(|items| format!("[ {} ]", items.join(" , "))),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}\t: {value}")).collect();
                format!("{{ {} }}", members.join(",\n"))
            }),
        ]
    });
    let deep = (1usize..50).prop_map(|depth| format!("{}1.50{}", "[{\"a\":".repeat(depth / 2), "}]".repeat(depth / 2)));
    prop_oneof![12 => nested, 1 => deep]
}

/// Such texts as the log keeps them.
fn payloads(count: usize) -> Vec<String> {
    let mut runner = TestRunner::default();
    let texts = std::iter::repeat_with(|| json_texts().new_tree(&mut runner).unwrap().current());
    texts.filter_map(|text| normalise(&text, 64).ok()).take(count).collect()
}

/// A stand-in for Discord: takes everything and remembers it.
struct Discord {
    url: String,
    messages: Arc<Mutex<Vec<Value>>>,
}

impl Discord {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/api/webhooks/1/token", listener.local_addr()?);
        let messages = Arc::new(Mutex::new(Vec::new()));
        let sink = messages.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let (mut line, mut length) = (String::new(), 0);
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_ok() {
                    sink.lock().unwrap().push(serde_json::from_slice(&body).unwrap_or(Value::Null));
                }
                let _ = reader.get_mut().write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            }
        });
        Ok(Self { url, messages })
    }

    fn nth(&self, n: usize) -> Result<Value> {
        wait::until(&format!("message {n} at Discord"), || Ok(self.messages.lock().unwrap().get(n).cloned()))
    }
}

/// The guides' receivers, with the profile that is theirs and where they listen.
fn guides(discord: &str) -> Result<Vec<(Receiver, Profile, &'static str)>> {
    let env = [("WEBHOOK_SECRET", SECRET), ("PUSHER_SECRET", SECRET), ("DISCORD_WEBHOOK_URL", discord)];
    let node = |script: &str| Receiver::node(script, &env);
    Ok(vec![
        (node("wanderer_handler.cjs")?, Profile::Wanderer, "/webhook"),
        (node("wanderer_discord.cjs")?, Profile::Wanderer, "/webhook"),
        (node("game_picker.cjs")?, Profile::Envelope, "/webhooks/jackbox"),
        (node("broadcasting.cjs")?, Profile::Broadcasting, "/webhooks/broadcasting"),
        (node("sockudo_express.cjs")?, Profile::Pusher, "/webhooks/sockudo"),
        (node("sockudo_verify.cjs")?, Profile::Pusher, "/webhooks/sockudo"),
    ])
}

#[test]
fn the_guides_own_receivers_verify_any_payload() -> Result<()> {
    let discord = Discord::start()?;
    let receivers = guides(&discord.url)?;
    let python = Receiver::python()?;
    let kinds = ["signature_added", "client_event", "vote.received", "broadcast"];
    let mut sent = 0;
    for (place, payload) in (0..).zip(payloads(PAYLOADS)) {
        let one = [event(place, kinds[place as usize % kinds.len()], &payload)];
        for (receiver, profile, path) in &receivers {
            let rendered = made(*profile, &secrets(), &one)?;
            ensure!(receiver.verifies(path, &rendered)?, "{} refused the payload {payload}", receiver.name);
        }
        let rendered = made(Profile::Pusher, &secrets(), &one)?;
        for path in ["sockudo_verify", "sockudo_lambda"] {
            let verified = python.verifies(&format!("/{path}?secret={SECRET}"), &rendered)?;
            ensure!(verified, "{path} refused the payload {payload}");
        }
        sent += 1;
    }
    for (receiver, profile, _) in &receivers {
        let requests =
            wait::until("all lines", || Ok(Some(receiver.of("request")).filter(|lines| lines.len() >= sent)))?;
        let ids: std::collections::BTreeSet<&str> = requests.iter().filter_map(|line| line["id"].as_str()).collect();
        ensure!(requests.iter().all(|line| line["verified"] == true), "{profile:?}");
        ensure!(ids.len() == sent, "{}: {} ids of {sent} events", receiver.name, ids.len());
    }
    Ok(())
}

#[test]
fn the_guides_own_receivers_refuse_what_differs() -> Result<()> {
    let discord = Discord::start()?;
    let batch: Vec<Event> = (0..).zip(payloads(20)).map(|(place, payload)| event(place, "other", &payload)).collect();
    let wrong = Secrets::new("another secret".into());
    for (receiver, profile, path) in guides(&discord.url)? {
        let events = if profile.batches() { &batch[..] } else { &batch[..1] };
        receiver.verifies_only(path, &made(profile, &secrets(), events)?)?;
        ensure!(!receiver.verifies(path, &made(profile, &wrong, events)?)?, "{} took another's", receiver.name);
    }
    let python = Receiver::python()?;
    for path in ["sockudo_verify", "sockudo_lambda"] {
        let path = format!("/{path}?secret={SECRET}");
        python.verifies_only(&path, &made(Profile::Pusher, &secrets(), &batch)?)?;
        ensure!(!python.verifies(&path, &made(Profile::Pusher, &wrong, &batch)?)?, "{path} took another's");
    }
    Ok(())
}

/// The examples of the guide, by way of its own transformer and by the `discord` profile: the same embeds, but for the
/// fields that we add, and numbers, which Discord wants as text.
#[test]
fn discord_messages_are_those_of_the_guides_transformer() -> Result<()> {
    let discord = Discord::start()?;
    let env = [("WEBHOOK_SECRET", SECRET), ("DISCORD_WEBHOOK_URL", &discord.url)];
    let transformer = Receiver::node("wanderer_discord.cjs", &env)?;
    let examples = [
        (
            "add_system",
            r#"{"solar_system_id":31000001,"name":"J123456","type":"wormhole","class":"C3","statics":["C3","HS"]}"#,
        ),
        (
            "map_kill",
            r#"{"killmail_id":12345678,"system_name":"J123456","victim":{"name":"Pilot Name","ship":"Stratios","corporation":"Corp Name"},"value":250000000}"#,
        ),
        ("map_kill", r#"{"killmail_id":2,"system_name":"Jita","victim":{"name":"A","ship":"Rifter"},"value":1250000}"#),
        ("connection_added", r#"{"from_name":"J123456","to_name":"Jita","type":"wormhole"}"#),
        ("connection_added", r#"{"from_name":"J1","to_name":"J2","mass_status":"Critical"}"#),
    ];
    for (n, (kind, payload)) in examples.iter().enumerate() {
        let one = [event(n as u32, kind, payload)];
        ensure!(transformer.verifies("/webhook", &made(Profile::Wanderer, &secrets(), &one)?)?);
        let theirs = discord.nth(n)?["embeds"][0].take();
        let mut ours: Value = serde_json::from_slice(&made(Profile::Discord, &secrets(), &one)?.body)?;
        let ours = ours["embeds"][0].take();
        for member in ["title", "description", "color", "url", "timestamp"] {
            ensure!(ours[member] == theirs[member], "{member} of {kind}: {ours} and {theirs}");
        }
        for field in theirs["fields"].as_array().context("no fields")? {
            let text = field["value"].as_str().map_or_else(|| field["value"].to_string(), str::to_owned);
            let same = |other: &&Value| other["name"] == field["name"] && other["inline"] == field["inline"];
            let found =
                ours["fields"].as_array().and_then(|fields| fields.iter().find(same)).context("a field is gone")?;
            ensure!(found["value"] == text, "{field} is {found}");
        }
    }
    let picker = Receiver::node("game_picker.cjs", &env)?;
    let game = r#"{"session":{"id":3},"game":{"title":"Quiplash 3","min_players":3,"max_players":8}}"#;
    let one = [event(9, "game.added", game)];
    ensure!(picker.verifies("/webhooks/jackbox", &made(Profile::Envelope, &secrets(), &one)?)?);
    let ours: Value = serde_json::from_slice(&made(Profile::Discord, &secrets(), &one)?.body)?;
    ensure!(discord.nth(examples.len())?["content"] == ours["embeds"][0]["description"]);
    Ok(())
}

/// A path of a verifier, with the secret it knows.
fn at(library: &str, secret: &str) -> String {
    let escaped: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("/{library}?key={KEY}&secret={escaped}")
}

#[test]
fn public_verifiers_verify_also_during_a_rotation() -> Result<()> {
    let receivers = [(Receiver::node("verifiers.cjs", &[])?, "pusher"), (Receiver::python()?, "sockudo_verify")];
    let profiles = [Profile::Standard, Profile::Wanderer, Profile::Envelope, Profile::Broadcasting, Profile::Pusher];
    for (place, payload) in (0..).zip(payloads(40)) {
        let one = [event(place, "add_system", &payload)];
        for (receiver, one_signature) in &receivers {
            for (current, previous) in [(SECRET, None), (SECRET, Some(OLD_SECRET)), (OLD_SECRET, Some(SECRET))] {
                let mut secrets =
                    Secrets { current: current.into(), previous: previous.map(Into::into), prefer_previous: false };
                let profile = profiles[place as usize % profiles.len()];
                let rendered = made(profile, &secrets, &one)?;
                for library in ["standardwebhooks", "svix"] {
                    for secret in secrets.all() {
                        receiver.verifies_only(&at(library, secret), &rendered)?;
                    }
                    ensure!(!receiver.verifies(&at(library, "another secret"), &rendered)?);
                }
                let rendered = made(Profile::Pusher, &secrets, &one)?;
                receiver.verifies_only(&at(one_signature, current), &rendered)?;
                let Some(previous) = previous else { continue };
                ensure!(!receiver.verifies(&at(one_signature, previous), &rendered)?);
                secrets.prefer_previous = true;
                receiver.verifies_only(&at(one_signature, previous), &made(Profile::Pusher, &secrets, &one)?)?;
            }
        }
    }
    Ok(())
}
