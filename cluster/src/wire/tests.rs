//! Golden bytes and hostile bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use raft_log::codeq::{Decode, Encode};

use super::system::MemberV1;
use super::*;
use crate::types::{Data, Payload};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn golden<T>(value: &T, expected: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    let bytes = encode(value).unwrap();
    assert_eq!(hex(&bytes), expected, "{value:?}");
    assert_eq!(&decode::<T>(&bytes).unwrap(), value);
}

const ID: StoredLogId = StoredLogId { term: 3, node: 2, index: 300 };
const STAMP: StampV1 = StampV1 { time_ms: 1, expiry_ms: 300, checked: true };
const VOTE: StoredVote = StoredVote { term: 3, node: 2, committed: true };

fn member() -> MemberV1 {
    MemberV1 {
        peer_addr: "a:1".to_owned(),
        learner_only: false,
        meta: vec![("k".to_owned(), "v".to_owned())],
    }
}

fn membership() -> MembershipV1 {
    MembershipV1 { log_id: Some(ID), voters: vec![vec![1, 2]], nodes: vec![(1, member()), (2, member())] }
}

#[test]
fn requests_keep_their_bytes() {
    golden(
        &Request::VoteV1 { vote: VOTE, last: Some(ID), transfer: false, pre: true },
        "00030201010302fb2c010001",
    );
    let entry = WireEntry { id: ID, kind: 1, content: vec![9, 8].into() };
    let append = Append { vote: VOTE, prev: None, commit: Some(ID), entries: vec![entry] };
    golden(&Request::AppendV1(append), "0103020100010302fb2c01010302fb2c0101020908");
    golden(&Request::TransferV1 { from: VOTE, to: 5, last: None }, "020302010500");
    golden(&Request::ForwardV1 { commands: vec![vec![1, 2].into(), vec![].into()] }, "030202010200");
    golden(&Request::ReadIndexV1, "04");
    golden(&Request::AppV1 { body: vec![7].into() }, "050107");
    golden(&Request::NewIdV1 { member: member() }, "0603613a310001016b0176");
    golden(
        &Request::AnnounceV1(Announce { id: 4, member: member(), join: true }),
        "070403613a310001016b017601",
    );
    let pairs = vec![PairV1 { key: vec![1].into(), record: vec![2, 3].into() }];
    golden(&Request::SnapshotChunkV1 { place: 1, crc: 70_000, pairs }, "0901fc70110100010101020203");
    golden(&Request::SnapshotEndV1 { chunks: 2, pairs: 3 }, "0a0203");
    golden(&Request::CountedV1, "0b");
    golden(&Request::ClockV1 { told: None }, "0c00");
    golden(&Request::ClockV1 { told: Some(STAMP) }, "0c0101fb2c0101");
}

#[test]
fn answers_keep_their_bytes() {
    golden(&Answer::VoteV1 { vote: VOTE, granted: true, last: None }, "000302010100");
    golden(&Answer::AppendV1(Appended::Partial(Some(ID))), "0101010302fb2c01");
    golden(&Answer::AppendV1(Appended::Higher(VOTE)), "0103030201");
    let done = Forwarded::Done { index: 300, time_ms: 1_700_000_000_000, replies: vec![vec![1].into()] };
    golden(&Answer::ForwardV1(done), "0300fb2c01fd0068e5cf8b010000010101");
    golden(&Answer::ForwardV1(Forwarded::NotStored { leader: 2, overloaded: false }), "03010200");
    golden(&Answer::ReadIndexV1 { index: Some(9) }, "040109");
    let id = JoinReply::Id { cluster_id: [7; 16], id: 4, peers: vec![(1, "a:1".to_owned())] };
    golden(&Answer::JoinV1(id), "06000707070707070707070707070707070704010103613a31");
    golden(&Answer::JoinV1(JoinReply::NotNow { reason: "no".to_owned() }), "0604026e6f");
    golden(&Answer::SnapshotV1 { vote: VOTE, done: true }, "0703020101");
    golden(&Answer::FailedV1 { reason: "no".to_owned() }, "08026e6f");
    golden(&Answer::CountedV1 { term: 3, index: 300 }, "0903fb2c01");
    golden(&Answer::ClockV1 { clock_ms: 300 }, "0afb2c01");
    golden(&Answer::NoGroupV1 { group: 300 }, "0bfb2c01");
    golden(
        &Hello { cluster_id: [7; 16], from: 1, to: 2, from_addr: "a:1".to_owned(), lane: 4 },
        "07070707070707070707070707070707010203613a3104",
    );
    let hello = Hello { cluster_id: [7; 16], from: 1, to: 2, from_addr: "a:1".to_owned(), lane: 4 };
    let bytes = "07".repeat(16) + "010203613a3104";
    golden(&KeyHello { nonce: [9; 32], hello }, &("09".repeat(32) + &bytes));
    golden(&KeyNonce { nonce: [8; 32] }, &"08".repeat(32));
    golden(&KeyProof { proof: [6; 32] }, &"06".repeat(32));
    golden(&Welcome::RefusedV1 { reason: "no".to_owned() }, "01026e6f");
}

#[test]
fn stored_records_keep_their_bytes() {
    let system =
        SystemV1 { applied: Some(ID), membership: membership(), stamp: STAMP, id_ms: 3, last_node_id: 2 };
    golden(
        &system,
        "010302fb2c01010302fb2c0101020102020103613a310001016b01760203613a310001016b017601fb2c01010302",
    );
    let identity =
        IdentityV1 { cluster_id: [7; 16], node_id: 3, joined: true, peers: vec![(1, "a:1".to_owned())] };
    golden(&identity, "070707070707070707070707070707070301010103613a31");
    let data = EntryData::commands(STAMP, &[vec![1, 2].into(), vec![3].into()]).unwrap();
    assert_eq!(hex(&data.0), "0001fb2c0101020201020103");
    assert_eq!(hex(&EntryData::AllocateV1.to_data().unwrap().0), "01");
}

