//! The Pusher protocol, row by row: each message, status and code of its documentation beside the server's.

mod connections;
mod rows;

use crate::pusher_support::{App, QUERY, set_rules};
use crate::support::{checked, nodes};
use anyhow::{Context, Result, bail, ensure};
use rows::rows;
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::wait::LIMIT;
use testkit::ws::{Message, Upgrade, Ws};

#[test]
fn every_message_is_the_documented_one() {
    checked(
        nodes(1).set("WAYPOST_PUSHER_EVENT_BYTES", 1024),
        &[
            ("the table of messages", table),
            ("connections that are let in or refused", connections::connections),
            ("an app has as many sockets as it may have", connections::quota),
            ("pages of other origins", connections::origins),
            ("a change of an app counts at once", connections::changed),
            ("nothing is below the path of an app", connections::elsewhere),
            ("a deleted app's sockets are closed", connections::deleted),
            ("as many channels as a socket may have", connections::channels),
        ],
    );
}

#[test]
fn silent_clients_are_asked_and_then_closed() {
    let options = nodes(1).set("WAYPOST_PUSHER_ACTIVITY_TIMEOUT_SECONDS", 5);
    checked(options, &[("ping, pong and 4201", connections::silence)]);
}

#[test]
fn subscribers_are_told_how_many_they_are() {
    let options = nodes(1).set("WAYPOST_PUSHER_SUBSCRIPTION_COUNT_SECONDS", 1);
    checked(options, &[("subscription_count", connections::counts)]);
}

/// One of the two clients of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Ada,
    Bob,
}

/// What a step sends: made from the app and the id of the socket.
type Sent = Box<dyn Fn(&App, &str) -> String>;

