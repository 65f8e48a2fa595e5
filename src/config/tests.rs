#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use super::{Config, DEFAULT_TOML, KEYS, Key, Loader, Source, keys::is_setting, validate::all_ranges};

fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn toml(text: &str) -> Result<Loader, super::ConfigError> {
    Loader::default().toml(text, Path::new("w.toml"))
}

fn error(text: &str) -> String {
    match toml(text).and_then(Loader::finish) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn default_file_is_the_default() {
    let loaded = toml(DEFAULT_TOML).unwrap().finish().unwrap();
    assert_eq!(loaded.config, Config::default());
}

#[test]
fn default_file_has_and_explains_every_key() {
    for key in KEYS.iter() {
        let name = key.path.rsplit('.').next().unwrap();
        assert!(DEFAULT_TOML.lines().any(|line| is_setting(line, name)), "{} is missing", key.path);
        assert!(!key.help.is_empty(), "{} has no comment", key.path);
    }
}

#[test]
fn every_number_has_a_range() {
    let mut numbers: Vec<&str> =
        KEYS.iter().filter(|k| k.default.is_number()).map(|k| k.path.as_str()).collect();
    let mut ranged: Vec<&str> = all_ranges().map(|(path, _, _)| path).collect();
    ranged.sort_unstable();
    numbers.sort_unstable();
    assert_eq!(ranged, numbers);
}

#[test]
fn a_value_of_the_file_that_does_not_count_is_named() {
    let loaded = toml("admin_token = \"the-token-of-the-file\"\nhttp_addr = \"127.0.0.1:1\"\nworkers = 2")
        .unwrap()
        .env(env(&[
            ("WAYPOST_ADMIN_TOKEN", "the-token-of-a-shell"),
            ("WAYPOST_HTTP_ADDR", "127.0.0.1:1"),
            ("WAYPOST_LOG", "debug"),
        ]))
        .unwrap()
        .flag(Key::by_path("workers").unwrap(), "3")
        .unwrap()
        .finish()
        .unwrap();
    let told: Vec<(&str, String)> = loaded.overridden().map(|(path, by)| (path, by.to_string())).collect();
    assert_eq!(
        told,
        [
            ("admin_token", "environment WAYPOST_ADMIN_TOKEN".to_owned()),
            ("workers", "flag --workers".to_owned()),
        ]
    );
}

#[test]
fn a_line_that_is_not_toml_is_not_shown() {
    let told = error("data_dir = \"x\"\n[peer]\nkey = \"a-very-secret-key\nmore\n");
    assert!(
        told.starts_with("w.toml is not valid TOML: line 4, column ") && !told.contains("secret"),
        "{told}"
    );
    let told = error("admin_token = a-very-secret-token");
    assert!(told.contains("line 1, column ") && !told.contains("secret"), "{told}");
    let told = error("[peer]\nkey = [\"a-very-secret-key\"]");
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn names_are_unambiguous() {
    let mut envs: Vec<&str> = KEYS.iter().map(|key| key.env.as_str()).collect();
    envs.sort_unstable();
    envs.dedup();
    assert_eq!(envs.len(), KEYS.len());
    assert!(Key::by_env("WAYPOST_LIMITS_EVENT_BYTES").is_some());
}

#[test]
fn later_layers_win() {
    let file = "http_addr = \"127.0.0.1:1\"\n[limits]\nmaps = 5\nbatch_events = 6\n";
    let loaded = toml(file)
        .unwrap()
        .env(env(&[("WAYPOST_LIMITS_MAPS", "7"), ("WAYPOST_JOIN", "a:1, b:2"), ("PATH", "/bin")]))
        .unwrap()
        .flag(Key::by_path("limits.maps").unwrap(), "8")
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(loaded.config.limits.maps, 8);
    assert_eq!(loaded.config.limits.batch_events, 6);
    assert_eq!(loaded.config.join, ["a:1", "b:2"]);
    assert_eq!(loaded.source("limits.maps"), Source::Flag("limits-maps".into()));
    assert_eq!(loaded.source("join"), Source::Env("WAYPOST_JOIN".into()));
    assert_eq!(loaded.source("limits.batch_events"), Source::File("w.toml".into()));
    assert_eq!(loaded.source("workers"), Source::Default);
}

#[test]
fn an_unknown_name_is_reported_with_the_nearest_one() {
    assert_eq!(
        error("[limits]\nevent_byte = 1"),
        "unknown setting limits.event_byte (file w.toml); did you mean limits.event_bytes?"
    );
    assert!(error("[limit]\nmaps = 1").ends_with("did you mean limits.maps?"));
    assert!(error("[zzz]").contains("unknown setting zzz"));
    let unknown = Loader::default().env(env(&[("WAYPOST_HTTP_ADR", "x")])).err().unwrap().to_string();
    assert_eq!(
        unknown,
        "unknown setting WAYPOST_HTTP_ADR (environment WAYPOST_HTTP_ADR); did you mean WAYPOST_HTTP_ADDR?"
    );
}

#[test]
fn a_wrong_value_is_reported_with_key_bounds_and_origin() {
    assert_eq!(
        error("[limits]\njson_depth = 5000"),
        "limits.json_depth = 5000 (file w.toml): must be a whole number from 1 to 127; it is set by \
         --limits-json-depth, WAYPOST_LIMITS_JSON_DEPTH in the environment or limits.json_depth in the configuration \
         file"
    );
    assert!(error("[limits]\nmaps = -1").starts_with("limits.maps = -1 (file w.toml): "));
    assert!(error("limits = 3").contains("limits"));
    assert!(error("role = \"boss\"").contains("expected `voter` or `learner`"));
    assert!(error("join = [\"nowhere\"]").contains("host:port"));
    assert!(error("peer_addr = \"127.0.0.1:4000\"").contains("must differ"));
    assert!(error("[raft]\nelection_min_ms = 100").contains("twice raft.heartbeat_ms"));
    assert!(
        error("[node]\nname = \"a b\"").starts_with("node.name = \"a b\" (file w.toml): must be 1 to 63")
    );
    assert!(error("[node]\nname = \"3\"").contains("a number is a node's id"));
    assert!(error("[webhooks]\nallow_nets = [\"10.0.0.0/99\"]").contains("webhooks.allow_nets"));
    assert!(error("log = \"a=b=c\"").starts_with("log = "));
    assert!(error("a = ").contains("not valid TOML"));
    let text = Loader::default().env(env(&[("WAYPOST_WORKERS", "many")])).err().unwrap().to_string();
    assert!(text.starts_with("workers = \"many\" (environment WAYPOST_WORKERS): "), "{text}");
}

#[test]
fn secrets_are_never_shown() {
    let refused = error("admin_token = \"sh ort\"");
    assert!(refused.starts_with("admin_token = ******** ") && !refused.contains("short"), "{refused}");
    let loaded = toml("admin_token = \"a-very-secret-token\"").unwrap().finish().unwrap();
    assert_eq!(loaded.config.admin_token.as_ref().unwrap().expose(), "a-very-secret-token");
    // As a file may have it.
    let broken = toml("admin_token = \"a-very-secret-token\\r\\n\"").unwrap().finish().unwrap();
    assert_eq!(broken.config.admin_token, loaded.config.admin_token);
    assert!(!format!("{:?}", loaded.config).contains("secret-token"));
    assert!(!serde_json::to_string(&loaded.config).unwrap().contains("secret-token"));
}

#[test]
fn variables_of_the_command_line_and_service_links_are_not_settings() {
    let vars = [
        ("WAYPOST_URL", "http://x"),
        ("WAYPOST_TOKEN", "t"),
        ("WAYPOST_CONFIG", "f"),
        ("WAYPOST_SERVICE_HOST", "10.0.0.1"),
        ("WAYPOST_PORT_4000_TCP_ADDR", "10.0.0.1"),
        ("WAYPOST_PORT", "tcp://10.0.0.1:4000"),
        ("WAYPOST_DATA_DIR", ""),
    ];
    let loaded = Loader::default().env(env(&vars)).unwrap().finish().unwrap();
    assert_eq!(loaded.config, Config::default());
}

const WEBHOOK: &str = "[[webhooks.webhook]]\nmap = \"a\"\nname = \"n\"\nurl = \"https://example.com/x\"\n";

#[test]
fn webhooks_are_read_from_the_file() {
    let text = format!(
        "[webhooks]\ntimeout_ms = 900\n{WEBHOOK}secret = \"12345678\"\nevent_types = [\"x\"]\nenabled = false\nretry = {{jitter = 0.5}}\n"
    );
    let loaded = toml(&text).unwrap().finish().unwrap();
    let webhooks = &loaded.config.webhooks.listed;
    assert_eq!((webhooks.len(), webhooks[0].map.as_str()), (1, "a"));
    assert_eq!((webhooks[0].patch.name(), webhooks[0].patch.active()), (Some("n"), Some(false)));
    assert_eq!(loaded.config.webhooks.timeout_ms, 900);
    assert!(!KEYS.iter().any(|key| key.path.contains("webhooks.webhook")));
}

#[test]
fn wrong_webhooks_are_reported_without_their_values() {
    let wrong = error(&format!("{WEBHOOK}secret = \"top\"\ncolour = 1\nretry = {{jitter = 7}}\n"));
    for part in ["[[webhooks.webhook]] number 1", "secret: ", "colour: ", "retry.jitter: must be from 0 to 1"]
    {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
    assert!(!wrong.contains("top") && !wrong.contains("example.com"), "{wrong}");
    assert!(error(WEBHOOK).contains("secret: is required"));
    assert!(
        error("[[webhooks.webhook]]\nsecret = \"12345678\"")
            .contains("map: is required; name: is required; url")
    );
    assert!(error("[[webhooks.webhook]]\nmap = 5").contains("map and name as strings"));
    assert!(error("[webhooks]\nwebhook = \"hidden\"").contains("must be tables"));
    let several = format!(
        "{WEBHOOK}secret = \"12345678\"\n{WEBHOOK}secret = \"x\"\n[[webhooks.webhook]]\nmap = \"b\"\n"
    );
    let several = error(&several);
    assert!(several.contains("number 2 ") && several.contains("; number 3: name: is required"), "{several}");
    let twice = format!("{WEBHOOK}secret = \"12345678\"\n").repeat(2);
    assert!(error(&twice).contains("number 2") && error(&twice).contains("another one of the map has it"));
}

const APP: &str = "[[apps]]\nmap = \"a\"\nid = \"3\"\nkey = \"k\"\nsecret = \"hidden-secret\"\n";

#[test]
fn apps_are_read_from_the_file_with_their_webhooks() {
    let text = format!(
        "{APP}client_events = true\norigins = [\"https://a.example\"]\n\
         [[apps.webhooks]]\nurl = \"https://example.com/x\"\nevent_types = [\"channel_occupied\"]\n\
         [[apps.webhooks]]\nname = \"own\"\nurl = \"https://example.com/y\"\nsecret = \"another-secret\"\n"
    );
    let loaded = toml(&text).unwrap().finish().unwrap();
    let [app] = &loaded.config.apps[..] else { panic!("{:?}", loaded.config.apps) };
    assert_eq!((app.map.as_str(), app.settings.id.as_deref()), ("a", Some("3")));
    assert_eq!((app.settings.key.as_deref(), app.settings.client_events), (Some("k"), true));
    assert_eq!(app.settings.secret.as_ref().map(|secret| secret.expose()), Some("hidden-secret"));
    assert!(!format!("{app:?}").contains("hidden"), "{app:?}");
    let webhooks: Vec<_> = loaded.config.listed_webhooks().collect();
    let defaults = loaded.config.webhooks.defaults();
    let read: Vec<_> = webhooks.iter().map(|webhook| webhook.read(&defaults).0).collect();
    assert_eq!(read.iter().map(|plain| plain.webhook.name.as_str()).collect::<Vec<_>>(), ["k-1", "own"]);
    for (plain, secret) in read.iter().zip(["hidden-secret", "another-secret"]) {
        assert_eq!(plain.webhook.profile, crate::core::webhook::Profile::Pusher);
        assert_eq!((plain.webhook.key.as_deref(), plain.private.secret.as_str()), (Some("k"), secret));
    }
    assert!(webhooks.iter().all(|webhook| webhook.map == "a"));
    assert!(!KEYS.iter().any(|key| key.path.starts_with("apps")));
}

#[test]
fn wrong_apps_are_reported_without_their_values() {
    let wrong = error(&format!("{APP}colour = 1\nmax_connections = 0\n"));
    for part in ["[[apps]] number 1", "colour: ", "max_connections: "] {
        assert!(wrong.contains(part) && !wrong.contains("hidden"), "{part}: {wrong}");
    }
    assert!(
        error("[[apps]]\nid = \"3\"").contains("map: is required; key: is required; secret: is required")
    );
    assert!(error("[[apps]]\nmap = 5").contains("must be tables"));
    assert!(error("apps = \"hidden\"").contains("must be tables"));
    assert!(
        error(&APP.repeat(2)).contains("number 2 ")
            && error(&APP.repeat(2)).contains("key: another app has it")
    );
    let elsewhere = format!("{APP}{}", APP.replace("\"a\"", "\"b\"").replace("\"k\"", "\"l\""));
    assert!(error(&elsewhere).contains("id: an app of another map has it"), "{}", error(&elsewhere));
    let webhook = error(&format!("{APP}[[apps.webhooks]]\ncolour = 1\n"));
    assert!(webhook.contains("webhooks.0.colour: ") && webhook.contains("webhooks.0.url"), "{webhook}");
    let named = "name = \"n\"\nurl = \"https://example.com/y\"\n";
    let taken = error(&format!("{WEBHOOK}secret = \"12345678\"\n{APP}[[apps.webhooks]]\n{named}"));
    assert!(taken.contains("webhooks.0.name: another webhook of the map has it"), "{taken}");
}

#[test]
fn an_encryption_key_has_32_bytes() {
    let key = |text: &str| toml(&format!("[webhooks]\nsecret_key = \"{text}\""));
    let hex = key(&"0f".repeat(32)).unwrap().finish().unwrap();
    assert_eq!(hex.config.webhooks.encryption_key(), Some([15; 32]));
    let base64 = key("Dw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8PDw8=").unwrap().finish().unwrap();
    assert_eq!(base64.config.webhooks.encryption_key(), Some([15; 32]));
    for wrong in ["", "0f0f", "kein", &"0g".repeat(32)] {
        let wrong = key(wrong).unwrap().finish().err().unwrap().to_string();
        assert!(wrong.starts_with("webhooks.secret_key = ******** "), "{wrong}");
    }
}

#[test]
fn something_must_say_which_nodes_may_join_beyond_loopback() {
    let ok = |text: &str| toml(text).and_then(Loader::finish).map(drop).map_err(|error| error.to_string());
    let open = "peer_addr = \"10.0.0.1:4001\"\n";
    assert!(
        error(open).starts_with("peer_addr = ") && error(open).contains("peer.tls_ca"),
        "{}",
        error(open)
    );
    assert!(error("peer_addr = \"[::]:4001\"").contains("peer.key"));
    for near in ["127.9.9.9:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
        ok(&format!("peer_addr = \"{near}\"")).unwrap();
    }
    ok(&format!("{open}[peer]\nkey = \"0123456789abcdef\"")).unwrap();
    ok(&format!("{open}[peer]\ntls_ca = \"a\"\ntls_cert = \"b\"\ntls_key = \"c\"")).unwrap();
    let short = error("[peer]\nkey = \"0123456789abcde\"");
    assert!(short.starts_with("peer.key = ******** ") && short.contains("at least 16"), "{short}");
    assert!(error("[peer]\ntls_ca = \"a\"\ntls_key = \"c\"").starts_with("peer.tls_cert = "));
    let both = "[peer]\nkey = \"0123456789abcdef\"\ntls_ca = \"a\"\ntls_cert = \"b\"\ntls_key = \"c\"";
    ok(both).unwrap();
    ok("[peer]\nkey = \"0123456789abcdef\"\nprevious_key = \"fedcba9876543210\"").unwrap();
    let alone = error("[peer]\nprevious_key = \"fedcba9876543210\"");
    assert!(alone.starts_with("peer.previous_key = ******** ") && alone.contains("peer.key"), "{alone}");
    let short = error("[peer]\nkey = \"0123456789abcdef\"\nprevious_key = \"0123456789abcde\"");
    assert!(short.starts_with("peer.previous_key = ******** ") && short.contains("at least 16"), "{short}");
    assert!(error("[http]\ntls_key = \"c\"").contains("together with http.tls_key"));
}

#[test]
fn the_address_of_aws_must_be_safe() {
    let with = |webhook: &str| {
        format!("[webhooks]\nallow_nets = [\"10.1.0.0/16\"]\n[webhooks.aws]\nendpoint = \"{webhook}\"")
    };
    for good in [
        "https://vpce-1.lambda.us-east-1.vpce.amazonaws.com",
        "https://a.example/base",
        "http://10.1.2.3:4566",
    ] {
        assert!(toml(&with(good)).unwrap().finish().is_ok(), "{good}");
    }
    for bad in [
        "http://a.example",
        "http://10.2.0.1",
        "http://localhost:1",
        "ftp://10.1.2.3",
        "https://a/?x",
        "https://u:p@a/",
        "a",
    ] {
        assert!(error(&with(bad)).contains("webhooks.aws.endpoint"), "{bad}");
    }
}

#[test]
fn the_list_of_functions_is_not_a_credential() {
    let aws = env(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")]);
    let listed = toml("[webhooks.aws]\nfunctions = [\"kills\"]").unwrap().env(aws).unwrap().finish().unwrap();
    assert_eq!(listed.config.webhooks.aws.access_key_id.as_deref(), Some("id"));
    assert_eq!(listed.config.webhooks.aws.functions, ["kills"]);
}

#[test]
fn credentials_fall_back_on_the_variables_of_aws() {
    let aws = env(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")]);
    let loaded = Loader::default().env(aws.clone()).unwrap().finish().unwrap();
    assert_eq!(loaded.config.webhooks.aws.access_key_id.as_deref(), Some("id"));
    assert_eq!(loaded.source("webhooks.aws.access_key_id"), Source::Env("AWS_ACCESS_KEY_ID".into()));
    assert_eq!(loaded.config.webhooks.credentials(), Some(("id".to_owned(), "key".to_owned(), None)));
    let own = "[webhooks.aws]\naccess_key_id = \"own\"\nsecret_access_key = \"own\"";
    let loaded = toml(own).unwrap().env(aws).unwrap().finish().unwrap();
    assert_eq!(loaded.config.webhooks.aws.access_key_id.as_deref(), Some("own"));
    assert!(error("[webhooks.aws]\naccess_key_id = \"own\"").contains("set together"));
}