#[test]
fn the_log_keeps_its_bytes() {
    let mut bytes = Vec::new();
    ID.encode(&mut bytes).unwrap();
    VOTE.encode(&mut bytes).unwrap();
    StoredPayload(Payload::Blank).encode(&mut bytes).unwrap();
    StoredPayload(Payload::Normal(Data(vec![1, 2].into()))).encode(&mut bytes).unwrap();
    let members = MembershipV1 { log_id: None, ..membership() }.into_membership().unwrap();
    let payload = StoredPayload(Payload::Membership(members));
    payload.encode(&mut bytes).unwrap();
    assert_eq!(
        hex(&bytes),
        "030000000000000002000000000000002c010000000000000300000000000000020000000000000001f00000000040a7168ef1020000007b467f190102f21c000000071c19ee0001020102020103613a310001016b01760203613a310001016b0176"
    );
    let mut rest = bytes.as_slice();
    assert_eq!(StoredLogId::decode(&mut rest).unwrap(), ID);
    assert_eq!(StoredVote::decode(&mut rest).unwrap(), VOTE);
    StoredPayload::decode(&mut rest).unwrap();
    StoredPayload::decode(&mut rest).unwrap();
    assert_eq!(StoredPayload::decode(&mut rest).unwrap(), payload);
    let before = StoredPayload::decode([1, 2, 0, 0, 0, 8, 9].as_slice()).unwrap();
    assert_eq!(before.0, Payload::Normal(Data(vec![8, 9].into())), "as 0.1 wrote it");
}

#[test]
fn frames_keep_their_bytes() {
    let bytes = frame::encode(frame::Kind::Request, 0x0203, 5, b"body").unwrap();
    assert_eq!(hex(&bytes), "57505354020203020500000000000000040000005942d4bc626f6479");
    let head_bytes = *bytes.first_chunk().unwrap();
    let head = frame::head(&head_bytes).unwrap();
    assert_eq!((head.kind, head.group, head.id, head.length), (frame::Kind::Request, 0x0203, 5, 4));
    frame::check(&head_bytes, &head, b"body").unwrap();
    frame::check(&head_bytes, &head, b"bodz").unwrap_err();
}

#[test]
fn left_over_bytes_and_hostile_lengths_are_errors() {
    let mut bytes = encode(&Request::ReadIndexV1).unwrap();
    bytes.push(0);
    assert_eq!(decode::<Request>(&bytes), Err(WireError::Trailing(1)));
    // A length of 2^64 - 1 elements, in nine bytes.
    let hostile = [3, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(decode::<Request>(&hostile).is_err());
    let huge = [&[1_u8][..], &u32::MAX.to_le_bytes()].concat();
    assert!(StoredPayload::decode(huge.as_slice()).is_err());
}

proptest! {
    #[test]
    fn decoding_anything_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        crate::fuzz::peer_frame(&bytes);
        crate::fuzz::log_entry(&bytes);
    }

    #[test]
    fn a_flipped_bit_in_a_frame_is_found(body in proptest::collection::vec(any::<u8>(), 0..100), at in any::<usize>(), bit in 0..8_u32) {
        let mut bytes = frame::encode(frame::Kind::Answer, 0, 77, &body).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1_u8 << bit;
        let head_bytes = *bytes.first_chunk().unwrap();
        let found = match frame::head(&head_bytes) {
            Err(_) => true,
            Ok(head) => head.length != body.len() || frame::check(&head_bytes, &head, &bytes[frame::HEAD..]).is_err(),
        };
        prop_assert!(found);
    }

    #[test]
    fn commands_are_decoded_as_they_were_encoded(times in any::<(u64, u64, bool)>(), commands in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let commands: Vec<bytes::Bytes> = commands.into_iter().map(Into::into).collect();
        let sent = StampV1 { time_ms: times.0, expiry_ms: times.1, checked: times.2 };
        let data = EntryData::commands(sent, &commands).unwrap();
        let EntryData::CommandsV1 { stamp, commands: back } = EntryData::decode(&data.0).unwrap() else { panic!() };
        prop_assert_eq!(stamp, sent);
        prop_assert!(back.iter().map(|c| &c[..]).eq(commands.iter().map(|c| &c[..])));
    }
}

#[test]
fn wishes_are_kept_in_the_old_layout() {
    use crate::types::{Member, Wishes};
    let wishes = Wishes { voter: Some(false), drained_ms: Some(7) };
    let member = Member { peer_addr: "a:1".to_owned(), wishes, ..Member::default() };
    assert_eq!(Member::from(MemberV1::from(&member)), member);
    let without = Member { wishes: Wishes::default(), ..member };
    assert!(MemberV1::from(&without).meta.is_empty());
    assert_eq!(Member::from(MemberV1::from(&without)), without);
}

#[test]
fn newer_versions_are_refused_with_a_clear_reason() {
    let mut bytes = frame::encode(frame::Kind::Hello, frame::NODE, 1, b"x").unwrap();
    bytes[4] = 3;
    let refused = frame::head(bytes.first_chunk().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("version 3") && refused.contains("upgrade this node"), "{refused}");
    let refused = StoredPayload::from_parts(9, bytes::Bytes::new()).unwrap_err().to_string();
    assert!(refused.contains("kind 9") && refused.contains("newer"), "{refused}");
}
