//! What the command line prints in each form, and how it reads its arguments, against a node that only answers.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::{err, out, run_with_input, take_request, waypost};

/// A node that gives these answers, each on a connection of its own, and remembers the requests.
struct Node {
    url: String,
    requests: JoinHandle<Vec<(String, Vec<u8>)>>,
}

impl Node {
    fn start(answers: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = thread::spawn(move || {
            let answer = |answer: Value| {
                let (mut stream, _) = listener.accept().unwrap();
                let request = take_request(&stream);
                let body = answer.to_string();
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 200 x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
                request
            };
            answers.into_iter().map(answer).collect()
        });
        Self { url, requests }
    }

    /// The command with these arguments for this node, in the usual form.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = waypost(arguments);
        command.env("WAYPOST_URL", &self.url).env("WAYPOST_TOKEN", "t").env_remove("WAYPOST_OUTPUT");
        command
    }

    fn run(&self, arguments: &[&str]) -> String {
        printed(self.command(arguments).output().unwrap())
    }
}

fn printed(output: Output) -> String {
    assert!(output.status.success(), "{}", err(&output));
    out(&output)
}

fn maps() -> Value {
    let map = json!({
        "id": "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "slug": "demo", "name": "n".repeat(300),
        "inserted_at": "2026-01-31T12:00:00.000Z", "updated_at": "2026-01-31T12:00:00.000Z",
        "retention": {"events": 12345}, "limits": {"connections": 7}, "stored": {"events": 67, "bytes": 8910},
    });
    json!({"data": [map], "has_more": false, "cursor": null})
}

#[test]
fn a_list_is_a_table_without_a_terminal_too() {
    let node = Node::start(vec![maps(); 5]);
    let table = node.run(&["map", "list"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with("SLUG  ID"), "{table}");
    assert!(lines[1].starts_with("demo  0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b  nnn"), "{table}");
    assert!(table.contains(&"n".repeat(300)), "nothing is cut: {table}");
    assert!(!table.contains('\u{1b}') && !table.contains("12345"), "{table}");
    let wide = node.run(&["map", "list", "-o", "wide"]);
    assert!(wide.contains("KEEPS EVENTS") && wide.contains("12345"), "{wide}");
    assert!(wide.contains("EVENTS  BYTES") && wide.contains("67      8910"), "what is stored: {wide}");
    let json = node.run(&["-o", "json", "map", "list"]);
    let map: Value = serde_json::from_str(json.trim_end()).unwrap();
    assert_eq!(map["retention"]["events"], 12345);
    assert_eq!(node.run(&["map", "list", "--json"]), json, "the old name");
    let mut command = node.command(&["map", "list"]);
    assert_eq!(printed(command.env("WAYPOST_OUTPUT", "json").output().unwrap()), json);
    node.requests.join().unwrap();
}

#[test]
fn the_connection_that_is_furthest_behind_stands_first() {
    let of = |id: &str, events: u64, bytes: u64| json!({"id": id, "lag_events": events, "lag_bytes": bytes});
    let connections = [of("c1", 0, 5), of("c2", 40, 1), of("c3", 2, 900), of("c4", 40, 8)];
    let node = Node::start(vec![json!({"data": connections, "next": null, "unreachable": []})]);
    let table = node.run(&["connection", "list", "demo"]);
    let ids: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids, ["c4", "c2", "c3", "c1"], "{table}");
    node.requests.join().unwrap();
}

#[test]
fn a_duration_chooses_the_start_of_a_stream() {
    let node = Node::start(vec![Value::Null]);
    // The stream ends at once, and the command tries to go on until it is killed.
    let mut command = node.command(&["tail", "demo", "--since", "1h"]);
    let mut tail = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let requests = node.requests.join().unwrap();
    tail.kill().unwrap();
    tail.wait().unwrap();
    let head = &requests[0].0;
    let since = head.split("/stream?since=").nth(1).unwrap_or_else(|| panic!("{head}"));
    let year: u32 = since[..4].parse().unwrap();
    assert!(year >= 2020 && since[4..].starts_with('-') && since.contains("z http/1.1"), "{head}");
}

#[test]
fn a_payload_comes_from_standard_input() {
    let node = Node::start(vec![json!({"data": {"id": "x", "seq": 7}})]);
    let output = run_with_input(node.command(&["publish", "demo", "note", "-"]), "{\"b\": 1.50}\n");
    assert_eq!(printed(output), "stored as x (seq 7)\n");
    let requests = node.requests.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&requests[0].1), "{\"type\":\"note\",\"payload\":{\"b\": 1.50}}");
}

#[test]
fn a_secret_comes_from_a_variable_or_from_a_file() {
    const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    let app = json!({"data": {"app_id": "1", "key": "k", "secret": "s", "map_changes": []}});
    let webhook = json!({"data": {"id": ID, "secret": "s"}});
    let node =
        Node::start(vec![app.clone(), app, webhook.clone(), webhook.clone(), webhook.clone(), webhook]);
    let cases: [(&[&str], &[&str]); 3] = [
        (&["pusher", "create", "demo"], &[]),
        (&["webhook", "create", "demo"], &["--to", "http://a"]),
        (&["webhook", "rotate", "demo", ID], &[]),
    ];
    for (command, more) in cases {
        let of_file = [&["-o", "json"][..], command, more, &["--secret-file", "-"]].concat();
        printed(run_with_input(node.command(&of_file), "of-a-file\n"));
        let of_variable = [&["-o", "json"][..], command, more, &["--secret-env", "OWN_SECRET"]].concat();
        printed(node.command(&of_variable).env("OWN_SECRET", "of-a-variable").output().unwrap());
    }
    let requests = node.requests.join().unwrap();
    let secrets: Vec<Value> = requests
        .iter()
        .map(|(_, body)| serde_json::from_slice::<Value>(body).unwrap()["secret"].take())
        .collect();
    assert_eq!(secrets, ["of-a-file", "of-a-variable"].repeat(3));
    let both = ["pusher", "create", "demo", "--secret-env", "A", "--secret-file", "b"];
    assert_eq!(waypost(&both).output().unwrap().status.code(), Some(2));
}

