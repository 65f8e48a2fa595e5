//! `waypost webhook …` against three nodes and a receiver in this process.

use super::*;
use testkit::receiver::{Receiver, behaviour};

/// The path of the receiver.
const PATH: &str = "/hook";

#[test]
fn wrong_usage_of_webhooks_ends_with_2() {
    for usage in [
        &["webhook", "create", "demo"][..],
        &["webhook", "create", "demo", "--to", "http://a", "--profile", "carrier-pigeon"],
        &["webhook", "create", "demo", "--to", "http://a", "--rate", "often"],
        &["webhook", "update", "demo", "x"],
        &["webhook", "delete", "demo", "x"],
        &["webhook", "dead-letters", "purge", "demo", "x"],
        &["webhook", "replay", "demo", "x"],
        &["webhook", "replay", "demo", "x", "--since", "y", "--after", "z"],
        &["webhook", "replay", "demo", "x", "--events", "y", "--wait"],
        &["webhook", "dead-letters", "retry", "demo", "x", "y", "--wait"],
        &["webhook", "test", "demo", "x", "--payload", "{"],
    ] {
        let output = run(usage);
        assert_eq!(output.status.code(), Some(2), "{usage:?}: {}", err(&output));
    }
}

/// Runs commands for the map `demo` of a `waypost dev`.
struct Cli {
    dev: Dev,
    token: String,
}

