//! The command line as people use it: the built program, with real nodes started by `waypost dev`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::node::printing_json;

#[path = "cli/forms.rs"]
mod forms;
#[path = "cli/pusher.rs"]
mod pusher;
#[path = "cli/webhook.rs"]
mod webhook;

/// The longest time to wait for anything; only a hang takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Builds a command without the settings of this environment, away from any waypost.toml. It prints JSON.
fn waypost(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waypost"));
    printing_json(&mut command).args(args).current_dir(env!("CARGO_TARGET_TMPDIR")).stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    waypost(args).output().unwrap()
}

fn run_with_input(mut command: Command, input: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !ready() {
        assert!(Instant::now() < deadline, "timed out waiting for: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Returns the first of six free ports in a row, below those that the kernel gives to outgoing connections:
/// no other process takes them by chance while nodes restart.
fn free_ports() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let turn = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let base = 10_000 + u16::try_from(turn % 3000).unwrap() * 6;
        if (base..base + 6).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return base;
        }
    }
}

#[test]
fn the_default_configuration_is_the_file_in_the_repository() {
    let file =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("waypost.default.toml")).unwrap();
    let output = run(&["config", "default"]);
    assert!(output.status.success());
    assert_eq!(out(&output), file);
}

#[test]
fn config_check_shows_sources_masks_secrets_and_is_a_valid_file() {
    let mut command = waypost(&["config", "check", "--limits-maps", "7"]);
    let output = command
        .env("WAYPOST_ADMIN_TOKEN", "only-i-know-this-token")
        .env("WAYPOST_JOIN", "a:1,b:2")
        .output()
        .unwrap();
    let text = out(&output);
    assert!(output.status.success(), "{}", err(&output));
    assert!(text.contains("maps = 7  # flag --limits-maps"), "{text}");
    assert!(text.contains("join = [\"a:1\",\"b:2\"]  # environment WAYPOST_JOIN"), "{text}");
    assert!(text.contains("admin_token = \"********\"") && !text.contains("only-i-know"), "{text}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("again.toml");
    fs::write(&file, text.replace("********", "sixteen-characters")).unwrap();
    let again = run(&["config", "check", "--config", file.to_str().unwrap()]);
    assert!(again.status.success(), "{}", err(&again));

    let webhook = "[[webhooks.webhook]]\nmap = \"demo\"\nname = \"kills\"\nurl = \"https://example.com/hidden\"\nsecret = \"hidden-too\"\n";
    fs::write(&file, webhook).unwrap();
    let with_webhook = out(&run(&["config", "check", "--config", file.to_str().unwrap()]));
    assert!(with_webhook.contains("# - \"kills\" of map \"demo\", profile wanderer"), "{with_webhook}");
    assert!(!with_webhook.contains("hidden"), "{with_webhook}");
}

/// `config check` reports each webhook of the file that can't work, with all its errors and without its
/// secrets.
#[test]
fn config_check_names_webhooks_that_cannot_work() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("webhooks.toml");
    let webhook = |name: &str, url: &str, more: &str| {
        format!(
            "[[webhooks.webhook]]\nmap = \"demo\"\nname = \"{name}\"\nurl = \"{url}\"\nsecret = \"hidden-too\"\n{more}\n"
        )
    };
    let inside = webhook("inside", "http://10.0.0.1/x", "filter = {expression = \"foo >\"}");
    let template =
        webhook("template", "https://example.com/x", "profile = \"template\"\ntemplate = \"{% if %}\"");
    let good = webhook("good", "https://example.com/y", "");
    fs::write(&file, inside + &good + &template).unwrap();
    let output = run(&["config", "check", "--config", file.to_str().unwrap()]);
    let errors = err(&output);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    for part in [
        "\"inside\" of map \"demo\"",
        "url: 10.0.0.1 is not",
        "filter.expression: ",
        "\"template\"",
        "template: ",
    ] {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    assert!(!errors.contains("good") && !errors.contains("hidden"), "{errors}");
    let allowed =
        run(&["config", "check", "--config", file.to_str().unwrap(), "--webhooks-allow-nets", "10.0.0.0/8"]);
    assert!(!err(&allowed).contains("url: "), "{}", err(&allowed));
}

#[test]
fn wrong_usage_ends_with_2_and_failure_with_1() {
    let unknown = waypost(&["config", "check"]).env("WAYPOST_HTTP_ADR", "x").output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(err(&unknown).contains("did you mean WAYPOST_HTTP_ADDR?"), "{}", err(&unknown));
    for usage in [
        &["serve", "--no-such-flag"][..],
        &["map", "list", "--url", "ftp://x"],
        &["map", "delete", "demo"],
        &["token", "revoke", "demo", "x"],
        &["consumer", "delete", "demo", "x"],
        &["ingest", "delete", "demo", "x"],
        &["cluster", "remove", "3"],
        &["restore", "--from", "x", "--data-dir", "y"],
        &["map", "update", "demo"],
        &["publish", "demo", "a", "{"],
        &["serve", "--workers", "many"],
    ] {
        let output = run(usage);
        assert_eq!(output.status.code(), Some(2), "{usage:?}: {}", err(&output));
    }
    let asked = err(&run(&["map", "delete", "demo"]));
    assert!(asked.contains("the map demo") && asked.contains("add --yes"), "{asked}");
    let unused = format!("http://127.0.0.1:{}", free_ports());
    for failure in [&["map", "list"][..], &["tail", "demo"], &["publish", "demo", "a", "1"]] {
        let output = run(&[failure, &["--url", &unused]].concat());
        assert_eq!(output.status.code(), Some(1), "{failure:?}");
        assert!(err(&output).contains("is waypost running there?"), "{}", err(&output));
    }
}

#[test]
fn version_and_completions_are_printed() {
    let version = out(&run(&["--version"]));
    assert!(version.starts_with("waypost 0.") && version.contains('('), "{version}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(out(&run(&["completions", shell])).contains("waypost"), "{shell}");
    }
}

#[test]
fn dev_names_a_taken_port_and_starts_nothing() {
    let base = free_ports();
    let taken = TcpListener::bind(("127.0.0.1", base + 2)).unwrap();
    let output = run(&["dev", "--base-port", &base.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let text = err(&output);
    assert!(text.contains(&format!("port {} is taken (node 2, HTTP)", base + 2)), "{text}");
    assert!(text.contains("--base-port") && out(&output).is_empty(), "{text}");
    drop(taken);
}

/// Reads a request: its head and its body.
fn take_request(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "no request: {head}");
    }
    let head = head.to_lowercase();
    let length =
        head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn a_repeated_publish_is_the_same_request_at_the_next_node() {
    let nodes = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
    let urls: Vec<String> =
        nodes.iter().map(|node| format!("http://{}", node.local_addr().unwrap())).collect();
    let [busy, lost] = nodes;
    let server = thread::spawn(move || {
        let mut requests = Vec::new();
        // Like a node that is killed: the kernel resets the connection because of the unread bytes.
        let (stream, _) = lost.accept().unwrap();
        stream.peek(&mut [0]).unwrap();
        drop(stream);
        // 503, then a connection that breaks after the request was read, then success.
        let answers: [(&TcpListener, &str); 3] = [
            (&busy, "HTTP/1.1 503 x\r\nretry-after: 0\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
            (&lost, ""),
            (
                &busy,
                "HTTP/1.1 201 x\r\nconnection: close\r\ncontent-length: 23\r\n\r\n{\"data\":{\"count\":   1}}",
            ),
        ];
        for (node, answer) in answers {
            let (mut stream, _) = node.accept().unwrap();
            requests.push(take_request(&stream));
            stream.write_all(answer.as_bytes()).unwrap();
        }
        requests
    });
    let urls = [&urls[1], &urls[0]].map(String::as_str).join(",");
    let command = waypost(&["publish", "demo", "--url", &urls, "--token", "t", "--wait", "60"]);
    // One line only: a second line may come too late for the same request.
    let output = run_with_input(command, "{\"type\":\"a\",\"payload\":1}");
    assert!(output.status.success(), "{}", err(&output));
    let requests = server.join().unwrap();
    let key =
        |head: &str| head.split("idempotency-key: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    assert!(requests.iter().all(|(head, _)| key(head) == key(&requests[0].0)));
    assert!(requests.iter().all(|(_, body)| *body == requests[0].1));
    assert_eq!(requests[0].1.iter().filter(|byte| **byte == b'\n').count(), 1);
}

/// Runs the program on a terminal of its own and returns what the terminal got.
fn on_terminal(arguments: &str) -> String {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_waypost"));
    let mut script = Command::new("script");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("WAYPOST_")) {
        script.env_remove(name);
    }
    let output = script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output().unwrap();
    out(&output)
}

/// Whatever a server or an event says, a terminal only shows it.
#[test]
fn a_terminal_gets_no_control_characters_of_others() {
    let node = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", node.local_addr().unwrap());
    let evil = "\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}5n\u{202e}\u{2066}\u{2028}\u{8}";
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let map = format!("{{\"data\":{{\"id\":\"1\",\"slug\":{0},\"name\":{0}}}}}", json(evil));
    let refusal = format!("{{\"error\":\"x\",\"code\":\"X\",\"message\":{0},\"hint\":{0}}}", json(evil));
    let event = format!(
        "id: 1\ndata: {{\"seq\":1,\"ts\":\"2026-01-31T12:00:00.123Z\",\"subject\":{0},\"type\":{0},\"payload\":{0}}}\n\n",
        json(evil)
    );
    let answers = [("200", map.clone()), ("200", map), ("403", refusal), ("200", event)];
    let server = thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = node.accept().unwrap();
            take_request(&stream);
            let head =
                format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    for arguments in ["map show demo", "map show demo --json", "map show demo", "tail demo -n 1"] {
        let got = on_terminal(&format!("{arguments} --url {url} --token t"));
        assert!(got.contains("2J") && got.contains("5n"), "{arguments}: the text itself is shown: {got:?}");
        for never in ["\u{1b}[2J", "\u{1b}]", "\u{7}", "\u{9b}", "\u{202e}", "\u{2066}", "\u{2028}", "\u{8}"]
        {
            assert!(!got.contains(never), "{arguments}: {never:?} in {got:?}");
        }
    }
    server.join().unwrap();
}

/// A running `waypost dev`, killed at the end of the test.
struct Dev {
    child: Child,
    base: u16,
    data: tempfile::TempDir,
}

impl Dev {
    fn start(base: u16, data: tempfile::TempDir) -> (Self, String) {
        let printed = data.path().join("printed");
        let mut child = waypost(&["dev", "--base-port", &base.to_string(), "--data-dir"])
            .arg(data.path())
            .stdout(fs::File::create(&printed).unwrap())
            .stderr(fs::File::create(data.path().join("notes")).unwrap())
            .spawn()
            .unwrap();
        let read = || fs::read_to_string(&printed).unwrap();
        let notes = || fs::read_to_string(data.path().join("notes")).unwrap();
        wait_until("three nodes are ready", || {
            assert!(child.try_wait().unwrap().is_none(), "dev ended: {}", notes());
            read().contains("cluster status")
        });
        let text = read();
        (Self { child, base, data }, text)
    }

    fn url(&self, node: u16) -> String {
        format!("http://127.0.0.1:{}", self.base + 2 * node)
    }

    fn notes(&self) -> String {
        fs::read_to_string(self.data.path().join("notes")).unwrap()
    }

    fn signal(&self, name: &str) {
        kill(name, &self.child.id().to_string());
    }

    fn wait_ports_free(&self) {
        wait_until("all six ports are free again", || {
            (self.base..self.base + 6).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        });
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(signal: &str, pid: &str) {
    assert!(Command::new("sh").args(["-c", "kill -$0 $1", signal, pid]).status().unwrap().success());
}

/// Returns the process whose command line has `serve` and these words.
fn process_of(words: &str) -> Option<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut pids = processes.filter_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        (line.contains("serve") && line.contains(words)).then(|| entry.file_name().into_string().unwrap())
    });
    pids.next()
}

#[test]
fn the_command_line_does_everything_against_a_running_cluster() {
    let (mut dev, printed) = Dev::start(free_ports(), tempfile::tempdir().unwrap());
    let word_after = |label: &str| {
        let line = printed.lines().find(|line| line.contains(label)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    let token = word_after("its token");
    let admin = word_after("admin token");
    // One line has all that the commands and the examples of the documentation need.
    let export = printed.lines().find(|line| line.starts_with("export WAYPOST_URL=")).unwrap();
    let of_first = format!("WAYPOST_URL={} WAYPOST_MAP=demo", dev.url(0));
    assert_eq!(export, format!("export {of_first} WAYPOST_TOKEN={token} WAYPOST_ADMIN_TOKEN={admin}"));
    let urls = [dev.url(2), dev.url(1), dev.url(0)].join(",");
    let with = |token: &str, args: &[&str]| {
        let mut command = waypost(args);
        command.env("WAYPOST_URL", &urls).env("WAYPOST_TOKEN", token);
        command
    };
    let lines = |output: &Output| -> Vec<Value> {
        assert!(output.status.success(), "{}", err(output));
        out(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };

    // A node's id is the number in its name.
    let status = with(&admin, &["cluster", "status"]).output().unwrap();
    let members = lines(&status)[0]["members"].clone();
    let agrees = |member: &Value| member["name"] == format!("node-{}", member["id"]);
    assert!(members.as_array().is_some_and(|all| all.len() == 3 && all.iter().all(agrees)), "{members}");

    // Maps and tokens.
    let made = with(&admin, &["map", "create", "--slug", "mine", "--connections", "none"]).output().unwrap();
    let made = &lines(&made)[0];
    assert_eq!((&made["slug"], &made["limits"]["connections"]), (&"mine".into(), &Value::Null));
    // The cluster makes its system map when it has something to tell, perhaps meanwhile.
    let maps = |output: &Output| lines(output).iter().filter(|map| map["slug"] != "waypost-system").count();
    assert_eq!(maps(&with(&admin, &["map", "list"]).output().unwrap()), 2);
    // A command of the admin takes the admin's token, whatever other token there is.
    let both = with(&token, &["map", "list"]).env("WAYPOST_ADMIN_TOKEN", &admin).output().unwrap();
    assert_eq!(maps(&both), 2);
    let hidden = with(&token, &["map", "list"]).env("WAYPOST_ADMIN_TOKEN", "").output().unwrap();
    assert!(err(&hidden).contains("hint: WAYPOST_TOKEN is a map's token"), "{}", err(&hidden));
    let other =
        with(&token, &["publish", "mine", "a", "1"]).env("WAYPOST_ADMIN_TOKEN", &admin).output().unwrap();
    assert!(err(&other).contains("WAYPOST_TOKEN was used"), "{}", err(&other));
    let changed = with(&admin, &["map", "update", "mine", "--webhooks", "9"]).output().unwrap();
    assert_eq!(lines(&changed)[0]["limits"]["webhooks"], 9);
    let reader = with(&admin, &["token", "create", "mine", "--scopes", "subscribe"]).output().unwrap();
    let reader = lines(&reader)[0].clone();
    let listed = lines(&with(&admin, &["token", "list", "mine"]).output().unwrap());
    let listed = listed.iter().find(|token| token["id"] == reader["id"]).unwrap();
    assert!(listed["fingerprint"].as_str().is_some_and(|text| text.len() == 8), "{listed}");
    assert_eq!(listed["fingerprint"], reader["fingerprint"]);
    let refused = with(reader["token"].as_str().unwrap(), &["publish", "mine", "a", "1"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("[403 forbidden]"), "{}", err(&refused));
    let revoke = ["token", "revoke", "mine", reader["id"].as_str().unwrap(), "--yes"];
    assert!(with(&admin, &revoke).output().unwrap().status.success());
    assert!(with(&admin, &["map", "delete", "mine", "--yes"]).output().unwrap().status.success());

    // Publish while `tail` follows, and kill the node that it follows.
    let seen = dev.data.path().join("seen");
    let mut tail = with(&token, &["tail", "demo", "--count", "1502", "--since", "2020-01-01T00:00:00Z"])
        .stdout(fs::File::create(&seen).unwrap())
        .spawn()
        .unwrap();
    let one = lines(&with(&token, &["publish", "demo", "first", "{\"b\":1,\"a\":2}"]).output().unwrap());
    assert_eq!(one[0]["seq"], 1);
    wait_until("the first event is seen", || fs::read_to_string(&seen).unwrap().contains("\"first\""));
    let third_words = format!("--http-addr 127.0.0.1:{}", dev.base + 4);
    let third = process_of(&third_words).expect("node 3 runs");
    kill("KILL", &third);
    let many: String = (0..1500).map(|i| format!("{{\"type\":\"n\",\"payload\":{i}}}\n")).collect();
    let summary = lines(&run_with_input(with(&token, &["publish", "demo"]), &many));
    assert_eq!((&summary[0]["count"], &summary[0]["last_seq"]), (&1500.into(), &1501.into()));
    assert!(with(&token, &["publish", "demo", "last", "null"]).output().unwrap().status.success());
    wait_until("tail ends by itself", || tail.try_wait().unwrap().is_some());
    let seqs: Vec<Value> = fs::read_to_string(&seen)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].take())
        .collect();
    assert_eq!(seqs, (1..=1502).map(Value::from).collect::<Vec<_>>());
    wait_until("the killed node is reported", || {
        dev.notes().contains(&format!("node-3 (pid {third}) ended (signal 9); starting it again"))
    });
    assert!(printed.contains(&format!("pid {third:<8} log ")), "{printed}");
    wait_until("the node runs again", || {
        let notes = dev.notes();
        let again = notes.lines().find_map(|line| line.strip_prefix("node-3 runs again (pid "));
        again.is_some_and(|pid| pid != format!("{third})"))
    });

    // A bad line is named, and nothing of its request is stored.
    let bad = "{\"type\":\"n\",\"payload\":1}\n\n{\"type\":\"not,a type\",\"payload\":1}\n";
    let refused = run_with_input(with(&token, &["publish", "demo"]), bad);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("line 3:"), "{}", err(&refused));

    // A node that keeps ending is started again all the same, after a pause, and the others go on.
    wait_until("a pause", || {
        if let Some(third) = process_of(&third_words) {
            // It may have ended meanwhile.
            let _ = Command::new("sh").args(["-c", "kill -KILL $0 2>&1", &third]).output();
        }
        dev.notes().contains("times within a minute; starting it again in 10 s")
    });

    // In the end three nodes are healthy again.
    wait_until("all nodes are back", || {
        let status = with(&admin, &["cluster", "status"]).output().unwrap();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        let up = status["members"]
            .as_array()
            .is_some_and(|m| m.len() == 3 && m.iter().all(|m| m["reachable"] == true));
        // The nodes have the names by which this command calls them, whatever their ids are.
        let all = status["members"].to_string();
        let named = ["node-1", "node-2", "node-3"].iter().all(|name| all.contains(&format!("\"{name}\"")));
        up && named && status["healthy"] == true
    });

    // SIGTERM ends all nodes; a second start with the same data finds the map and its events; kill -9 leaves
    // no node running.
    dev.signal("TERM");
    assert_eq!(dev.child.wait().unwrap().code(), Some(0), "{}", dev.notes());
    dev.wait_ports_free();
    let data = std::mem::replace(&mut dev.data, tempfile::tempdir().unwrap());
    let (mut dev, printed) = Dev::start(dev.base, data);
    assert!(printed.contains(&token) && printed.contains(&admin), "other tokens: {printed}");
    let again =
        with(&token, &["tail", "demo", "-n", "1502", "--since", "2020-01-01T00:00:00Z"]).output().unwrap();
    let again = lines(&again);
    assert_eq!(again.len(), 1502);
    // The same without waiting for more: several pages, as they are stored.
    let stored = |more: &[&str]| {
        let output = with(&token, &["tail", "demo", "--no-follow"]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", err(&output));
        lines(&output).iter().map(|event| event["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(stored(&[]), (1..=1502).collect::<Vec<_>>());
    assert_eq!(stored(&["-n", "2"]), [1, 2]);
    assert_eq!(stored(&["--after", again[0]["id"].as_str().unwrap(), "--events", "last"]), [1502]);
    assert!(stored(&["--since", "2999-01-01T00:00:00Z"]).is_empty());
    dev.signal("KILL");
    dev.child.wait().unwrap();
    dev.wait_ports_free();
}
