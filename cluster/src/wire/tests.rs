//! Golden bytes and hostile bytes.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;
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

/// The encoded identity of [`member`].
fn pinned() -> String {
    "01".to_owned() + &"05".repeat(32)
}

fn introduction() -> IntroductionV1 {
    IntroductionV1 { position: 300, id: 4, identity: [5; 32], by: [6; 32], signature: vec![9].into() }
}

/// The encoded [`introduction`].
fn introduced() -> String {
    "fb2c0104".to_owned() + &"05".repeat(32) + &"06".repeat(32) + "0109"
}

const ID: StoredLogId = StoredLogId { term: 3, node: 2, index: 300 };
const STAMP: StampV1 = StampV1 { time_ms: 1, expiry_ms: 300, checked: true };
const VOTE: StoredVote = StoredVote { term: 3, node: 2, committed: true };

fn proposal() -> ProposalV1 {
    let incarnation = IncarnationV1 { ordinal: 2, process: 300 };
    ProposalV1 { incarnation, number: 5, open: vec![3] }
}

fn borrowed(commands: &[Vec<u8>]) -> Vec<&serde_bytes::Bytes> {
    commands.iter().map(|command| serde_bytes::Bytes::new(command)).collect()
}

fn member() -> MemberV1 {
    MemberV1 {
        peer_addr: "a:1".to_owned(),
        learner_only: false,
        meta: vec![("k".to_owned(), "v".to_owned())],
        identity: Some([5; 32]),
    }
}

fn membership() -> MembershipV1 {
    MembershipV1 { log_id: Some(ID), voters: vec![vec![1, 2]], nodes: vec![(1, member()), (2, member())] }
}

fn newcomer() -> NewcomerV1 {
    let members = vec![([8; 16], "b:1".to_owned())];
    let agreement = Some(AgreementV1 { founder: [7; 16], number: 1, members });
    NewcomerV1 { id: [7; 16], addr: "a:1".to_owned(), expect: 3, proposed: 1, agreement }
}

fn newcomer_bytes() -> String {
    format!("{0}03613a31030101{0}0101{1}03623a31", "07".repeat(16), "08".repeat(16))
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
    golden(&Request::NewIdV1 { member: member() }, &("0603613a310001016b0176".to_owned() + &pinned()));
    golden(
        &Request::AnnounceV1(Announce { id: 4, member: member(), join: true }),
        &("070403613a310001016b0176".to_owned() + &pinned() + "01"),
    );
    let pairs = vec![PairV1 { key: vec![1].into(), record: vec![2, 3].into() }];
    golden(&Request::SnapshotChunkV1 { index: 1, crc: 70_000, pairs }, "0901fc70110100010101020203");
    golden(&Request::SnapshotEndV1 { chunks: 2, pairs: 3 }, "0a0203");
    golden(&Request::CountedV1, "0b");
    golden(&Request::ClockV1 { reported: None }, "0c00");
    golden(&Request::ClockV1 { reported: Some(STAMP) }, "0c0101fb2c0101");
    golden(&Request::WhoV1, "0d");
    golden(&Request::GreetV1(newcomer()), &("0e".to_owned() + &newcomer_bytes()));
    let commands = vec![vec![1, 2].into()];
    let forward = Request::ForwardV2 { flow: None, proposal: proposal(), commands };
    golden(&forward, "0f0002fb2c0105010301020102");
    let forward = Request::ForwardV2 { flow: Some(300), proposal: proposal(), commands: vec![] };
    golden(&forward, "0f01fb2c0102fb2c0105010300");
    golden(&Request::IntroduceV1, "10");
    golden(&Request::RecordsV1 { from: 7, upto: ID }, "11070302fb2c01");
    golden(&Request::EndV1, "12");
    golden(&Request::StateV1 { after: None }, "1300");
    golden(&Request::StateV1 { after: Some(vec![1, 2].into()) }, "1301020102");
}

#[test]
fn what_a_request_carries_shares_the_memory_of_its_frame() {
    let entry = |content: Vec<u8>| WireEntry { id: ID, kind: 1, content: content.into() };
    let entries = vec![entry(vec![9; 300]), entry(Vec::new())];
    let append = Append { vote: VOTE, prev: Some(ID), commit: None, entries };
    let commands = vec![vec![1; 300].into(), Vec::new().into(), vec![2].into()];
    let forward = Request::ForwardV2 { flow: Some(300), proposal: proposal(), commands };
    for request in [Request::AppendV1(append), forward, Request::ReadIndexV1] {
        let frame = Bytes::from(encode(&request).unwrap());
        let found = Request::of_frame(&frame).unwrap();
        assert_eq!(found, request);
        let carried = match found {
            Request::AppendV1(append) => append.entries[0].content.clone(),
            Request::ForwardV2 { commands, .. } => commands[0].clone(),
            _ => frame.clone(),
        };
        assert!(frame.as_ptr_range().contains(&carried.as_ptr()));
        let longer = [&frame[..], &[0]].concat();
        assert_eq!(Request::of_frame(&Bytes::from(longer)), Err(WireError::Trailing(1)));
        for end in 0..frame.len() {
            assert!(Request::of_frame(&frame.slice(..end)).is_err(), "{end}");
        }
    }
}

