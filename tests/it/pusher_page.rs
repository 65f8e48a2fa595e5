//! A chat that is written for Pusher, unchanged: a page with npm `laravel-echo` over npm `pusher-js` in
//! headless Chromium, and a back end with Express and npm `pusher`. It runs once for each node and is told
//! nothing but host, key and secret. Ada's page and back end are at the first node, Bob's at the second, and
//! the webhooks go to the application of the third.

use crate::pusher_support::App;
use crate::support::scenario;
use crate::webhooks_support::{Hook, delivering, map};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::clients::Js;
use testkit::{Cluster, wait};

/// The executable that is used where the variable `CHROMIUM` names no other.
const CHROMIUM: &str = "/usr/bin/chromium";
/// The key of encrypted channels: 32 bytes in base64.
const MASTER: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
/// The channels of each page; of private channels there is one more, the user's own.
const CHANNELS: [&str; 7] = [
    "announcements",
    "cache-headline",
    "private-room.1",
    "private-cache-room.1",
    "private-encrypted-room.1",
    "private-user",
    "presence-room.1",
];
const USERS: [&str; 2] = ["ada", "bob"];

#[test]
fn a_chat_written_for_pusher_runs_unchanged() {
    let Some(chromium) = chromium() else {
        println!("SKIPPED: no page was tried, because Chromium is not installed (or name it in CHROMIUM)");
        return;
    };
    // Declared first, so that it is removed last.
    let folder = tempfile::tempdir().unwrap();
    scenario(delivering(3), |c| {
        let mut chat = Chat::start(c, &chromium, folder.path())?;
        for (user, node) in [("ada", 0), ("bob", 1)] {
            chat.js.order(json!({"do": "open", "user": user, "node": node}))?;
            subscriptions(&chat, user).with_context(|| format!("the subscriptions of {user}"))?;
        }
        members(&mut chat).context("members")?;
        sign_in(&mut chat).context("sign-in")?;
        whispers(&mut chat).context("client events")?;
        messages(&mut chat).context("messages to others")?;
        announcements(&mut chat).context("events of the back end")?;
        restart(c, &mut chat).context("the restart of a node")?;
        messages(&mut chat).context("messages to others, after the restart")?;
        close(&mut chat).context("a page that is closed")?;
        webhooks(&chat).context("webhooks")?;
        chat.end()
    });
}

/// The path of Chromium, if it runs.
pub(crate) fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from(CHROMIUM), PathBuf::from);
    let version = Command::new(&path).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success()).then_some(path)
}

/// The applications and their pages.
struct Chat {
    js: Js,
    /// The requests to back ends so far.
    asked: u64,
}

impl Chat {
    /// Gives a map the credentials that the application has, and starts the application at each node.
    fn start(c: &Cluster, chromium: &Path, folder: &Path) -> Result<Self> {
        let map = map(c, "chat")?;
        let credentials = json!({
            "app_id": "1234567",
            "key": "278d425bdf160c739803",
            "secret": "7ad3773142a6692b25b8",
            "client_events": true,
        });
        let app = App::with(c, &map, &credentials)?;
        let js = Js::page(json!({
            "urls": c.urls_from(0),
            "app": app.json(),
            "master": MASTER,
            "chromium": chromium,
            "folder": folder,
        }))?;
        let serving = js.wait_for("serving", 1)?;
        let url = serving["urls"][2].as_str().context("no URL")?;
        let settings = json!({"profile": "pusher", "secret": app.secret});
        Hook::create(c, &map, &format!("{url}/webhooks"), settings)?;
        Ok(Self { js, asked: 0 })
    }

    /// What the page of a user told of that kind, as far as it is as wanted.
    fn told(&self, user: &str, kind: &str, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.js.of(kind).into_iter().filter(|line| line["user"] == user && is(line)).collect()
    }

    /// Waits until the page of a user has told that `n` times.
    fn wait(&self, user: &str, kind: &str, n: usize, is: impl Fn(&Value) -> bool) -> Result<Value> {
        self.js.wait(&format!("line {n} of kind `{kind}` from the page of {user}"), |_| {
            Ok(self.told(user, kind, &is).into_iter().nth(n - 1))
        })
    }

    /// Waits until the page of a user got `n` such events of a channel.
    fn event(&self, user: &str, channel: &str, n: usize, data: &Value) -> Result<()> {
        let is = |line: &Value| line["channel"] == channel && line["data"] == *data;
        self.wait(user, "event", n, is).with_context(|| format!("{data} of {channel}")).map(drop)
    }

    /// Waits until the page of a user shows that text.
    fn shown(&mut self, user: &str, selector: &str, text: &str) -> Result<()> {
        let is = |line: &Value| line["selector"] == selector && line["text"] == text;
        let n = self.told(user, "shown", is).len() + 1;
        self.js.order(json!({"do": "shown", "user": user, "selector": selector, "text": text}))?;
        self.wait(user, "shown", n, is).with_context(|| format!("`{text}` in {selector}")).map(drop)
    }

