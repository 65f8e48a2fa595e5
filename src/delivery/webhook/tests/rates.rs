//! The rate of a webhook outlives its actors and its owners.

use super::*;

/// One request in two seconds.
const RATE: RateLimit = RateLimit { requests: 1, period_ms: 2000 };
/// A little less than that period: two clocks may differ by some milliseconds.
const PERIOD: Duration = Duration::from_millis(1900);

/// A stage whose node is known to own its webhooks.
async fn owning() -> Stage {
    let stage = Stage::new().await;
    let first = stage.webhook(9).await;
    stage.publish().await;
    until("a delivery", || stage.delivered(first) == 1).await;
    stage.activate(first, false).await;
    stage
}

#[actix_web::test]
async fn a_new_webhook_does_not_wait() {
    let mut stage = owning().await;
    stage.rate = Some(RateLimit { requests: 1, period_ms: 3_600_000 });
    let id = stage.webhook(1).await;
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    stage.hub.shutdown().await;
}

#[actix_web::test]
async fn a_new_owner_waits_for_a_period() {
    let mut stage = owning().await;
    stage.rate = Some(RATE);
    let id = stage.webhook(1).await;
    // It has sent nothing, but its next owner does not know that.
    let began = Instant::now();
    stage.shard.start_over().await;
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    assert!(began.elapsed() >= PERIOD, "{:?}", began.elapsed());
    stage.hub.shutdown().await;
}

#[actix_web::test]
async fn the_next_actor_of_the_same_owner_keeps_the_rate() {
    let mut stage = owning().await;
    stage.rate = Some(RATE);
    let id = stage.webhook(1).await;
    let began = Instant::now();
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    stage.activate(id, false).await;
    until("the end of the actor", || stage.shard.actor(id).is_none()).await;
    stage.activate(id, true).await;
    stage.publish().await;
    until("another delivery", || stage.delivered(id) == 2).await;
    assert!(began.elapsed() >= PERIOD, "{:?}", began.elapsed());
    stage.hub.shutdown().await;
}
