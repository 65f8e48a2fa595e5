//! The usage of a map is what was published and delivered, whichever node is asked. It survives restarts and
//! the death of a leader.

use crate::support::{publish, scenario, waypost};
use crate::webhooks_support::{self, Hook, delivering, quick};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};
use testkit::consumer::{Reader, ids};
use testkit::phoenix::Socket;
use testkit::receiver::{Receiver, behaviour};
use testkit::ws::Message;

const EVENTS: usize = 30;
const NODES: usize = 3;
/// What is counted.
const FIELDS: [&str; 6] =
    ["events", "event_bytes", "deliveries", "delivery_bytes", "attempts", "failed_attempts"];

/// The sums over all periods: no result depends on when one of them ends.
type Sums = [u64; FIELDS.len()];

#[test]
fn usage_is_what_was_published_and_delivered() {
    scenario(delivering(NODES), |cluster| {
        let map = webhooks_support::map(cluster, "usage")?;
        refused(cluster, &map)?;
        let receiver = Receiver::start()?;
        let url = receiver.on("/u", behaviour::recovering(1, 503));
        let hook = Hook::create(cluster, &map, &url, json!({"retry": quick(5)}))?;
        cluster.api(0, &map).post(&map.path("/consumers"), &json!({"name": "work"}))?.data(201)?;
        let mut sockets =
            (0..NODES).map(|node| cluster.joined(node, &map, json!({}))).collect::<Result<Vec<_>>>()?;
        for n in 0..EVENTS {
            publish(cluster, n % NODES, &map, "x", json!({"n": n}))?;
        }
        let read = sockets.iter_mut().map(bytes_of_events).sum::<Result<u64>>()?;
        let taken = take_all(cluster, &map)?;
        receiver.wait_events("/u", EVENTS)?;
        hook.wait_settled(cluster)?;
        drop(sockets);

        // A node reports what it has counted before it ends.
        for node in 0..NODES {
            cluster.restart(node)?;
            cluster.wait_ready()?;
        }
        let sums = same_everywhere(cluster, &map, |sums| {
            let [events, _, deliveries, _, attempts, failed] = *sums;
            events == EVENTS as u64
                && deliveries == (NODES * EVENTS + taken) as u64
                && attempts == receiver.count("/u") as u64
                && failed == attempts - receiver.accepted("/u").len() as u64
        })?;
        let [_, event_bytes, _, delivery_bytes, _, failed] = sums;
        ensure!(failed == 1, "{sums:?}");
        ensure!(event_bytes > EVENTS as u64 && delivery_bytes > read, "{sums:?}, {read} bytes read");
        printed(cluster, &map)?;

        let leader = cluster.leader()?;
        cluster.nodes[leader].kill9()?;
        same_everywhere(cluster, &map, |now| *now == sums)?;
        cluster.bring_back(leader)?;
        same_everywhere(cluster, &map, |now| *now == sums)?;
        Ok(())
    });
}

/// Reads all events at a socket. Returns the bytes of their messages.
fn bytes_of_events(socket: &mut Socket) -> Result<u64> {
    let mut bytes = 0;
    for _ in 0..EVENTS {
        match socket.message()? {
            Message::Text(text) => bytes += text.len() as u64,
            other => bail!("expected an event, got {other:?}"),
        }
    }
    Ok(bytes)
}

/// Takes all events of the consumer. Returns how many hand-overs there were.
fn take_all(cluster: &Cluster, map: &Map) -> Result<usize> {
    let mut reader = Reader::new(&cluster.urls_from(0), map, "work").patient();
    let mut taken = 0;
    loop {
        let some = reader.pull(EVENTS, 20)?;
        ensure!(!some.is_empty(), "the consumer has nothing after {taken} events");
        reader.ack(&ids(&some))?;
        taken += some.len();
        if some.iter().any(|one| one.seq >= EVENTS as u64) {
            return Ok(taken);
        }
    }
}

/// The sums that a node shows, which are the same by hour and by day.
fn sums(cluster: &Cluster, node: usize, map: &Map) -> Result<Sums> {
    let by = |kind: &str| -> Result<Sums> {
        let shown = cluster.api(node, map).get(&map.path(&format!("/usage?by={kind}")))?.data(200)?;
        ensure!(shown["by"] == kind, "{shown}");
        sum(shown["periods"].as_array().context("no periods")?)
    };
    let (hours, days) = (by("hour")?, by("day")?);
    ensure!(hours == days, "{hours:?} by hour, {days:?} by day");
    Ok(hours)
}

fn sum(periods: &[Value]) -> Result<Sums> {
    ensure!(!periods.is_empty(), "the present period is not shown");
    let mut sums = Sums::default();
    for period in periods {
        for (sum, field) in sums.iter_mut().zip(FIELDS) {
            *sum += period[field].as_u64().with_context(|| format!("no {field} in {period}"))?;
        }
    }
    Ok(sums)
}

/// Waits until all nodes that are up show the same sums, which are right.
fn same_everywhere(cluster: &Cluster, map: &Map, are_right: impl Fn(&Sums) -> bool) -> Result<Sums> {
    cluster.wait_until("the right usage at all nodes", |cluster| {
        let up = (0..cluster.nodes.len()).filter(|node| cluster.nodes[*node].is_up());
        let shown = up.map(|node| sums(cluster, node, map)).collect::<Result<Vec<_>>>()?;
        let first = *shown.first().context("no node is up")?;
        ensure!(are_right(&first) && shown.iter().all(|sums| *sums == first), "{shown:?}");
        Ok(Some(first))
    })
}

/// The command line shows the same.
fn printed(cluster: &Cluster, map: &Map) -> Result<()> {
    let shown = sums(cluster, 0, map)?;
    for arguments in [&["map", "usage", "usage"][..], &["map", "usage", "usage", "--by", "day"]] {
        let mut command = waypost(arguments);
        command.env("WAYPOST_URL", cluster.urls_from(0).join(",")).env("WAYPOST_ADMIN_TOKEN", ADMIN);
        let output = command.output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout)?;
        let periods: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        ensure!(sum(&periods)? == shown, "{lines}");
    }
    Ok(())
}

/// Others see nothing, and what is not understood is refused.
fn refused(cluster: &Cluster, map: &Map) -> Result<()> {
    let path = map.path("/usage");
    let foreign = webhooks_support::map(cluster, "usage-foreign")?;
    let unknown = cluster.api(0, &foreign).get("/api/maps/none/usage")?.expect(404)?;
    let hidden = cluster.api(0, &foreign).get(&path)?.expect(404)?;
    ensure!(hidden.code() == unknown.code(), "{} and {}", hidden.text(), unknown.text());
    let (_, reader) = cluster.token(map, &["subscribe"])?;
    cluster.api(0, &reader).get(&path)?.expect(403)?;
    let wrong = cluster.api(0, map).get(&format!("{path}?by=week"))?.expect(400)?;
    ensure!(wrong.code() == "invalid_by", "{}", wrong.text());
    let misspelt = cluster.api(0, map).get(&format!("{path}?bye=day"))?.expect(400)?;
    ensure!(misspelt.code() == "invalid_query", "{}", misspelt.text());
    Ok(())
}