    /// Has the page of a user ask its back end until that answers 200. Returns the body of the answer.
    fn ask(&mut self, user: &str, path: &str, text: &str) -> Result<Value> {
        wait::until(&format!("an answer of {path}"), || self.ask_once(user, path, text).map(Some))
    }

    fn ask_once(&mut self, user: &str, path: &str, text: &str) -> Result<Value> {
        self.asked += 1;
        let n = self.asked;
        let body = json!({"text": text});
        self.js.order(json!({"do": "ask", "user": user, "n": n, "path": path, "body": body}))?;
        let answer = self.wait(user, "answer", 1, |line| line["n"] == n)?;
        ensure!(answer["status"] == 200, "{path}: {answer}");
        Ok(answer["body"].clone())
    }

    /// Has the page of a user send a client event.
    fn whisper(&mut self, user: &str, event: &str, data: &Value) -> Result<()> {
        self.js.order(json!({"do": "whisper", "user": user, "event": event, "data": data}))
    }

    /// Ends the browser. No page may have failed.
    fn end(mut self) -> Result<()> {
        self.js.order(json!({"do": "end"}))?;
        self.js.wait_for("ended", 1)?;
        ensure!(self.js.of("page_error").is_empty(), "{:?}", self.js.of("page_error"));
        Ok(())
    }
}

/// A page subscribes to channels of every kind; one is refused by its back end.
fn subscriptions(chat: &Chat, user: &str) -> Result<()> {
    for channel in CHANNELS {
        chat.wait(user, "subscribed", 1, |line| line["channel"] == channel).context(channel)?;
    }
    let refused = chat.wait(user, "refused", 1, |_| true)?;
    ensure!(refused["channel"] == "private-room.2", "{refused}");
    ensure!(refused["error"]["type"] == "AuthError" && refused["error"]["status"] == 403, "{refused}");
    chat.wait(user, "cache_miss", 1, |_| true).map(drop)
}

fn members(chat: &mut Chat) -> Result<()> {
    chat.wait("ada", "here", 1, |line| line["members"] == json!(["ada"]))?;
    chat.wait("ada", "joining", 1, |line| line["id"] == "bob")?;
    chat.wait("bob", "here", 1, |line| line["members"] == json!(USERS))?;
    for user in USERS {
        chat.shown(user, "#members", "Ada and Bob")?;
        let members = chat.ask(user, "/rooms/1/members", "")?;
        ensure!(members == json!({"users": [{"id": "ada"}, {"id": "bob"}]}), "{members}");
    }
    Ok(())
}

/// Users sign in, hear of each other, and get events of their own.
fn sign_in(chat: &mut Chat) -> Result<()> {
    for (user, other, name) in [("ada", "bob", "Bob"), ("bob", "ada", "Ada")] {
        chat.wait(user, "signed_in", 1, |_| true)?;
        chat.wait(user, "watched", 1, |line| line["name"] == "online" && line["user_ids"] == json!([other]))?;
        chat.ask(other, &format!("/users/{user}/poke"), "")?;
        chat.wait(user, "poke", 1, |line| line["data"] == json!({"from": name}))?;
        chat.ask(other, &format!("/users/{user}/notify"), "paid")?;
        chat.wait(user, "notification", 1, |line| line["data"]["text"] == "paid")?;
    }
    Ok(())
}

/// Client events go from page to page, on the private channel and on the presence channel.
fn whispers(chat: &mut Chat) -> Result<()> {
    for (from, to) in [("ada", "bob"), ("bob", "ada")] {
        for (event, channel) in [("typing", "private-room.1"), ("wave", "presence-room.1")] {
            let data = json!({"name": from});
            chat.whisper(from, event, &data)?;
            chat.wait(to, "whisper", 1, |line| line["channel"] == channel && line["data"] == data)?;
        }
        chat.shown(to, "#typing", &format!("{from} is typing"))?;
    }
    Ok(())
}

/// A user sends a message with the page's form; the back end publishes it to all others.
fn messages(chat: &mut Chat) -> Result<()> {
    for (from, to, name) in [("ada", "bob", "Ada"), ("bob", "ada", "Bob")] {
        let text = format!("message {} of {name}", chat.told(to, "event", |_| true).len());
        chat.js.order(json!({"do": "send", "user": from, "text": text}))?;
        chat.event(to, "presence-room.1", 1, &json!({"from": name, "text": text}))?;
        chat.shown(to, "#messages li", &format!("{name}: {text}"))?;
        let own = chat.told(from, "event", |line| line["data"]["from"] == name);
        ensure!(own.is_empty(), "{from} got {own:?}");
    }
    Ok(())
}

