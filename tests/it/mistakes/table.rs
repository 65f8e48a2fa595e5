//! The mistakes, and the page with what is said about them.

use std::fmt::Write;

/// A way to make a mistake. Texts have values of the place in braces.
pub(super) enum Tried {
    /// A command with the admin token.
    Command(&'static [&'static str]),
    /// A command with this standard input.
    WithInput(&'static [&'static str], &'static str),
    /// A command with the token of a map in `WAYPOST_TOKEN`.
    WithMapsToken(&'static [&'static str]),
    /// A command without any token.
    WithoutToken(&'static [&'static str]),
    /// A node with this environment variable.
    Setting(&'static str, &'static str),
    /// A node with these flags.
    Serve(&'static [&'static str]),
    /// A command at a node that finds no cluster.
    WithoutCluster(&'static [&'static str]),
    /// A command at a node that has lost the others. From then on there is no majority.
    WithoutMajority(&'static [&'static str]),
    /// A request: method, path, headers, body.
    Request(&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str),
    /// A request for this path with this token.
    WithToken(&'static str, &'static str),
    /// Plain HTTP to the port of a node with TLS.
    PlainAtTls(&'static str),
}

/// A mistake.
pub(super) struct Mistake {
    /// In words, for the table.
    pub(super) what: &'static str,
    pub(super) tried: Tried,
    /// What the answer must name: what is wrong, and what to do.
    pub(super) names: &'static [&'static str],
}

