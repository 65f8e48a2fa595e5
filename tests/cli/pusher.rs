//! `waypost pusher …` and `waypost config import`.

use super::*;

#[test]
fn wrong_usage_of_credentials_ends_with_2() {
    for usage in [
        &["pusher", "create"][..],
        &["pusher", "create", "demo", "--max-connections", "many"],
        &["pusher", "update", "demo"],
        &["pusher", "update", "demo", "key"],
        &["pusher", "update", "demo", "key", "--client-events=perhaps"],
        &["pusher", "update", "demo", "key", "--max-connections", "many"],
        &["pusher", "rotate", "demo"],
        &["pusher", "delete", "demo"],
        &["config", "import", "pigeon", "x.json"],
        &["config", "import", "sockudo"],
    ] {
        let output = run(usage);
        assert_eq!(output.status.code(), Some(2), "{usage:?}: {}", err(&output));
    }
}

/// What the import prints is a configuration that `config check` accepts.
#[test]
fn the_apps_of_another_server_become_a_configuration() {
    let json = r#"{"app_manager": {"array": {"apps": [{
        "id": "1234", "key": "old-key", "secret": "hidden-secret", "enable_client_messages": true,
        "webhooks": [
            {"url": "https://example.com/hook", "event_types": ["member_added"]},
            {"lambda_function": "legacy", "event_types": ["member_added"]},
            {"url": "https://example.com/none", "event_types": []},
            {"lambda": {"function_name": "rooms", "region": "us-east-1"}}
        ]}, {"id": "keyless"}, {"id": "a b", "key": "c", "secret": "hidden-secret"}
    ]}}, "webhooks": {"batching": {"enabled": true, "duration": 50}}}"#;
    let imported = run_with_input(waypost(&["config", "import", "sockudo", "-"]), json);
    assert!(imported.status.success(), "{}", err(&imported));
    let text = out(&imported);
    assert!(text.contains("waypost map create --slug 1234 --requests-per-minute none"), "{text}");
    for left in [
        "webhook 2 of the app 1234: lambda_function",
        "webhook 3 of the app 1234: events: ",
        "the app keyless: key: is required; secret: is required",
        "the app a b: app_id: ",
    ] {
        assert!(text.contains(&format!("# Not taken over: {left}")), "{left}: {text}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("imported.toml");
    fs::write(&file, text).unwrap();
    let checked = run(&["config", "check", "--config", file.to_str().unwrap()]);
    let told = out(&checked);
    assert!(checked.status.success(), "{}", err(&checked));
    assert!(told.contains("# - app \"1234\" with key \"old-key\" of map \"1234\""), "{told}");
    assert!(told.contains("# - \"old-key-1\" of map \"1234\", profile pusher"), "{told}");
    assert!(!told.contains("hidden"), "{told}");
    let wrong = run_with_input(waypost(&["config", "import", "sockudo", "-"]), "{}");
    assert_eq!(wrong.status.code(), Some(1), "{}", err(&wrong));
}

#[test]
fn credentials_are_created_changed_rotated_and_deleted() {
    let (dev, printed) = Dev::start(free_ports(), tempfile::tempdir().unwrap());
    assert!(printed.contains("new Pusher(\"demo-key\""), "{printed}");
    assert!(printed.contains("id 1, key demo-key, secret demo-secret"), "{printed}");
    let line = printed.lines().find(|line| line.contains("its token")).unwrap();
    let token = line.split_whitespace().last().unwrap().to_owned();
    let cli = |args: &[&str]| -> Output {
        waypost(args).env("WAYPOST_URL", dev.url(1)).env("WAYPOST_TOKEN", &token).output().unwrap()
    };
    let read = |output: &Output| -> Value {
        assert!(output.status.success(), "{}", err(output));
        serde_json::from_str(&out(output)).unwrap()
    };
    let made =
        read(&cli(&["pusher", "create", "demo", "--client-events", "--origins", "a.example,b.example"]));
    assert_eq!(made["origins"], serde_json::json!(["a.example", "b.example"]), "{made}");
    assert!(made["secret"].is_string() && made["client_events"] == true, "{made}");
    let key = made["key"].as_str().unwrap();
    let update = |options: &[&str]| read(&cli(&[&["pusher", "update", "demo", key][..], options].concat()));
    let changed = update(&["--client-events=false", "--max-connections", "7"]);
    assert!(changed["client_events"] == false && changed["max_connections"] == 7, "{changed}");
    assert_eq!(changed["origins"], made["origins"], "what is not given stays: {changed}");
    let changed = update(&["--client-events", "--max-connections", "none", "--origins", "*"]);
    assert!(changed["client_events"] == true && changed["max_connections"].is_null(), "{changed}");
    assert_eq!(changed["origins"], serde_json::json!(["*"]), "{changed}");
    let origins = update(&["--origins", "a.example,b.example"]);
    assert_eq!(origins["origins"], made["origins"], "{origins}");
    let to = ["--to", "http://127.0.0.1:9/hook", "--profile", "pusher", "--key", key, "--disabled"];
    let hook = read(&cli(&[&["webhook", "create", "demo"][..], &to].concat()));
    let hook = hook["id"].as_str().unwrap();
    let rotation = cli(&["pusher", "rotate", "demo", key]);
    let rotated = read(&rotation);
    assert!(rotated["app_id"] == made["app_id"] && rotated["key"] != made["key"], "{rotated}");
    // The webhook keeps its key and its secret, and both commands say so.
    let update = format!("waypost webhook update demo {hook} --key {}", rotated["key"].as_str().unwrap());
    let rotate = format!("waypost webhook rotate demo {hook} --secret-file - --overlap-seconds 0");
    let told = err(&rotation);
    assert!(told.contains("1 webhook still signs with the old key"), "{told}");
    assert!(told.contains(&update) && told.contains(&rotate), "{told}");
    assert_eq!(rotated["origins"], made["origins"], "{rotated}");
    let list = || -> Vec<Value> {
        let listed = cli(&["pusher", "list", "demo"]);
        assert!(listed.status.success(), "{}", err(&listed));
        out(&listed).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = list();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.iter().all(|app| app.get("secret").is_none()), "{all:?}");
    let deleted = cli(&["pusher", "delete", "demo", key, "--yes"]);
    assert!(deleted.status.success() && err(&deleted).contains("deleted"), "{}", err(&deleted));
    let warning = format!("Warning: 1 webhook still signs with the key {key}");
    assert!(err(&deleted).contains(&warning), "{}", err(&deleted));
    assert_eq!(list().len(), 2);
    // No webhook signs with the other key, so nothing is said.
    let other = rotated["key"].as_str().unwrap();
    let deleted = cli(&["pusher", "delete", "demo", other, "--yes"]);
    assert!(deleted.status.success() && !err(&deleted).contains("Warning"), "{}", err(&deleted));
}
