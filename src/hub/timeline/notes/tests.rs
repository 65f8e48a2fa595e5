use super::*;
use proptest::prelude::*;

fn author() -> impl Strategy<Value = Author> {
    prop_oneof![
        Just(Author::Admin),
        any::<[u8; 16]>().prop_map(|id| Author::Token(TokenId::from_bytes(id))),
        any::<[u8; 16]>().prop_map(|id| Author::Source(SourceId::from_bytes(id))),
    ]
}

fn publish() -> impl Strategy<Value = PublishNote> {
    let ids = (0..1u64 << 48, 0..1u64 << 48, 0..1u32 << 19);
    let via = (0..Via::ALL.len()).prop_map(|index| Via::ALL[index]);
    let numbers = (1..1000u32, any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>());
    (ids, author(), via, numbers).prop_map(|((time, index, slot), author, via, numbers)| {
        let (count, stream, first_seq, received_ns, proposed_us) = numbers;
        let first_id = EventId::new(time, index, slot);
        let stream = TopicId(stream);
        PublishNote { first_id, count, stream, first_seq, author, via, received_ns, proposed_us }
    })
}

proptest! {
    #[test]
    fn notes_survive_their_words(
        publish in publish(), numbers in any::<[u64; 6]>(), slots in any::<(u32, u32)>(),
        ids in any::<([u8; 16], [u8; 16])>(), status in prop::option::of(100..600u16),
        class in prop::sample::select(Class::ALL.to_vec()), flags in any::<[bool; 2]>(),
    ) {
        prop_assert_eq!(PublishNote::of(&publish.words()), Some(publish));
        let [index, node, incarnation, number, began_ns, done_ns] = numbers;
        let (first_slot, end_slot) = slots;
        let proposal = (node, incarnation, number);
        let leader = node ^ 1;
        let apply = ApplyNote { index, first_slot, end_slot, proposal, leader, began_ns, done_ns };
        prop_assert_eq!(ApplyNote::of(&apply.words()), apply);
        let (event, receiver) = (EventId::from_bytes(ids.0), WebhookId::from_bytes(ids.1));
        let (attempt, took_ms) = slots;
        let [is_given_up, is_replay] = flags;
        let delivery = DeliveryNote {
            event, receiver, at_ms: index, attempt, took_ms, status, class, is_given_up, is_replay,
        };
        prop_assert_eq!(DeliveryNote::of(&delivery.words()), Some(delivery));
    }

    #[test]
    fn an_event_is_found_in_its_own_publish_alone(publishes in prop::collection::vec(publish(), 1..20)) {
        let notes = Notes::default();
        publishes.iter().for_each(|publish| notes.published(publish));
        for publish in &publishes {
            for event in [publish.first_id, publish.first_id.plus_slots(publish.count - 1)] {
                let found = notes.publish_of(event).unwrap();
                prop_assert!(found.place_of(event).is_some());
                prop_assert!(publishes.contains(&found));
            }
            let behind = publish.first_id.plus_slots(publish.count);
            if let Some(found) = notes.publish_of(behind) {
                prop_assert!(found != *publish && found.place_of(behind).is_some());
            }
        }
    }
}

#[test]
fn the_proposals_of_an_entry_are_told_apart_by_the_places_of_their_events() {
    let notes = Notes::default();
    let mut applying = Applying::default();
    assert!(notes.began_after(7), "nothing was applied yet");
    let name = |node| Some(ProposalName { node, incarnation: 5, number: 9 });
    applying.begin(|| 100);
    applying.begin(|| 200);
    applying.applied((7, 3), name(1), (0, 2));
    applying.applied((7, 3), name(1), (2, 2));
    applying.applied((7, 3), name(1), (2, 3));
    applying.applied((7, 3), name(2), (3, 5));
    applying.applied((8, 3), name(2), (0, 1));
    applying.commit(&notes, || 300);
    let of = |index, slot| notes.apply_of(EventId::new(1, index, slot));
    for (index, slot, node) in [(7, 0, 1), (7, 2, 1), (7, 3, 2), (7, 4, 2), (8, 0, 2)] {
        let note = of(index, slot).unwrap();
        assert_eq!((note.proposal, note.began_ns, note.done_ns), ((node, 5, 9), 100, 300), "{index}/{slot}");
    }
    assert_eq!((of(7, 5), of(8, 1), of(9, 0)), (None, None, None));
    assert!(notes.began_after(6) && !notes.began_after(7));
    applying.commit(&notes, || 400);
    assert_eq!(of(8, 0).unwrap().done_ns, 300, "there was nothing more");
}
