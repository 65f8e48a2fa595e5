//! `/metrics` of real nodes, and what is made of it: the alerts, the dashboard and the pages that name
//! metrics.

use crate::support::{nodes, publish, scenario};
use crate::webhooks_support::{Hook, delivering, map as webhook_map, publish_as};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::receiver::dead::ClosedPort;
use testkit::stream::Stream;
use testkit::{Cluster, wait};

/// Where the pages are that alerts name.
const RUNBOOKS: &str = "https://github.com/waypost/waypost/blob/main/docs/runbooks/";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn scraped(c: &Cluster, node: usize) -> Result<String> {
    Ok(String::from_utf8(c.admin(node).get("/metrics")?.expect(200)?.body)?)
}

/// The panels of the dashboard.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("packaging/grafana/waypost.json")).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// The expressions of the dashboard, with values for its variables.
fn expressions() -> Vec<String> {
    let of = |panel: &Value| panel["targets"].as_array().cloned().unwrap_or_default();
    let panels = panels();
    let all = panels.iter().flat_map(of).map(|target| target["expr"].as_str().unwrap().to_owned());
    let filled = |text: String| {
        text.replace("$__rate_interval", "1m").replace("$cluster", ".*").replace("$instance", ".*")
    };
    all.map(filled).collect()
}

/// The names of the metrics in a text, without the suffixes of the parts of a histogram.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names = words.filter(|word| word.starts_with("waypost_") || word.starts_with("process_"));
    let whole = |name: &str| {
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        part.unwrap_or(name).to_owned()
    };
    let is_metric = |name: &&str| !name.ends_with('_') && !name.bytes().any(|byte| byte.is_ascii_uppercase());
    names.filter(is_metric).map(whole).collect()
}

/// A family of an exposition.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    has_help: bool,
    series: Vec<String>,
}

/// The families of an exposition, each of which must be in one piece.
fn families(text: &str) -> Result<BTreeMap<String, Family>> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').context("no help")?;
            let family = all.entry(name.to_owned()).or_default();
            ensure!(!family.has_help && help.len() > 5, "{line}");
            family.has_help = true;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').context("no type")?;
            let family = all.entry(name.to_owned()).or_default();
            ensure!(family.kind.is_empty() && family.series.is_empty(), "{line}");
            family.kind = kind.to_owned();
        } else {
            let name = line.split(['{', ' ']).next().context("no name")?;
            let is_histogram = |name: &&str| all.get(*name).is_some_and(|family| family.kind == "histogram");
            let mut wholes =
                ["_bucket", "_sum", "_count"].into_iter().filter_map(|part| name.strip_suffix(part));
            let name = wholes.find(is_histogram).unwrap_or(name);
            let (_, value) = line.rsplit_once(' ').context("no value")?;
            value.parse::<f64>().with_context(|| line.to_owned())?;
            let family = all.get_mut(name).with_context(|| format!("no type before {line}"))?;
            family.series.push(line.to_owned());
        }
    }
    Ok(all)
}

/// Does what fills most metrics.
fn use_node(c: &Cluster) -> Result<()> {
    let map = c.map("used")?;
    publish(c, 0, &map, "x", json!({}))?;
    let mut reader =
        Stream::get(c.nodes[0].http, &format!("{}/stream", map.events()), Some(&map.token), &[])?;
    ensure!(reader.status()? == 200);
    publish(c, 0, &map, "x", json!({"seen": true}))?;
    reader.until("\"seen\"")?;
    c.api(0, &map).get(&map.events())?.expect(200)?;
    c.api(0, &map).get("/api/maps/unknown/events")?.expect(404)?;
    c.api(0, &map).get("/no/such/path")?.expect(404)?;
    Ok(())
}