#[test]
fn a_large_message_is_written_where_it_stays() {
    let bytes = encode(&Request::AppV1 { body: vec![7; 100_000].into() }).unwrap();
    assert_eq!(bytes.capacity(), bytes.len());
}

#[test]
fn answers_keep_their_bytes() {
    golden(&Answer::VoteV1 { vote: VOTE, granted: true, last: None }, "000302010100");
    golden(&Answer::AppendV1(Appended::Partial(Some(ID))), "0101010302fb2c01");
    golden(&Answer::AppendV1(Appended::Higher(VOTE)), "0103030201");
    let done = Forwarded::Done { index: 300, time_ms: 1_700_000_000_000, replies: vec![vec![1].into()] };
    golden(&Answer::ForwardV1(done), "0300fb2c01fd0068e5cf8b010000010101");
    golden(&Answer::ForwardV1(Forwarded::NotStored { leader: 2, overloaded: false }), "03010200");
    golden(&Answer::ForwardV1(Forwarded::Superseded { ordinal: 2 }), "030302");
    golden(&Answer::ForwardV1(Forwarded::Forgotten), "0304");
    golden(&Answer::ReadIndexV1 { index: Some(9) }, "040109");
    let known = KnownV1 { id: 1, addr: "a:1".to_owned(), identity: [5; 32] };
    let id = JoinReply::Id { cluster_id: [7; 16], id: 4, peers: vec![known] };
    let bytes = "0600".to_owned() + &"07".repeat(16) + "04010103613a31" + &"05".repeat(32);
    golden(&Answer::JoinV1(id), &bytes);
    let member = JoinReply::Member { introductions: vec![introduction()] };
    golden(&Answer::JoinV1(member), &("060101".to_owned() + &introduced()));
    golden(&Answer::JoinV1(JoinReply::NotNow { reason: "no".to_owned() }), "0604026e6f");
    golden(&Answer::SnapshotV1 { vote: VOTE, done: true }, "0703020101");
    golden(&Answer::FailedV1 { reason: "no".to_owned() }, "08026e6f");
    golden(&Answer::CountedV1 { term: 3, index: 300 }, "0903fb2c01");
    golden(&Answer::ClockV1 { clock_ms: 300 }, "0afb2c01");
    golden(&Answer::NoGroupV1 { group: 300 }, "0bfb2c01");
    let process = ProcessV1 { cluster_id: [7; 16], id: 2, incarnation: 300 };
    golden(&Answer::WhoV1(process), &format!("0c{}02fb2c01", "07".repeat(16)));
    golden(&Answer::GreetedV1(Greeted::Member), "0d00");
    golden(&Answer::GreetedV1(Greeted::Newcomer(newcomer())), &("0d01".to_owned() + &newcomer_bytes()));
    golden(&Answer::JoinV1(JoinReply::Claimed { addr: "a:1".to_owned() }), "060503613a31");
    let entry = WireEntry { id: ID, kind: 1, content: vec![9, 8].into() };
    golden(&Answer::RecordsV1(Records::Held(vec![entry])), "0e00010302fb2c0101020908");
    golden(&Answer::RecordsV1(Records::Lacks), "0e01");
    golden(&Answer::RecordsV1(Records::Purged), "0e02");
    golden(&Answer::RecordsV1(Records::Damaged), "0e03");
    let end = EndV1 { leads: true, last: Some(ID), is_sure: true, applied: 300 };
    golden(&Answer::EndV1(end), "0f01010302fb2c0101fb2c01");
    let pairs = vec![PairV1 { key: vec![1].into(), record: vec![2, 3].into() }];
    let state = SystemV1::default();
    let bytes = format!("10{}fc7011010001010102020301", "00".repeat(10));
    golden(&Answer::StateV1 { state, crc: 70_000, pairs, is_last: true }, &bytes);
    let hello = Hello { cluster_id: [7; 16], from: 1, to: 2, from_addr: "a:1".to_owned(), lane: 4 };
    let shown = ShownV1 {
        identity: [5; 32],
        signature: vec![9].into(),
        proofs: vec![[6; 32]],
        introductions: vec![introduction()],
    };
    let shown_bytes = "05".repeat(32) + "010901" + &"06".repeat(32) + "01" + &introduced();
    let hello_bytes = "07".repeat(16) + "010203613a3104";
    golden(&Greeting { hello, shown: shown.clone() }, &(hello_bytes + &shown_bytes));
    golden(&Welcome::OkV1(shown), &("00".to_owned() + &shown_bytes));
    golden(&Welcome::RefusedV1 { reason: "no".to_owned() }, "01026e6f");
}

