//! What Kubernetes, container engines and service managers are given: it names settings, ports and paths
//! that exist.

use crate::support::{printed, python};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The configuration with all defaults.
const DEFAULT: &str = include_str!("../../waypost.default.toml");
const OPENAPI: &str = include_str!("../../docs/openapi.yaml");
/// Names of the environment that are no settings of a node.
const OF_COMMANDS: [&str; 3] = ["WAYPOST_CONFIG", "WAYPOST_TOKEN", "WAYPOST_URL"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns all files below a folder of `packaging`.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("packaging").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    assert!(!found.is_empty(), "packaging/{folder} is empty");
    found
}

/// Returns the names of all settings in the environment, as `waypost.default.toml` lists them.
fn settings() -> BTreeSet<String> {
    let mut section = String::new();
    let mut names = BTreeSet::new();
    for line in DEFAULT.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ") {
            names.insert(format!("WAYPOST_{section}{key}").replace('.', "_").to_uppercase());
        }
    }
    assert!(
        names.contains("WAYPOST_ADMIN_TOKEN") && names.contains("WAYPOST_LIMITS_EVENT_BYTES"),
        "{names:?}"
    );
    names
}

/// Returns the names of settings that a text uses. What ends with an underscore is only the beginning of one.
fn used(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_');
    words.filter(|word| word.starts_with("WAYPOST_") && !word.ends_with('_')).collect()
}

#[test]
fn every_setting_in_them_exists() {
    let settings = settings();
    let mut count = 0;
    for file in ["helm", "kubernetes", "docker", "systemd", "linux"].into_iter().flat_map(files) {
        let text = text(&file);
        for name in used(&text).into_iter().filter(|name| !OF_COMMANDS.contains(name)) {
            // The chart says which variable of Kubernetes it keeps away.
            let is_kept_away = name == "WAYPOST_PORT";
            assert!(
                is_kept_away || settings.contains(name),
                "{}: there is no setting {name}",
                file.display()
            );
            count += 1;
        }
    }
    assert!(count > 30, "only {count} settings were found");
}

#[test]
fn the_manifests_are_valid() {
    let kubernetes = [root().join("packaging/kubernetes/waypost.yaml")];
    let others = ["kubernetes/servicemonitor.yaml", "helm/waypost/Chart.yaml", "helm/waypost/values.yaml"];
    let others = others.into_iter().chain(["docker/compose.yaml", "linux/nfpm.yaml"]);
    let others = others.map(|name| root().join("packaging").join(name));
    let output = python("manifests.py").unwrap().args(kubernetes.into_iter().chain(others)).output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    let mut kinds: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    kinds.sort();
    let all = ["NetworkPolicy", "PodDisruptionBudget", "Service", "Service", "ServiceMonitor", "StatefulSet"];
    assert_eq!(kinds, all);
}

#[test]
fn ports_and_paths_exist() {
    let rendered = text(&root().join("packaging/kubernetes/waypost.yaml"));
    let lines: Vec<&str> = rendered.lines().map(str::trim).collect();
    let values = |key: &str| {
        let found = lines.iter().filter_map(|line| line.trim_start_matches("- ").strip_prefix(key));
        found.map(str::trim).collect::<BTreeSet<&str>>()
    };
    assert_eq!(values("path:"), BTreeSet::from(["/healthz", "/readyz"]));
    for path in values("path:") {
        assert!(OPENAPI.contains(&format!("\n  {path}:")), "the server has no {path}");
    }
    assert_eq!(values("containerPort:"), BTreeSet::from(["4000", "4001"]));
    for (name, port) in [("WAYPOST_HTTP_ADDR", "4000"), ("WAYPOST_PEER_ADDR", "4001")] {
        let at = lines.iter().position(|line| *line == format!("- name: {name}")).unwrap();
        assert_eq!(lines[at + 1], format!("value: 0.0.0.0:{port}"));
    }
    // Kubernetes would set WAYPOST_PORT for the service `waypost`, and a node refuses unknown settings.
    assert!(lines.contains(&"enableServiceLinks: false"));
    let monitor = text(&root().join("packaging/kubernetes/servicemonitor.yaml"));
    assert!(monitor.contains("path: /metrics") && OPENAPI.contains("\n  /metrics:"));
}

/// The operator calls a job like the service unless it is told a label, and alerts ask for one job.
#[test]
fn the_service_monitor_names_the_job_of_the_alerts() {
    let monitor = text(&root().join("packaging/kubernetes/servicemonitor.yaml"));
    assert!(monitor.contains("\n  jobLabel: app.kubernetes.io/name\n"), "{monitor}");
    let manifests = text(&root().join("packaging/kubernetes/waypost.yaml"));
    let services: Vec<&str> =
        manifests.split("\n---\n").filter(|part| part.contains("\nkind: Service\n")).collect();
    assert_eq!(services.len(), 2);
    for service in services {
        assert!(service.contains("\n    app.kubernetes.io/name: waypost\n"), "{service}");
    }
    assert!(text(&root().join("packaging/prometheus/alerts.yml")).contains("job=\"waypost\""));
}

/// The version stands in Cargo.toml; what is rendered or filled in has the same.
#[test]
fn the_version_is_the_same_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let chart = text(&root().join("packaging/helm/waypost/Chart.yaml"));
    for line in [format!("\nversion: {version}\n"), format!("\nappVersion: \"{version}\"\n")] {
        assert!(chart.contains(&line), "Chart.yaml lacks {line:?}");
    }
    let rendered = text(&root().join("packaging/kubernetes/waypost.yaml"));
    assert!(
        rendered.contains(&format!("image: \"waypost:{version}\"")),
        "render it anew: packaging/tools/manifests.sh"
    );
}

/// The nodes of the chart, of the manifests and of compose.yaml have one template, and found the cluster
/// together.
#[test]
fn nodes_found_the_cluster_together() {
    for file in ["kubernetes/waypost.yaml", "helm/waypost/templates/statefulset.yaml", "docker/compose.yaml"]
    {
        let text = text(&root().join("packaging").join(file));
        for name in ["WAYPOST_BOOTSTRAP_EXPECT", "WAYPOST_JOIN"] {
            let times = text.lines().filter(|line| !line.trim_start().starts_with('#'));
            assert_eq!(times.filter(|line| line.contains(name)).count(), 1, "{file}: {name}");
        }
    }
}