#[test]
fn every_metric_is_described_and_named_as_prometheus_wants() {
    scenario(nodes(1), |c| {
        use_node(c)?;
        let text = scraped(c, 0)?;
        let families = families(&text)?;
        ensure!(families.len() > 30, "{:?}", families.keys());
        for (name, family) in &families {
            ensure!(family.has_help && !family.series.is_empty(), "{name}: {family:?}");
            let is_counter = family.kind == "counter";
            ensure!(is_counter == name.ends_with("_total"), "{name} is a {}", family.kind);
            ensure!(
                ["counter", "gauge", "histogram"].contains(&family.kind.as_str()),
                "{name}: {}",
                family.kind
            );
            // Units are base units, as the last word of the name (before `total`).
            let unit = name.trim_end_matches("_total").rsplit('_').next().unwrap_or_default();
            let others = ["ms", "milliseconds", "us", "ns", "minutes", "hours", "kb", "mb", "mib", "percent"];
            ensure!(!others.contains(&unit), "{name} is not in base units");
        }
        Ok(())
    });
}

#[test]
fn a_node_shows_its_build_its_process_and_its_routes() {
    scenario(nodes(1), |c| {
        use_node(c)?;
        let text = scraped(c, 0)?;
        let build = text.lines().find(|line| line.starts_with("waypost_build_info{")).context("no build")?;
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        ensure!(build.contains(&version) && build.ends_with("} 1"), "{build}");
        let process = [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
            "process_threads",
        ];
        for name in process.iter().filter(|_| cfg!(target_os = "linux")) {
            let line = text.lines().find(|line| line.split(' ').next() == Some(*name));
            let value: f64 = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).context(*name)?;
            ensure!(value > 0.0, "{name} {value}");
        }
        let count = |labels: &str| c.metric(0, "waypost_http_request_seconds_count", labels);
        ensure!(count(r#"route="/api/maps/{map}/events",method="POST",status="2xx""#)? == 2, "{text}");
        ensure!(count(r#"route="/api/maps/{map}/events",method="GET",status="2xx""#)? == 1, "{text}");
        ensure!(count(r#"route="/api/maps/{map}/events",method="GET",status="4xx""#)? == 1, "{text}");
        ensure!(count(r#"route="/api/maps/{map}/events/stream",method="GET",status="2xx""#)? == 1, "{text}");
        ensure!(count(r#"route="other",method="GET",status="4xx""#)? >= 1, "{text}");
        ensure!(
            !text.contains("/no/such/path") && !text.contains("unknown/events"),
            "a path is a label:\n{text}"
        );
        Ok(())
    });
}

#[test]
fn the_series_of_a_deleted_webhook_are_gone() {
    scenario(delivering(1), |c| {
        let c = &*c;
        let map = webhook_map(c, "gone")?;
        let receiver = ClosedPort::new()?;
        let url = format!("http://{}/", receiver.addr);
        let hooks = [json!({}), json!({"events": ["x", "y"]})]
            .into_iter()
            .enumerate()
            .map(|(n, more)| Hook::create(c, &map, &format!("{url}{n}"), more))
            .collect::<Result<Vec<_>>>()?;
        publish_as(c, &map, "x", "a", json!({}))?;
        let shown = |c: &Cluster, hook: &Hook| -> Result<usize> {
            Ok(scraped(c, 0)?.matches(&format!("webhook=\"{}\"", hook.id)).count())
        };
        wait::until("the queues of both webhooks", || {
            let both = shown(c, &hooks[0])? >= 2 && shown(c, &hooks[1])? >= 2;
            Ok(both.then_some(()))
        })?;
        ensure!(hooks[0].delete(c, "")? == 204, "the webhook is not deleted");
        wait::until("the series of the deleted webhook to be gone", || {
            Ok((shown(c, &hooks[0])? == 0).then_some(()))
        })?;
        ensure!(shown(c, &hooks[1])? >= 2, "the series of the other webhook are gone too");
        Ok(())
    });
}

#[test]
fn readers_that_missed_events_are_counted() {
    scenario(nodes(1), |c| {
        let c = &*c;
        let map = c.map_with("missed", json!({"retention": {"events": 2}}))?;
        let first = publish(c, 0, &map, "x", json!({}))?["id"].as_str().context("no id")?.to_owned();
        let told = |c: &Cluster| c.metric(0, "waypost_missed_total", "reason=\"history\"");
        ensure!(told(c)? == 0);
        let after = format!("{}?after={first}", map.events());
        wait::until("a gap", || {
            publish(c, 0, &map, "x", json!({}))?;
            let page = c.api(0, &map).get(&after)?.expect(200)?.json()?;
            Ok((page["gap"] == true).then_some(()))
        })?;
        ensure!(told(c)? == 1, "{}", told(c)?);
        let path = format!("{}/stream?last_event_id={first}", map.events());
        let mut reader = Stream::get(c.nodes[0].http, &path, Some(&map.token), &[])?;
        reader.until("\"gap\":true")?;
        ensure!(told(c)? == 2, "{}", told(c)?);
        Ok(())
    });
}

#[test]
fn alerts_panels_and_pages_name_metrics_that_there_are() {
    let declared =
        metrics_in(&read("src/metric.rs")).into_iter().chain(metrics_in(&read("src/edge/ops/metrics.rs")));
    let declared: BTreeSet<String> = declared.collect();
    let mut pages =
        vec![PathBuf::from("packaging/prometheus/alerts.yml"), "packaging/grafana/waypost.json".into()];
    pages.push("docs/packaging.md".into());
    for entry in std::fs::read_dir(root().join("docs/runbooks")).unwrap() {
        pages.push(entry.unwrap().path());
    }
    for page in pages {
        let named = metrics_in(&std::fs::read_to_string(root().join(&page)).unwrap());
        let unknown: Vec<&String> = named.difference(&declared).collect();
        assert!(unknown.is_empty(), "{}: there are no metrics {unknown:?}", page.display());
    }
}

#[test]
fn each_alert_names_a_page_and_each_panel_is_described() {
    let alerts = read("packaging/prometheus/alerts.yml");
    let alerts: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 15);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let urls: Vec<&str> =
            alert.lines().filter_map(|line| line.trim().strip_prefix("runbook_url: ")).collect();
        let [url] = urls[..] else { panic!("{name} has the pages {urls:?}") };
        let page = url.strip_prefix(RUNBOOKS).unwrap_or_else(|| panic!("{name}: {url}"));
        assert!(root().join("docs/runbooks").join(page).is_file(), "{name}: there is no page {page}");
    }
    for panel in panels() {
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.len() > 10, "{} has no description", panel["title"]);
    }
}

/// The path of promtool, if it runs: the variable `PROMTOOL`, else what `make promtool` installs, else the
/// system's.
fn promtool() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?.join("promtool/usr/bin/promtool");
    let named = std::env::var_os("PROMTOOL").map(PathBuf::from);
    let candidates = named.into_iter().chain([target, "promtool".into()]);
    candidates.into_iter().find(|path| {
        let version =
            Command::new(path).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })
}

/// Runs promtool with that input. It must find nothing.
fn run(promtool: &Path, arguments: &[&str], input: &str) -> Result<()> {
    let mut command = Command::new(promtool);
    command.args(arguments).current_dir(root()).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = crate::support::printed(&output);
    ensure!(output.status.success(), "promtool {arguments:?}: {}\n{said}", output.status);
    Ok(())
}

#[test]
fn promtool_finds_nothing() {
    let Some(promtool) = promtool() else {
        println!("SKIPPED: promtool is not installed: `make promtool` installs it (or name it in PROMTOOL)");
        return;
    };
    run(&promtool, &["check", "rules", "packaging/prometheus/alerts.yml"], "").unwrap();
    run(&promtool, &["test", "rules", "packaging/prometheus/alerts_test.yml"], "").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yml");
    let rules: Vec<Value> = expressions()
        .into_iter()
        .enumerate()
        .map(|(n, expression)| json!({"record": format!("panel:{n}"), "expr": expression}))
        .collect();
    // JSON is YAML.
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&file, rules.to_string()).unwrap();
    run(&promtool, &["check", "rules", file.to_str().unwrap()], "").unwrap();
    scenario(nodes(1), |c| {
        use_node(c)?;
        run(&promtool, &["check", "metrics"], &scraped(c, 0)?)
    });
}