/// The back end publishes to channels of every kind, and a batch.
fn announcements(chat: &mut Chat) -> Result<()> {
    for from in USERS {
        let news = json!({"text": format!("news of {from}")});
        ensure!(chat.ask(from, "/announce", &format!("news of {from}"))? == json!({}));
        ensure!(chat.ask(from, "/secret", &format!("news of {from}"))? == json!({}));
        ensure!(chat.ask(from, "/batch", "")? == json!({}));
        for user in USERS {
            for channel in &CHANNELS[..5] {
                chat.event(user, channel, 1, &news)?;
            }
        }
    }
    for user in USERS {
        chat.event(user, "announcements", 2, &json!({"text": "first of a batch"}))?;
        chat.event(user, "private-room.1", 2, &json!({"text": "second of a batch"}))?;
    }
    Ok(())
}

/// Ada's node is killed and comes back. Her page goes through the states that Pusher names, and has all
/// subscriptions again.
fn restart(c: &mut Cluster, chat: &mut Chat) -> Result<()> {
    let before = chat.told("ada", "state", |_| true).len();
    c.nodes[0].kill9()?;
    chat.wait("bob", "leaving", 1, |line| line["id"] == "ada")?;
    chat.wait("bob", "watched", 1, |line| line["name"] == "offline" && line["user_ids"] == json!(["ada"]))?;
    chat.shown("bob", "#members", "Bob")?;
    chat.shown("ada", "#state", "unavailable")?;
    c.nodes[0].start()?;
    c.wait_node(0)?;
    chat.wait("ada", "state", 2, |line| line["current"] == "connected")?;
    let states = chat.told("ada", "state", |_| true);
    let names: Vec<&str> = states[before..].iter().filter_map(|line| line["current"].as_str()).collect();
    ensure!(names.first() == Some(&"connecting") && names.last() == Some(&"connected"), "{names:?}");
    let known = |name: &&str| ["connecting", "unavailable", "connected"].contains(name);
    ensure!(names.iter().all(known), "{names:?}");
    for channel in CHANNELS {
        chat.wait("ada", "subscribed", 2, |line| line["channel"] == channel).context(channel)?;
    }
    // The last event of a cache channel comes again.
    for channel in ["cache-headline", "private-cache-room.1"] {
        chat.event("ada", channel, 2, &json!({"text": "news of bob"}))?;
    }
    chat.wait("ada", "signed_in", 2, |_| true)?;
    chat.wait("ada", "here", 1, |line| line["members"] == json!(USERS))?;
    chat.wait("bob", "joining", 1, |line| line["id"] == "ada")?;
    chat.wait("bob", "watched", 2, |line| line["name"] == "online")?;
    for user in USERS {
        chat.shown(user, "#members", "Ada and Bob")?;
    }
    chat.ask("bob", "/users/ada/poke", "")?;
    chat.wait("ada", "poke", 2, |_| true)?;
    let others = chat.told("bob", "state", |line| line["current"] != "connecting");
    ensure!(others.len() == 1 && others[0]["current"] == "connected", "{others:?}");
    Ok(())
}

fn close(chat: &mut Chat) -> Result<()> {
    chat.js.order(json!({"do": "close", "user": "bob"}))?;
    chat.wait("ada", "leaving", 1, |line| line["id"] == "bob")?;
    chat.js.order(json!({"do": "close", "user": "ada"}))
}

/// npm `pusher` verifies every request, and each fact is in one of them.
fn webhooks(chat: &Chat) -> Result<()> {
    let room = "presence-room.1";
    let facts = [
        json!({"name": "channel_occupied", "channel": room}),
        json!({"name": "member_added", "channel": room, "user_id": "ada"}),
        json!({"name": "member_added", "channel": room, "user_id": "bob"}),
        json!({"name": "cache_miss", "channel": "cache-headline"}),
        json!({"name": "client_event", "channel": "private-room.1", "event": "client-typing"}),
        json!({"name": "client_event", "channel": room, "event": "client-wave", "user_id": "bob"}),
        json!({"name": "member_removed", "channel": room, "user_id": "bob"}),
        json!({"name": "member_removed", "channel": room, "user_id": "ada"}),
        json!({"name": "channel_vacated", "channel": room}),
    ];
    for fact in &facts {
        let members = fact.as_object().context("an object")?;
        let has_it = |event: &Value| members.iter().all(|(name, value)| event[name] == *value);
        chat.js.wait(&format!("a webhook with {fact}"), |js| {
            let requests = js.of("webhook");
            let mut events = requests.iter().filter_map(|line| line["events"].as_array()).flatten();
            Ok(events.any(has_it).then_some(()))
        })?;
    }
    let refused: Vec<Value> =
        chat.js.of("webhook").into_iter().filter(|line| line["valid"] != true).collect();
    ensure!(refused.is_empty(), "{refused:?}");
    Ok(())
}