/// One step of a row.
enum Step {
    /// The client sends a text.
    Send(Who, Sent),
    /// The client sends a binary message.
    Binary(Who),
    /// The next message that the client gets. `"*"` stands for anything.
    Get(Who, Value),
    /// A message that the client gets, after any others.
    Until(Who, Value),
    /// The client has got nothing more: a ping is answered at once.
    Quiet(Who),
    /// The connection is closed with that code.
    Closed(Who, u16),
    /// A back end posts this to the app. The text is made from the app and the id of Ada's socket.
    Post(&'static str, Sent),
}

/// A row of the table: what the documentation says, and the steps that show it.
struct Row(&'static str, Vec<Step>);

/// A client that reads and sends one message after the other.
struct Client {
    ws: Ws,
    id: String,
}

impl Client {
    fn connect(c: &Cluster, app: &App) -> Result<Self> {
        let ws = Ws::connect(c.nodes[0].http, &format!("/app/{}{QUERY}", app.key))?;
        let mut client = Self { ws, id: String::new() };
        let greeting = client.next()?;
        let documented = json!({
            "event": "pusher:connection_established",
            "data": json!({"socket_id": "*", "activity_timeout": "*"}).to_string(),
        });
        ensure!(agrees(&documented, &greeting), "{greeting}");
        let data: Value = serde_json::from_str(greeting["data"].as_str().context("a text")?)?;
        client.id = data["socket_id"].as_str().context("a socket id")?.to_owned();
        ensure!(client.id.split('.').count() == 2 && data["activity_timeout"].is_u64(), "{data}");
        Ok(client)
    }

    fn next(&mut self) -> Result<Value> {
        match self.ws.read(LIMIT)?.context("no message came")? {
            Message::Text(text) => Ok(serde_json::from_str(&text)?),
            other => bail!("instead of a message: {other:?}"),
        }
    }

    fn quiet(&mut self) -> Result<()> {
        self.ws.text(r#"{"event":"pusher:ping","data":{}}"#)?;
        let answer = self.next()?;
        ensure!(answer["event"] == "pusher:pong", "it got {answer}");
        Ok(())
    }

    fn closed(&mut self) -> Result<Option<u16>> {
        match self.ws.read(LIMIT)?.context("the connection stays open")? {
            Message::Close(code, _) => Ok(code),
            other => bail!("instead of a close frame: {other:?}"),
        }
    }
}

/// Whether the server's message is the documented one. Data that is JSON in a string is compared as JSON.
fn agrees(documented: &Value, ours: &Value) -> bool {
    match (documented, ours) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(documented), Value::Object(ours)) => {
            documented.len() == ours.len()
                && documented.iter().all(|(name, value)| ours.get(name).is_some_and(|own| agrees(value, own)))
        }
        (Value::Array(documented), Value::Array(ours)) => {
            documented.len() == ours.len()
                && documented.iter().zip(ours).all(|(value, own)| agrees(value, own))
        }
        (Value::String(documented), Value::String(ours)) => {
            let object = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
            match (object(documented), object(ours)) {
                (Some(documented), Some(ours)) => agrees(&documented, &ours),
                _ => documented == ours,
            }
        }
        _ => documented == ours,
    }
}

fn table(c: &Cluster) -> Result<()> {
    let map = c.map("frames")?;
    let app = App::of(c, &map)?;
    set_rules(c, &map, &json!([{"match": "private-quiet", "client_events": false}]))?;
    let rows = rows();
    ensure!(rows.len() >= 50, "{} rows", rows.len());
    let mut failed = Vec::new();
    for (number, Row(says, steps)) in rows.iter().enumerate() {
        if let Err(error) = row(c, &app, steps) {
            failed.push(format!("row {number}, {says}: {error:#}"));
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    Ok(())
}

fn row(c: &Cluster, app: &App, steps: &[Step]) -> Result<()> {
    let mut clients = [Client::connect(c, app)?, Client::connect(c, app)?];
    for (number, step) in steps.iter().enumerate() {
        take(c, app, step, &mut clients).with_context(|| format!("step {number}"))?;
    }
    Ok(())
}

fn take(c: &Cluster, app: &App, step: &Step, clients: &mut [Client; 2]) -> Result<()> {
    match step {
        Step::Send(who, text) => {
            let client = &mut clients[*who as usize];
            client.ws.text(&text(app, &client.id))
        }
        Step::Binary(who) => clients[*who as usize].ws.binary(b"x"),
        Step::Get(who, documented) => {
            let ours = clients[*who as usize].next()?;
            ensure!(agrees(documented, &ours), "documented: {documented}\nours: {ours}");
            Ok(())
        }
        Step::Until(who, documented) => {
            while !agrees(documented, &clients[*who as usize].next()?) {}
            Ok(())
        }
        Step::Quiet(who) => clients[*who as usize].quiet(),
        Step::Closed(who, code) => {
            let closed = clients[*who as usize].closed()?;
            ensure!(closed == Some(*code), "closed with {closed:?}");
            Ok(())
        }
        Step::Post(path, body) => app.send(c, 0, path, &body(app, &clients[0].id))?.expect(200).map(drop),
    }
}

/// Connects to a path that is refused. Returns the code of the error and that of the close frame.
fn refused(c: &Cluster, path: &str, headers: &[(&str, &str)]) -> Result<(u64, u16)> {
    let mut ws = match Ws::upgrade(c.nodes[0].http, path, headers)? {
        Upgrade::Open(ws, _) => ws,
        Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
    };
    let Some(Message::Text(error)) = ws.read(LIMIT)? else { bail!("{path}: no error") };
    let error: Value = serde_json::from_str(&error)?;
    let documented = json!({"event": "pusher:error", "data": {"code": "*", "message": "*"}});
    ensure!(agrees(&documented, &error), "{error}");
    match ws.read(LIMIT)? {
        Some(Message::Close(Some(code), _)) => Ok((error["data"]["code"].as_u64().unwrap_or_default(), code)),
        other => bail!("{path}: no close frame: {other:?}"),
    }
}
