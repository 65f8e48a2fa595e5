use super::*;
use crate::core::webhook::standing::{ConsumerStanding, WebhookStanding};

fn map(n: u8) -> MapId {
    MapId::from_bytes([n; 16])
}

fn standings(webhooks: &[WebhookStanding], consumers: &[ConsumerStanding]) -> Standings {
    let mut counts = Standings::default();
    webhooks.iter().for_each(|standing| counts.count_webhook(*standing));
    consumers.iter().for_each(|standing| counts.count_consumer(*standing));
    counts
}

#[test]
fn the_worst_maps_come_first() {
    use WebhookStanding::{Behind, Failing, Healthy};
    let of_maps = FxHashMap::from_iter([
        (map(1), standings(&[Healthy, Healthy], &[ConsumerStanding::UpToDate])),
        (map(2), standings(&[Behind, Behind, Behind], &[])),
        (map(3), standings(&[Healthy], &[ConsumerStanding::Unread])),
        (map(4), standings(&[Failing, Behind], &[])),
        (map(5), standings(&[Failing], &[])),
    ]);
    let counted = Counted::new(of_maps, 7);
    let worst = |most| counted.worst(most).into_iter().map(|(map, _)| map).collect::<Vec<_>>();
    assert_eq!(worst(9), [map(4), map(3), map(5), map(2)], "what is well is no trouble");
    assert_eq!(worst(1), [map(4)]);
    assert_eq!(counted.all().webhooks_json()["total"], 9);
    assert_eq!((counted.of_map(map(3)).troubles(), counted.of_map(map(9)).troubles()), ((1, 0), (0, 0)));
    let mut failing: Vec<MapId> = counted.with_webhooks(Failing).collect();
    failing.sort_unstable();
    assert_eq!((failing, counted.all().webhooks(Failing)), (vec![map(4), map(5)], 2));
    assert_eq!(counted.at_ms(), 7);
}

#[test]
fn what_took_long_is_good_for_long() {
    let kept = LastStandings::default();
    let now = Instant::now();
    assert!(kept.good(now).is_none() && kept.last().is_none());
    kept.keep(Counted::default(), Duration::from_millis(1), now);
    assert!(kept.good(now + YOUNG / 2).is_some());
    assert!(kept.good(now + YOUNG).is_none() && kept.last().is_some());
    let took = Duration::from_secs(2);
    kept.keep(Counted::default(), took, now);
    assert!(kept.good(now + took * SHARE / 2).is_some(), "counting takes at most a twentieth of the time");
    assert!(kept.good(now + took * SHARE).is_none());
}