#[test]
fn an_update_tells_only_what_it_has_changed() {
    const ID: &str = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    let webhook = |name: &str| json!({"data": {"id": ID, "name": name, "key": "same"}});
    let node = Node::start(vec![webhook("a"), webhook("a"), webhook("a"), webhook("b")]);
    let same = node.run(&["webhook", "update", "demo", ID, "--key", "same"]);
    assert!(same.contains("nothing changed"), "{same}");
    let other = node.run(&["webhook", "update", "demo", ID, "--key", "same", "--name", "b"]);
    assert!(other.contains("changed name") && !other.contains("key"), "{other}");
    node.requests.join().unwrap();
}

/// What a command does besides what its name says is in its help.
#[test]
fn help_says_what_else_a_command_does() {
    let cases: [(&[&str], &str); 6] = [
        (&["channel", "tail"], "it counts as one subscription of the channel"),
        (&["tail"], "counts as a subscription of each subject that is named without *"),
        (&["dev"], "The nodes take the settings of WAYPOST_* variables as `waypost serve` does"),
        (&["pusher", "create"], "--secret-file"),
        (&["webhook", "create"], "--secret-env"),
        (&["webhook", "rotate"], "--secret-env"),
    ];
    for (command, words) in cases {
        let help = printed(waypost(&[command, &["--help"]].concat()).output().unwrap());
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(words), "{command:?}: {help}");
    }
}

#[test]
fn the_beginning_of_an_id_is_looked_up() {
    let sources = json!({"data": [{"id": "wh_12", "name": "a"}, {"id": "wh_34", "name": "b"}]});
    let node = Node::start(vec![sources.clone(), json!({"data": {"id": "wh_34", "name": "b"}}), sources]);
    assert!(node.run(&["ingest", "show", "demo", "wh_3"]).contains("wh_34"));
    let ambiguous = node.command(&["ingest", "show", "demo", "wh_"]).output().unwrap();
    let told = err(&ambiguous);
    assert!(!ambiguous.status.success() && told.contains("any of 2") && told.contains("wh_12  a"), "{told}");
    let requests = node.requests.join().unwrap();
    assert!(requests[1].0.starts_with("get /api/maps/demo/ingest/wh_34 "), "{}", requests[1].0);
}

#[test]
fn a_tail_whose_token_was_revoked_promises_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let refusal = json!({"code": "unauthorized", "message": "a valid token is needed"}).to_string();
        let frame = "event: connected\nid: 01JY97R74N0000000000070000\ndata: {}\n\n";
        for (head, body) in [
            ("200 OK\r\ncontent-type: text/event-stream", frame),
            ("401 Unauthorized\r\ncontent-type: application/json", refusal.as_str()),
        ] {
            let (mut stream, _) = listener.accept().unwrap();
            take_request(&stream);
            write!(stream, "HTTP/1.1 {head}\r\nconnection: close\r\n\r\n{body}").unwrap();
        }
    });
    let output = waypost(&["tail", "demo", "--url", &url, "--token", "t"]).output().unwrap();
    server.join().unwrap();
    let told = err(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("[401 unauthorized]") && !told.contains("skipped"), "{told}");
}

/// Nobody can be asked, so nothing is done. The text says which node it would have been.
#[test]
fn the_removal_of_a_node_names_it_without_a_terminal_too() {
    let member = json!({"id": 1, "name": "berlin-1", "peer_addr": "10.0.0.1:4001"});
    let node = Node::start(vec![json!({"data": {"members": [member]}})]);
    let output = node.command(&["cluster", "remove", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
    let told = err(&output);
    assert!(told.contains("this removes node 1 (berlin-1, 10.0.0.1:4001)"), "{told}");
    assert!(told.contains("add --yes"), "{told}");
    let requests = node.requests.join().unwrap();
    assert!(requests.len() == 1 && requests[0].0.starts_with("get /api/cluster/status "), "{requests:?}");
}

#[test]
fn without_dead_letters_no_replay_begins() {
    let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    let shown = json!({"data": {"id": id, "dead_letters": 0, "retrying": 5}});
    let node = Node::start(vec![shown; 2]);
    let hint = format!("`waypost webhook enable demo {id}` has what waits tried at once");
    let expected = format!("no dead letters; 5 events still wait for a retry: {hint}\n");
    assert_eq!(node.run(&["webhook", "replay", "demo", id, "--failed"]), expected);
    assert_eq!(node.run(&["webhook", "dead-letters", "retry", "demo", id, "--wait"]), expected);
    let requests = node.requests.join().unwrap();
    assert!(requests.iter().all(|(head, _)| head.starts_with("get ")), "{requests:?}");
}
