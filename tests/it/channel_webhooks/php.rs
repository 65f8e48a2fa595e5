//! The handler in PHP that Sockudo's guide prints for Laravel, run by php-cli.

use super::world::app;
use super::{ALICE, CHAT, join};
use crate::pusher_support::Socket;
use crate::receivers::fleet::SECRET;
use crate::support::{nodes, scenario};
use crate::webhooks_support::Hook;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};
use testkit::lines::Lines;
use testkit::receiver::{Receiver, Request, behaviour};
use testkit::wait;

/// The script that hands requests to the guide's handler.
const SCRIPT: &str = "tests/php/receiver.php";

/// Starts the script; `None` if there is no php-cli.
fn handler() -> Result<Option<Lines>> {
    let is_there = Command::new("php").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !is_there.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let mut command = Command::new("php");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPT)).env("PUSHER_SECRET", SECRET);
    Ok(Some(Lines::start(&mut command)?))
}

/// Hands requests to the handler. Returns its answers.
fn answers(php: &mut Lines, requests: &[(Value, &str)]) -> Result<Vec<Value>> {
    let before = php.look(<[Value]>::len);
    for (headers, body) in requests {
        php.write(&json!({"headers": headers, "body": body}))?;
    }
    let wanted = before + requests.len();
    wait::until("the answers of the handler", || {
        Ok(php.look(|lines| (lines.len() >= wanted).then(|| lines[before..].to_vec())))
    })
}

fn signed(request: &Request) -> Result<(Value, &str)> {
    let signature = request.header("x-pusher-signature").context("no signature")?;
    Ok((json!({"X-Pusher-Signature": signature}), std::str::from_utf8(&request.body)?))
}

#[test]
fn the_handler_in_php_verifies_and_acts() {
    let Some(mut php) = handler().unwrap() else {
        println!("skipped: php-cli is not installed");
        return;
    };
    scenario(nodes(1).set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8"), |c| {
        let (map, app) = app(c, "in-php")?;
        let receiver = Receiver::start()?;
        let events = ["channel_occupied", "channel_vacated", "member_added", "member_removed"];
        let settings = json!({"profile": "pusher", "key": app.key, "secret": app.secret, "events": events});
        Hook::create(c, &map, &receiver.on("/php", behaviour::healthy()), settings)?;
        let mut socket = Socket::connect(c, 0, &app)?;
        join(&mut socket, &app, CHAT, ALICE)?;
        receiver.wait_events("/php", 2)?;
        socket.unsubscribe(CHAT)?;
        let requests = receiver.wait_events("/php", 4)?;

        let given = requests.iter().map(signed).collect::<Result<Vec<_>>>()?;
        let answered = answers(&mut php, &given)?;
        ensure!(answered.iter().all(|answer| answer["status"] == 200), "{answered:?}");
        let joined =
            json!([{"channel": CHAT, "user_id": "user-123", "action": "joined", "created_at": "now"}]);
        let acted = answered.iter().filter(|answer| answer["inserted"] == joined).count();
        ensure!(acted >= 1, "{answered:?}");

        // A changed body is refused, and a signature with a prefix is not.
        let (headers, body) = given[0].clone();
        let changed = body.replace("channel", "chanel");
        let prefixed = json!({"X-Pusher-Signature": format!("sha256={}", app.sign(body))});
        let answered = answers(&mut php, &[(headers, &*changed), (prefixed, body)])?;
        let statuses: Vec<&Value> = answered.iter().map(|answer| &answer["status"]).collect();
        ensure!(statuses == [401, 200], "{answered:?}");
        Ok(())
    });
}