const fn on(what: &'static str, tried: Tried, names: &'static [&'static str]) -> Mistake {
    Mistake { what, tried, names }
}

use Tried::{
    Command, PlainAtTls, Request, Serve, Setting, WithInput, WithMapsToken, WithToken, WithoutCluster,
    WithoutMajority, WithoutToken,
};

const JSON: (&str, &str) = ("content-type", "application/json");

/// All mistakes. Those without a majority come last.
pub(super) const MISTAKES: &[Mistake] = &[
    // Where to?
    on(
        "Nothing listens at the address: `waypost map list --url http://HOST:4444`",
        Command(&["map", "list", "--url", "http://{nobody}"]),
        &["HOST:4444", "connection refused", "waypost serve", "--url"],
    ),
    on(
        "An address without a scheme: `waypost map list --url HOST:4000`",
        Command(&["map", "list", "--url", "{http}"]),
        &["--url", "http://host:port"],
    ),
    on(
        "An http URL to a port with TLS: `waypost map list --url http://HOST:443`",
        Command(&["map", "list", "--url", "http://{tls}"]),
        &["https", "http"],
    ),
    on(
        "Plain HTTP to a port with TLS: `curl http://HOST:443/api/maps`",
        PlainAtTls("/api/maps"),
        &["400", "https://"],
    ),
    on(
        "An https URL to a port without TLS: `waypost map list --url https://HOST:4000`",
        Command(&["map", "list", "--url", "https://{http}"]),
        &["http is spoken there, not https", "use http://HOST:4000", "--url", "http.tls_cert"],
    ),
    on(
        "The peer port, by http: `waypost map list --url http://HOST:4001`",
        Command(&["map", "list", "--url", "http://{peer}"]),
        &["peer port", "http_addr", "--url"],
    ),
    on(
        "The peer port, by https: `waypost map list --url https://HOST:4001`",
        Command(&["map", "list", "--url", "https://{peer}"]),
        &["peer port", "http_addr", "--url"],
    ),
    on(
        "A certificate of an authority that is not known: `waypost map list --url https://HOST:443`",
        Command(&["map", "list", "--url", "https://{tls}"]),
        &["authority", "--ca", "WAYPOST_CA"],
    ),
    on(
        "A certificate that has expired: `waypost map list --url https://HOST:443 --ca ca.pem`",
        Command(&["map", "list", "--url", "https://{expired}", "--ca", "{expired_ca}"]),
        &["expired", "http.tls_cert"],
    ),
    on(
        "A file that is missing: `waypost map list --ca missing`",
        Command(&["map", "list", "--ca", "{missing}"]),
        &["--ca", "missing", "No such file"],
    ),
    // Who?
    on(
        "No token: `waypost map list`",
        WithoutToken(&["map", "list"]),
        &["401", "--token", "WAYPOST_ADMIN_TOKEN"],
    ),
    on(
        "No token: `waypost publish shop note 1`",
        WithoutToken(&["publish", "shop", "note", "1"]),
        &["401", "--token", "WAYPOST_TOKEN"],
    ),
    on(
        "A wrong token: `waypost map list --token nonsense`",
        Command(&["map", "list", "--token", "nonsense"]),
        &["401", "--token", "admin token"],
    ),
    on(
        "A variable that is not set: `curl -H \"Authorization: Bearer $WAYPOST_TOKEN\"`",
        WithToken("/api/maps/shop/events", ""),
        &["401", "a valid token is needed", "send it as: Authorization: Bearer"],
    ),
    on(
        "A token that the cluster does not have: `curl -H 'Authorization: Bearer nonsense'`",
        WithToken("/api/maps/shop/events", "nonsense"),
        &["401", "a valid token is needed", "not one of this cluster", "waypost token create"],
    ),
    on(
        "A token of the documentation, as it stands there: `curl -H 'Authorization: Bearer wp_…'`",
        WithToken("/api/maps/shop/events", "wp_…"),
        &["400", "authorization", "in place of wp_…"],
    ),
    on(
        "The same on the command line: `waypost map show shop --token wp_…`",
        Command(&["map", "show", "shop", "--token", "wp_…"]),
        &["in place of wp_…"],
    ),
    on(
        "A map's token where the admin's is needed: `WAYPOST_TOKEN=wp_… waypost map list`",
        WithMapsToken(&["map", "list"]),
        &["403", "WAYPOST_TOKEN is a map's token", "WAYPOST_ADMIN_TOKEN"],
    ),
    on(
        "A token that may only subscribe: `waypost publish shop note 1`",
        Command(&["publish", "shop", "note", "1", "--token", "{reader}"]),
        &["403", "publish", "--token"],
    ),
    // The command line.
    on(
        "A command that does not exist: `waypost maps list`",
        Command(&["maps", "list"]),
        &["'maps'", "'map'"],
    ),
    on(
        "A flag that does not exist: `waypost publish shop note 1 --subjet a`",
        Command(&["publish", "shop", "note", "1", "--subjet", "a"]),
        &["--subjet", "--subject"],
    ),
    on("An argument that is missing: `waypost map show`", Command(&["map", "show"]), &["<MAP>"]),
    on(
        "A form that does not exist: `waypost map list -o xml`",
        Command(&["map", "list", "-o", "xml"]),
        &["xml", "--output", "table, wide, json"],
    ),
    on(
        "A time in words: `waypost tail shop --since yesterday`",
        Command(&["tail", "shop", "--since", "yesterday"]),
        &["--since", "yesterday", "1h", "2026-01-31T12:00:00Z"],
    ),
    on(
        "A scope that does not exist: `waypost token create shop --scopes write`",
        Command(&["token", "create", "shop", "--scopes", "write"]),
        &["--scopes", "write", "publish"],
    ),
    on(
        "A payload that is not JSON: `waypost publish shop note hello`",
        Command(&["publish", "shop", "note", "hello"]),
        &["not JSON", "quotes"],
    ),
    on(
        "Standard input that is not JSON: `echo hello | waypost publish shop note -`",
        WithInput(&["publish", "shop", "note", "-"], "hello\n"),
        &["standard input", "not JSON", "quotes"],
    ),
    on(
        "A line that is not an event: `waypost publish shop < events.ndjson`",
        WithInput(&["publish", "shop"], "{\"type\":\"a,b\",\"payload\":1}\n"),
        &["line 1", "a type has"],
    ),
    on(
        "The beginning of several ids: `waypost ingest show shop wh_`",
        Command(&["ingest", "show", "shop", "wh_"]),
        &["may be any of 2", "say which by its id", "orders"],
    ),
    on(
        "An id that nothing has: `waypost ingest show shop abc`",
        Command(&["ingest", "show", "shop", "abc"]),
        &["has no ingest source abc", "waypost ingest list shop"],
    ),
    // The request.
    on(
        "A map that does not exist: `waypost map show shpo`",
        Command(&["map", "show", "shpo"]),
        &["the map was not found", "waypost map list"],
    ),
    on(
        "A name that is not allowed: `waypost map create --slug 'My Shop'`",
        Command(&["map", "create", "--slug", "My Shop"]),
        &["400", "slug"],
    ),
    on(
        "A type that is not allowed: `waypost publish shop 'a,b' 1`",
        Command(&["publish", "shop", "a,b", "1"]),
        &["400", "a type has", "comma"],
    ),
    on(
        "An event that is too large: `waypost publish shop note \"$(cat book.json)\"`",
        Command(&["publish", "shop", "note", "{big}"]),
        &["413", "4096", "limits.event_bytes"],
    ),
    on(
        "A condition that is not one: `waypost tail shop --filter 'payload.x >'`",
        Command(&["tail", "shop", "--filter", "payload.x >"]),
        &["400", "filter"],
    ),
    on(
        "A node that does not exist: `waypost cluster promote 99`",
        Command(&["cluster", "promote", "99"]),
        &["99", "waypost cluster status"],
    ),
    on(
        "A node's name that no node has: `waypost cluster promote berlin-9`",
        Command(&["cluster", "promote", "berlin-9"]),
        &["berlin-9", "waypost cluster status", "names"],
    ),
    on(
        "A deletion that nobody can be asked about: `waypost map delete shop` in a script",
        Command(&["map", "delete", "shop"]),
        &["the map shop", "--yes"],
    ),
    on(
        "A path that does not exist: `GET /api/map`",
        Request("GET", "/api/map", &[], ""),
        &["404", "docs/openapi.yaml"],
    ),
    on(
        "A variable that is not set: `GET /api/maps/$WAYPOST_MAP/events`",
        Request("GET", "/api/maps//events", &[], ""),
        &["404", "the map's name is empty"],
    ),
    on(
        "A method that the path does not take: `PUT /api/maps/shop/events`",
        Request("PUT", "/api/maps/shop/events", &[JSON], "{}"),
        &["405", "it takes POST, GET"],
    ),
    on(
        "A parameter that does not exist: `GET /api/maps/shop/events?sinc=…`",
        Request("GET", "/api/maps/shop/events?sinc=1", &[], ""),
        &["400", "sinc", "did you mean since?"],
    ),
    on(
        "A body that is not JSON: `POST /api/maps/shop/events` with `{\"type\":\"a\",`",
        Request("POST", "/api/maps/shop/events", &[JSON], "{\"type\":\"a\","),
        &["400", "not valid JSON", "column"],
    ),
    on(
        "A field that does not exist: `POST /api/maps` with `{\"slgu\":\"x\"}`",
        Request("POST", "/api/maps", &[JSON], "{\"slgu\":\"x\"}"),
        &["400", "slgu", "slug"],
    ),
    on(
        "A body of another kind: `POST /api/maps` with `Content-Type: text/plain`",
        Request("POST", "/api/maps", &[("content-type", "text/plain")], "{}"),
        &["415", "Content-Type: application/json"],
    ),
    on(
        "A header that is too long: `POST /api/maps/shop/events` with an `Idempotency-Key` of 300 characters",
        Request(
            "POST",
            "/api/maps/shop/events",
            &[JSON, ("idempotency-key", "{long}")],
            "{\"type\":\"a\",\"payload\":1}",
        ),
        &["400", "Idempotency-Key", "255"],
    ),
    // The node.
    on(
        "A setting that does not exist, in a file: `http_adr = \"0.0.0.0:4000\"`",
        Serve(&["--config", "{unknown}"]),
        &["http_adr", "unknown.toml", "did you mean http_addr?"],
    ),
    on(
        "A setting that does not exist, in the environment: `WAYPOST_DATA_DRI`",
        Setting("WAYPOST_DATA_DRI", "data"),
        &["WAYPOST_DATA_DRI", "did you mean WAYPOST_DATA_DIR?"],
    ),
    on(
        "A value out of range: `waypost serve --limits-json-depth 5000`",
        Serve(&["--limits-json-depth", "5000"]),
        &["from 1 to 127", "--limits-json-depth", "WAYPOST_LIMITS_JSON_DEPTH", "limits.json_depth"],
    ),
    on(
        "A value of the wrong kind: `WAYPOST_WORKERS=many`",
        Setting("WAYPOST_WORKERS", "many"),
        &["many", "--workers", "WAYPOST_WORKERS"],
    ),
    on(
        "A file that is not TOML: `waypost serve --config broken.toml`",
        Serve(&["--config", "{broken}"]),
        &["broken.toml", "not valid TOML", "line 1"],
    ),
    on(
        "A configuration file that is missing: `waypost serve --config missing`",
        Serve(&["--config", "{missing}"]),
        &["missing", "No such file", "--config", "WAYPOST_CONFIG"],
    ),
    on(
        "A certificate that is missing: `waypost serve --http-tls-cert missing --http-tls-key missing`",
        Serve(&["--http-tls-cert", "{missing}", "--http-tls-key", "{missing}"]),
        &["http.tls_cert", "missing", "No such file"],
    ),
    on(
        "A port in use: `waypost serve --http-addr HOST:4000`",
        Serve(&["--http-addr", "{http}"]),
        &["HOST:4000", "in use", "--http-addr", "WAYPOST_HTTP_ADDR"],
    ),
    on(
        "A peer port in use: `waypost serve --peer-addr HOST:4001`",
        Serve(&["--peer-addr", "{peer}"]),
        &["HOST:4001", "in use", "--peer-addr", "WAYPOST_PEER_ADDR"],
    ),
    on(
        "A data directory in use: `waypost serve --data-dir DIR/node0/data`",
        Serve(&["--data-dir", "{data}"]),
        &["DIR/node0/data", "in use by another process", "--data-dir", "WAYPOST_DATA_DIR"],
    ),
    on(
        "A data directory that can't be made: `waypost serve --data-dir DIR/mistakes/unknown.toml/data`",
        Serve(&["--data-dir", "{in_a_file}"]),
        &["unknown.toml/data", "--data-dir", "WAYPOST_DATA_DIR", "data_dir"],
    ),
    // The cluster.
    on(
        "A node that finds no cluster: `waypost serve --join HOST:4444`, then `waypost map list`",
        WithoutCluster(&["map", "list"]),
        &["503", "join", "HOST:4444", "refused"],
    ),
    on(
        "No majority: `waypost publish shop note 1` where two of three nodes are down",
        WithoutMajority(&["publish", "shop", "note", "1"]),
        &["503", "hint"],
    ),
];

/// The page for these mistakes and answers.
pub(super) fn page(answers: &[(&str, String)]) -> String {
    let mut page = "# What is said about typical mistakes\n\n\
        Each answer names what is wrong and what to do. A test makes all these mistakes and compares the answers with \
        this page. `HOST`, `DIR`, `MAP` and `wh_…` stand for what differs from place to place.\n\n\
        | mistake | what is said |\n|---|---|\n"
        .to_owned();
    for (what, told) in answers {
        let lines: Vec<String> = told.lines().filter(|line| !line.trim().is_empty()).map(span).collect();
        let _ = writeln!(page, "| {} | {} |", cell(what), lines.join("<br>"));
    }
    page
}

/// A line as code, which Markdown shows as it is.
fn span(line: &str) -> String {
    let line = cell(line.trim());
    if line.contains('`') { format!("`` {line} ``") } else { format!("`{line}`") }
}

/// A text within a table, where only a bar means something else.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[test]
fn a_row_of_the_page_is_one_line() {
    let page = page(&[("`a | b`", "error: x `y`\n\n  tip: z".to_owned())]);
    assert!(page.ends_with("| `a \\| b` | `` error: x `y` ``<br>`tip: z` |\n"), "{page}");
    assert!(MISTAKES.len() >= 30);
}
