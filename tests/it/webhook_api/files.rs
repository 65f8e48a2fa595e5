//! Webhooks of the configuration file.

use super::*;
use crate::webhooks_support::holds;

#[test]
fn the_configuration_file_defines_webhooks() {
    scenario(local(1), |c| {
        let file = c.dir().join("webhooks.toml");
        let webhook = |name: &str, more: &str| {
            let url = url(name);
            format!(
                "[[webhooks.webhook]]\nmap = \"filed\"\nname = \"{name}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n{more}\n"
            )
        };
        std::fs::write(
            &file,
            webhook("one", "event_types = [\"x\"]")
                + &webhook("two", "profile = \"pusher\"\nenabled = false"),
        )?;
        c.nodes[0].env.insert("WAYPOST_CONFIG".into(), file.display().to_string());
        c.restart(0)?;
        // The webhooks are created as soon as their map exists.
        let map = c.map("filed")?;
        let both = wait_for(c, &map, |list| list.as_array().is_some_and(|list| list.len() == 2))?;
        let one = named(&both, "one")?;
        ensure!(one["origin"] == "config" && one["events"] == json!(["x"]) && one["active"] == true, "{one}");
        ensure!(
            named(&both, "two")?["profile"] == "pusher" && named(&both, "two")?["active"] == false,
            "{both}"
        );
        let api = c.api(0, &map);
        let path = format!("{}/{}", hooks(&map), text(&one, "id")?);
        for answer in [
            api.patch(&path, &json!({"name": "x"}))?,
            api.patch(&path, &json!({"active": false, "timeout_ms": 500}))?,
            api.post(&format!("{path}/rotate-secret"), &json!({}))?,
            api.delete(&path)?,
            api.patch(&format!("/api/webhooks/{}", text(&one, "id")?), &json!({"events": ["y"]}))?,
        ] {
            ensure!(answer.status == 409 && answer.code() == "configured", "{}", answer.text());
        }
        ensure!(api.patch(&path, &json!({"active": false}))?.data(200)?["active"] == false);
        ensure!(api.post(&format!("{path}/enable"), &json!({}))?.data(200)?["active"] == true);
        ensure!(api.post(&format!("{path}/disable"), &json!({}))?.data(200)?["active"] == false);
        let (_, own) = create(c, &map, &paused("own"))?;
        let before = api.get(&path)?.data(200)?;
        // Unchanged webhooks stay as they are, and a webhook that an operator stopped stays stopped.
        c.restart(0)?;
        create(c, &map, &paused("after-the-restart"))?;
        c.wait_until("the webhook to have its owner again", |c| {
            Ok((c.api(0, &map).get(&path)?.data(200)?["owner"] == before["owner"]).then_some(()))
        })?;
        std::thread::sleep(Duration::from_secs(2));
        ensure!(c.api(0, &map).get(&path)?.data(200)? == before);
        // A webhook that left the file is removed, a changed one is changed, and one made over the API stays.
        std::fs::write(
            &file,
            webhook("one", "timeout_ms = 1234\nenabled = true").replace(SECRET, "a-new-secret"),
        )?;
        c.restart(0)?;
        let list = wait_for(c, &map, |list| {
            named(list, "one").is_ok_and(|one| one["timeout_ms"] == 1234) && named(list, "two").is_err()
        })?;
        let one = named(&list, "one")?;
        ensure!(one["id"] == before["id"] && one["events"] == json!(["*"]) && one["active"] == true, "{one}");
        ensure!(one["secret_previous_until"].is_string(), "{list}");
        ensure!(
            list.as_array().is_some_and(|list| list.iter().any(|webhook| webhook["id"] == own["id"])),
            "{list}"
        );
        ensure!(c.admin(0).delete(&path)?.code() == "configured", "the admin token removed it");
        Ok(())
    });
}

/// When the webhook that blocks one of the file is deleted, the latter is created without a restart.
#[test]
fn a_webhook_of_the_file_is_created_once_its_url_is_free() {
    scenario(local(1), |c| {
        let map = c.map("taken")?;
        let (path, _) = create(c, &map, &paused("first"))?;
        let file = c.dir().join("webhooks.toml");
        let webhook = |name: &str| {
            let url = url(name);
            format!(
                "[[webhooks.webhook]]\nmap = \"taken\"\nname = \"{name}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n"
            )
        };
        std::fs::write(&file, webhook("first") + &webhook("second"))?;
        c.nodes[0].env.insert("WAYPOST_CONFIG".into(), file.display().to_string());
        c.restart(0)?;
        // The webhooks are created in the order of the file.
        let list = wait_for(c, &map, |list| named(list, "second").is_ok())?;
        ensure!(named(&list, "first").is_err(), "two webhooks with one address: {list}");
        ensure!(c.api(0, &map).delete(&path)?.status == 204);
        wait_for(c, &map, |list| named(list, "first").is_ok_and(|first| first["origin"] == "config"))?;
        Ok(())
    });
}

/// A webhook that was removed from the file remains until no node has the old file.
#[test]
fn a_changed_file_is_rolled_out_node_by_node() {
    scenario(local(3), |c| {
        let map = c.map("rolled")?;
        let webhook = |name: &str| {
            let url = url(name);
            format!(
                "[[webhooks.webhook]]\nmap = \"rolled\"\nname = \"{name}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n"
            )
        };
        let old = c.dir().join("old.toml");
        let new = c.dir().join("new.toml");
        std::fs::write(&old, webhook("both") + &webhook("old"))?;
        std::fs::write(&new, webhook("both") + &webhook("new"))?;
        let names = |list: &Value| -> Vec<String> {
            let mut names: Vec<String> = list
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|w| Some(w["name"].as_str()?.to_owned()))
                .collect();
            names.sort();
            names
        };
        for (file, expected) in [(&old, vec!["both", "old"]), (&new, vec!["both", "new"])] {
            for node in 0..3 {
                c.nodes[node].env.insert("WAYPOST_CONFIG".into(), file.display().to_string());
                c.restart(node)?;
                if file == &new && node < 2 {
                    wait_for(c, &map, |list| names(list) == ["both", "new", "old"])?;
                    let all =
                        || Ok(names(&c.api(0, &map).get(&hooks(&map))?.data(200)?) == ["both", "new", "old"]);
                    holds(Duration::from_secs(6), "a webhook vanished while a node has the old file", all)?;
                }
            }
            wait_for(c, &map, |list| names(list) == expected)?;
        }
        Ok(())
    });
}

fn wait_for(c: &Cluster, map: &Map, good: impl Fn(&Value) -> bool) -> Result<Value> {
    c.wait_until("the webhooks of the file", |c| {
        let list = c.api(0, map).get(&hooks(map))?.data(200)?;
        Ok(good(&list).then_some(list))
    })
}

fn named(list: &Value, name: &str) -> Result<Value> {
    let found = list.as_array().into_iter().flatten().find(|webhook| webhook["name"] == name);
    found.cloned().with_context(|| format!("no {name} in {list}"))
}