#[test]
fn stored_records_keep_their_bytes() {
    let system = SystemV1 {
        applied: Some(ID),
        membership: membership(),
        stamp: STAMP,
        id_ms: 3,
        last_node_id: 2,
        awaited: vec![AwaitedV1 { id: 2, identity: [6; 32] }],
    };
    let members = format!("0103613a310001016b0176{0}0203613a310001016b0176{0}", pinned());
    let bytes = format!("010302fb2c01010302fb2c010102010202{members}01fb2c010103020102{}", "06".repeat(32));
    golden(&system, &bytes);
    let identity = IdentityV1 {
        cluster_id: [7; 16],
        node_id: 3,
        joined: true,
        peers: vec![KnownV1 { id: 1, addr: "a:1".to_owned(), identity: [5; 32] }],
        introductions: vec![introduction()],
    };
    let bytes = "07".repeat(16) + "0301010103613a31" + &"05".repeat(32) + "01" + &introduced();
    golden(&identity, &bytes);
    let former = FormerV1 { cluster_id: [7; 16], addrs: vec!["a:1".to_owned()] };
    golden(&former, &("07".repeat(16) + "0103613a31"));
    let commands = [vec![1, 2], vec![3]];
    let before = EntryData::CommandsV1 { stamp: STAMP, commands: borrowed(&commands) };
    assert_eq!(hex(&before.to_data().unwrap().0), "0001fb2c0101020201020103");
    let part = PartV1 { node: 3, proposal: proposal(), commands: borrowed(&commands) };
    let data = EntryData::CommandsV2 { stamp: STAMP, parts: vec![part] };
    assert_eq!(hex(&data.to_data().unwrap().0), "0201fb2c0101010302fb2c01050103020201020103");
    let allocate = EntryData::AllocateV1 { identity: [5; 32] };
    assert_eq!(hex(&allocate.to_data().unwrap().0), "01".to_owned() + &"05".repeat(32));
}

#[test]
fn what_is_remembered_of_proposals_keeps_its_bytes() {
    let incarnation = proposal().incarnation;
    golden(&ProposerV1 { incarnation, highest: 5, waiting: vec![3] }, "02fb2c01050103");
    let replies = [vec![9]];
    let remembered = RememberedV1 { index: 300, time_ms: 1, replies: Some(borrowed(&replies)) };
    let bytes = encode(&remembered).unwrap();
    assert_eq!(hex(&bytes), "fb2c010101010109");
    assert_eq!(decode_borrowed::<RememberedV1<'_>>(&bytes).unwrap(), remembered);
    let forgotten = RememberedV1 { index: 300, time_ms: 1, replies: None };
    assert_eq!(hex(&encode(&forgotten).unwrap()), "fb2c010100");
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
        format!(
            "030000000000000002000000000000002c0100000000000003000000000000000200000000000000\
             01f00000000040a7168ef1020000007b467f190102f25e000000b18c04df\
             0001020102020103613a310001016b0176{0}0203613a310001016b0176{0}",
            pinned()
        )
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
fn marks_keep_their_bytes() {
    let mut bytes = Vec::new();
    assert_eq!(StoredMark(0x0102).encode(&mut bytes).unwrap(), 8);
    assert_eq!(hex(&bytes), "0201000000000000");
    assert_eq!(StoredMark::decode(bytes.as_slice()).unwrap(), StoredMark(0x0102));
}

#[test]
fn frames_keep_their_bytes() {
    let bytes = frame::encode(frame::Kind::Request, 0x0203, 5, b"body").unwrap();
    assert_eq!(hex(&bytes), "57505354030203020500000000000000040000001f79b3d9626f6479");
    let frame = frame::Frame::new(frame::Kind::Request, 0x0203, 5, "body".into()).unwrap();
    assert_eq!([&frame.head[..], &frame.body[..]].concat(), bytes);
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
        let stamp = StampV1 { time_ms: times.0, expiry_ms: times.1, checked: times.2 };
        let part = || PartV1 { node: 3, proposal: proposal(), commands: borrowed(&commands) };
        let sent = EntryData::CommandsV2 { stamp, parts: vec![part(), part()] };
        let data = sent.to_data().unwrap();
        prop_assert_eq!(EntryData::decode(&data.0).unwrap(), sent);
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
    bytes[4] = 4;
    let refused = frame::head(bytes.first_chunk().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("version 4") && refused.contains("upgrade this node"), "{refused}");
    let refused = StoredPayload::from_parts(9, Bytes::new()).unwrap_err().to_string();
    assert!(refused.contains("kind 9") && refused.contains("newer"), "{refused}");
}