impl Cli {
    fn start() -> Self {
        let (dev, printed) = Dev::start(free_ports(), tempfile::tempdir().unwrap());
        let line = printed.lines().find(|line| line.contains("its token")).unwrap();
        let token = line.split_whitespace().last().unwrap().to_owned();
        assert!(printed.contains("loopback is open to webhooks"), "{printed}");
        // Tests look often; the demo map has the limits of any other map.
        let line = printed.lines().find(|line| line.contains("admin token")).unwrap();
        let unlimited = waypost(&["map", "update", "demo", "--requests-per-minute", "none"])
            .env("WAYPOST_URL", dev.url(0))
            .env("WAYPOST_TOKEN", line.split_whitespace().last().unwrap())
            .output()
            .unwrap();
        assert!(unlimited.status.success(), "{}", err(&unlimited));
        Self { dev, token }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = waypost(args);
        let urls = [0, 1, 2].map(|node| self.dev.url(node)).join(",");
        command.env("WAYPOST_URL", urls).env("WAYPOST_TOKEN", &self.token);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command and returns the JSON lines that it prints.
    fn lines(&self, args: &[&str]) -> Vec<Value> {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", err(&output));
        out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn one(&self, args: &[&str]) -> Value {
        let mut lines = self.lines(args);
        assert_eq!(lines.len(), 1, "{args:?}: {lines:?}");
        lines.remove(0)
    }

    fn refused(&self, args: &[&str], words: &str) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(err(&output).contains(words), "{args:?}: {}", err(&output));
    }

    fn publish(&self, kind: &str) -> String {
        self.one(&["publish", "demo", kind, "{\"n\":1}"])["id"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_webhook_can_be_managed_from_creation_to_deletion() {
    let cli = Cli::start();
    let receiver = Receiver::start().unwrap();
    let url = receiver.on(PATH, behaviour::status(200));
    let create = ["webhook", "create", "demo", "--to", &url, "--name", "mine", "--profile", "standard"];
    let made =
        cli.one(&[&create[..], &["--events", "add_*,n", "--attempts", "1", "--header", "X-A: b"]].concat());
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"), "{made}");
    assert_eq!(
        (&made["events"], &made["retry"]["max_attempts"]),
        (&serde_json::json!(["add_*", "n"]), &1.into())
    );
    let listed = cli.one(&["webhook", "list", "demo"]);
    assert_eq!((&listed["id"], listed.get("secret")), (&made["id"], None));
    cli.refused(&create, "[409 url_taken]");
    cli.refused(&create, "hint: one receiver would get every event twice");
    let inside = ["webhook", "create", "demo", "--to", "http://169.254.169.254/"];
    cli.refused(&inside, "hint: webhooks.allow_nets");
    cli.refused(&inside, "WAYPOST_WEBHOOKS_ALLOW_NETS=169.254.0.0/16");
    cli.refused(&inside, "[400 validation_failed]");
    cli.refused(&["webhook", "show", "demo", "nobody"], "has no webhook nobody");
    // Names are not unique: an ambiguous name is refused with the list of candidates.
    let other = format!("{url}?other");
    let other = ["webhook", "create", "demo", "--to", &other, "--name", "mine", "--disabled"];
    let other = cli.one(&other)["id"].as_str().unwrap().to_owned();
    cli.refused(&["webhook", "show", "demo", "mine"], "may be any of 2; say which by its id");
    cli.refused(&["webhook", "show", "demo", "mine"], "hook?other");
    cli.refused(
        &["webhook", "enable", "demo", &other, "--since", "9999-01-01T00:00:00Z"],
        "lies in the future",
    );
    assert!(cli.run(&["webhook", "delete", "demo", &other[..13], "--yes"]).status.success());

    // A delivered event is shown as it happens; a failed event stays with the dead letters until it is
    // retried.
    let seen = cli.dev.data.path().join("seen");
    let notes = cli.dev.data.path().join("tail-notes");
    let mut tail = cli.command(&["webhook", "tail", "demo", "-n", "2"]);
    tail.stdout(fs::File::create(&seen).unwrap()).stderr(fs::File::create(&notes).unwrap());
    let mut tail = tail.spawn().unwrap();
    wait_until("the tail follows", || fs::read_to_string(&notes).unwrap().contains("following 1 webhook"));
    let first = cli.publish("add_system");
    wait_until("the first event is delivered", || receiver.count(PATH) > 0);
    let request = receiver.requests(PATH).remove(0);
    assert!(request.id() == first && request.header("x-a") == Some("b"), "{request:?}");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!((&body["id"], &body["type"]), (&first.as_str().into(), &"add_system".into()));
    cli.publish("unwanted");
    receiver.on(PATH, behaviour::status(500));
    let second = cli.publish("add_system");
    let dead = || cli.lines(&["webhook", "dead-letters", "list", "demo", "mine"]);
    wait_until("the event is a dead letter", || {
        dead().iter().any(|dead_letter| dead_letter["id"] == second.as_str())
    });
    wait_until("the tail ends", || tail.try_wait().unwrap().is_some());
    let seen = fs::read_to_string(&seen).unwrap();
    let seen: Vec<Value> = seen.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let classes: Vec<&Value> = seen.iter().map(|attempt| &attempt["class"]).collect();
    assert_eq!(classes, ["delivered", "status"]);
    assert!(seen.iter().all(|attempt| attempt["webhook_id"] == made["id"]), "{seen:?}");
    cli.refused(&["webhook", "dead-letters", "retry", "demo", "mine", "--wait"], "1 event failed again");

    cli.refused(&["webhook", "test", "demo", "mine"], "the test was not delivered (status 500)");
    receiver.on(PATH, behaviour::status(204));
    assert_eq!(cli.one(&["webhook", "dead-letters", "retry", "demo", "mine", "--wait"])["delivered"], 1);
    assert!(dead().is_empty());
    assert_eq!(cli.one(&["webhook", "test", "demo", "mine", "--type", "add_x"])["status"], 204);

    // Replay everything.
    let before = receiver.count(PATH);
    let replay = cli.one(&["webhook", "replay", "demo", "mine", "--since", "2020-01-01T00:00:00Z", "--wait"]);
    assert_eq!((&replay["state"], &replay["delivered"]), (&"done".into(), &2.into()));
    assert!(receiver.count(PATH) >= before + 2, "at least once");
    assert_eq!(cli.lines(&["webhook", "replays", "demo", "mine"]).len(), 3);
    let attempts = cli.lines(&["webhook", "attempts", "demo", "mine"]);
    assert!(
        attempts.len() > 5 && attempts.iter().any(|attempt| attempt["type"] == "webhook.test"),
        "{attempts:?}"
    );

    // The webhook is changed, disabled, and enabled from after the events that came meanwhile.
    let rotated = cli.one(&["webhook", "rotate", "demo", "mine"]);
    assert!(rotated["secret"] != made["secret"] && rotated["secret_previous_until"].is_string(), "{rotated}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "a-secret-that-nobody-guesses").unwrap();
    let given = ["webhook", "rotate", "demo", "mine", "--secret-file", file.path().to_str().unwrap()];
    let given = cli.one(&given);
    assert!(given.get("secret").is_none() && given["secret_previous_until"].is_string(), "{given}");
    let changed =
        cli.one(&["webhook", "update", "demo", "mine", "--rate", "5/2s", "--filter", "payload.n > 0"]);
    assert_eq!(
        cli.one(&["webhook", "update", "demo", "mine", "--auto-disable", "never"])["auto_disable_seconds"],
        Value::Null
    );
    assert_eq!(changed["rate_limit"], serde_json::json!({"requests": 5, "period_ms": 2000}));
    assert_eq!(cli.one(&["webhook", "disable", "demo", "mine"])["state"], "paused");
    cli.refused(
        &["webhook", "replay", "demo", "mine", "--failed", "--wait"],
        "`waypost webhook enable demo mine`",
    );
    cli.publish("n");
    cli.one(&["webhook", "enable", "demo", "mine", "--from", "skip"]);
    let show = || cli.one(&["webhook", "show", "demo", made["id"].as_str().unwrap()]);
    wait_until("its queue is empty", || show()["queue_depth"] == 0);
    let bodies = receiver
        .requests(PATH)
        .into_iter()
        .map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    assert!(bodies.into_iter().all(|body| body["type"] != "n"));
    assert!(cli.run(&["webhook", "delete", "demo", "mine", "--yes"]).status.success());
    assert!(cli.lines(&["webhook", "list", "demo"]).is_empty());
}
