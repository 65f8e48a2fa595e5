//! The configuration that Sockudo's guide prints, imported, delivers to its receivers.

use crate::pusher_support::{App, Socket};
use crate::receivers::fleet::{REGION, SECRET, delivering, functions};
use crate::support::{nodes, printed, scenario, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use testkit::receiver::{Receiver, behaviour};
use testkit::wait;

/// The guide's apps and global settings, with addresses of this test.
fn of_the_guide(url: &str) -> Value {
    json!({
        "webhooks": {"batching": {"enabled": true, "duration": 50}},
        "app_manager": {"driver": "memory", "array": {"apps": [{
            "id": "my-app",
            "key": "my-key",
            "secret": SECRET,
            "webhooks": [
                {
                    "url": url,
                    "event_types": ["channel_occupied", "channel_vacated"],
                    "headers": {"Authorization": "Bearer your-api-token", "X-Source": "sockudo"},
                },
                {
                    "lambda": {"function_name": "sockudoPresenceHandler", "region": REGION},
                    "event_types": ["member_added", "member_removed"],
                    "filter": {"channel_prefix": "presence-"},
                },
            ],
        }]}},
    })
}

/// Writes the guide's configuration in our form.
fn import(folder: &Path, guide: &Value) -> Result<String> {
    let (theirs, ours) = (folder.join("config.json"), folder.join("imported.toml"));
    std::fs::write(&theirs, guide.to_string())?;
    let theirs = theirs.to_str().context("a path of text")?;
    let output = waypost(&["config", "import", "sockudo", theirs]).output()?;
    ensure!(output.status.success(), "{}", printed(&output));
    std::fs::write(&ours, &output.stdout)?;
    Ok(ours.display().to_string())
}

#[test]
fn the_configuration_of_the_guide_delivers() {
    let functions = functions().unwrap();
    let options = delivering(nodes(1), &functions).set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "sockudo*");
    scenario(options, |c| {
        let receiver = Receiver::start()?;
        let url = receiver.on("/sockudo/webhooks", behaviour::healthy());
        let file = import(c.dir(), &of_the_guide(&url))?;
        c.nodes[0].env.insert("WAYPOST_CONFIG".to_owned(), file);
        c.restart(0)?;
        // The app and its webhooks are made as soon as their map exists.
        let map = c.map("my-app")?;
        c.wait_until("the webhooks of the file", |c| {
            let list = c.api(0, &map).get(&map.path("/webhooks"))?.data(200)?;
            Ok(list.as_array().is_some_and(|list| list.len() == 2).then_some(()))
        })?;
        c.wait_until("the app of the file", |c| {
            let list = c.api(0, &map).get(&map.path("/pusher"))?.data(200)?;
            Ok(list.as_array().is_some_and(|list| list.len() == 1).then_some(()))
        })?;
        let app = App { id: "my-app".to_owned(), key: "my-key".to_owned(), secret: SECRET.to_owned() };
        let mut socket = Socket::connect(c, 0, &app)?;
        socket.join("presence-chat", "user1", &json!({"name": "Alice"}))?;
        let told = |requests: &[testkit::receiver::Request], name: &str| {
            requests.iter().any(|request| request.json()["events"].to_string().contains(name))
        };
        receiver.wait("/sockudo/webhooks", "an occupied channel", |all| told(all, "channel_occupied"))?;
        socket.unsubscribe("presence-chat")?;
        let requests =
            receiver.wait("/sockudo/webhooks", "a vacated channel", |all| told(all, "channel_vacated"))?;
        for request in &requests {
            let signature = app.sign(std::str::from_utf8(&request.body)?);
            ensure!(request.header("x-pusher-signature") == Some(&*signature), "{request:?}");
            ensure!(request.header("x-pusher-key") == Some("my-key"), "{request:?}");
            ensure!(request.header("authorization") == Some("Bearer your-api-token"), "{request:?}");
            ensure!(request.header("x-source") == Some("sockudo"), "{request:?}");
            ensure!(!told(std::slice::from_ref(request), "member_"), "{request:?}");
        }
        wait::until("both facts at the function", || {
            let calls = functions.seen("sockudoPresenceHandler");
            ensure!(calls.iter().all(|call| call.verified), "{calls:?}");
            let is_told = |name: &str| calls.iter().any(|call| call.body.contains(name));
            ensure!(!is_told("channel_occupied"), "{calls:?}");
            Ok((is_told("member_added") && is_told("member_removed")).then_some(()))
        })
    });
}
