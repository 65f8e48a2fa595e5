//! Functions of AWS Lambda as targets. A stand-in signs every call again with botocore and refuses a call
//! whose signature differs.

use crate::support::{python, scenario};
use crate::webhooks_support::{Hook, delivering, map, publish_keys, quick};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use testkit::cluster::Map;
use testkit::lines::Lines;
use testkit::receiver::Request;
use testkit::receiver::tally::{check_delivered, distinct};
use testkit::{Cluster, Options, wait};

const ID: &str = "AKIDEXAMPLE";
pub(crate) const KEY: &str = "a/secret+key";
const TOKEN: &str = "lent//token==";
const REGION: &str = "eu-west-1";

/// The stand-in's process, killed on drop.
pub(crate) struct Standin {
    process: Lines,
    port: u64,
}

impl Standin {
    fn start(key: &str) -> Result<Self> {
        Self::with_secret(key, "")
    }

    /// One whose functions verify the events of webhooks with that secret.
    pub(crate) fn with_secret(key: &str, secret: &str) -> Result<Self> {
        // The stand-in uses this process's date, which may differ from the machine's.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut command = python("lambda_standin.py")?;
        command.args([ID, key, REGION, TOKEN]).env("CLOCK", now.to_string()).env_remove("LD_PRELOAD");
        command.env("WEBHOOK_SECRET", secret);
        let process = Lines::start(&mut command)?;
        let first = |lines: &[Value]| lines.first().and_then(Value::as_u64);
        let port = wait::until("the stand-in's port", || Ok(process.look(first)))?;
        Ok(Self { process, port })
    }

    /// Returns the correctly signed calls of that function.
    pub(crate) fn calls(&self, function: &str) -> Vec<Value> {
        self.process.look(|lines| lines.iter().filter(|call| call["function"] == function).cloned().collect())
    }

    /// Options for nodes that may invoke every function of the stand-in.
    pub(crate) fn invoked_by(&self, nodes: usize) -> Options {
        delivering(nodes)
            .set("WAYPOST_WEBHOOKS_AWS_ACCESS_KEY_ID", ID)
            .set("WAYPOST_WEBHOOKS_AWS_SECRET_ACCESS_KEY", KEY)
            .set("WAYPOST_WEBHOOKS_AWS_SESSION_TOKEN", TOKEN)
            .set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "*")
            .set("WAYPOST_WEBHOOKS_AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port))
    }
}

/// Creates a webhook that invokes a function.
fn hook(c: &Cluster, map: &Map, function: &str, more: Value) -> Result<Hook> {
    invoking(c, map, function, more, json!({}))
}

/// Creates a webhook that invokes a function; `settings` has further ones of the webhook.
pub(crate) fn invoking(
    c: &Cluster,
    map: &Map,
    function: &str,
    mut more: Value,
    mut settings: Value,
) -> Result<Hook> {
    more["function_name"] = json!(function);
    more["region"] = json!(REGION);
    settings["lambda"] = more;
    settings["retry"] = quick(2);
    Hook::make(c, map, &settings)
}

pub(crate) fn given_up(c: &Cluster, hook: &Hook, class: &str, status: u16) -> Result<()> {
    hook.wait(c, "a dead letter", |hook| hook["dead_letters"].as_u64() > Some(0))?;
    let dead_letter = &hook.get(c, "/dead-letters?limit=1")?[0];
    ensure!(dead_letter["class"] == class && dead_letter["status"] == status, "{dead_letter}");
    Ok(())
}

#[test]
fn functions_are_invoked_with_the_signatures_of_botocore() {
    let standin = Standin::start(KEY).unwrap();
    scenario(standin.invoked_by(2), |cluster| {
        let map = map(cluster, "lambda")?;
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:kills";
        let queued = hook(cluster, &map, arn, json!({"qualifier": "$LATEST"}))?;
        let awaited = hook(cluster, &map, "awaited", json!({"invocation_type": "RequestResponse"}))?;
        let broken = hook(cluster, &map, "broken", json!({"invocation_type": "RequestResponse"}))?;
        let returned = |status: &str, kind: &str| {
            hook(cluster, &map, &format!("returns-{status}"), json!({"invocation_type": kind}))
        };
        let refuses = returned("401", "RequestResponse")?;
        let takes = returned("202", "RequestResponse")?;
        let fails = returned("500", "RequestResponse")?;
        let queues = returned("503", "Event")?;
        let missing = hook(cluster, &map, "missing", json!({}))?;
        let busy = hook(cluster, &map, "throttled", json!({}))?;

        let acks = publish_keys(cluster, &map, "l", 20)?;
        let good = [
            (&queued, arn, "Event", json!("$LATEST")),
            (&awaited, "awaited", "RequestResponse", json!(null)),
        ];
        for (hook, function, kind, qualifier) in good {
            let calls = wait::until(&format!("all events at {function}"), || {
                let calls = standin.calls(function);
                let requests: Vec<Request> = calls.iter().filter_map(carried).collect();
                Ok((distinct(&requests) >= acks.len()).then_some(calls))
            });
            let calls = calls.with_context(|| format!("{:?}", hook.attempts(cluster)))?;
            ensure!(calls.iter().all(|c| c["type"] == kind && c["qualifier"] == qualifier), "{calls:?}");
            let requests: Vec<Request> = calls.iter().filter_map(carried).collect();
            ensure!(
                requests.iter().all(|r| r.wanderer(&hook.secret) && r.standard(&hook.secret)),
                "{calls:?}"
            );
            check_delivered(function, &requests, &acks)?;
        }
        given_up(cluster, &broken, "function", 200)?;
        given_up(cluster, &missing, "status", 404)?;
        given_up(cluster, &refuses, "status", 401)?;
        given_up(cluster, &fails, "status", 500)?;
        for taken in [&takes, &queues] {
            let delivered = |hook: &Value| hook["delivered"] == acks.len();
            taken.wait(cluster, "all to be delivered", delivered)?;
        }
        ensure!(refuses.show(cluster)?["delivered"] == 0, "a refusal counts as delivered");
        wait::until("two calls of the busy function", || {
            Ok((standin.calls("throttled").len() >= 2).then_some(()))
        })?;
        let shown = busy.show(cluster)?;
        ensure!(shown["dead_letters"] == 0 && shown["delivered"] == 0, "{shown}");
        ensure!(shown["target"]["type"] == "lambda" && !shown.to_string().contains(KEY), "{shown}");
        Ok(())
    });
}

#[test]
fn a_wrong_key_invokes_nothing() {
    let foreign = Standin::start("another-key").unwrap();
    scenario(foreign.invoked_by(1), |cluster| {
        let map = map(cluster, "lambda")?;
        let refused = hook(cluster, &map, "refused", json!({}))?;
        publish_keys(cluster, &map, "l", 1)?;
        given_up(cluster, &refused, "status", 403)?;
        ensure!(foreign.calls("refused").is_empty(), "a wrong signature was accepted");
        Ok(())
    });
}

/// Returns the request in a call's payload: `{"headers", "body"}`, as the guide's Lambda handler reads it.
fn carried(call: &Value) -> Option<Request> {
    let event: Value = serde_json::from_str(call["body"].as_str()?).ok()?;
    Some(Request { status: 200, ..Request::carried(&event["headers"], event["body"].as_str()?) })
}
