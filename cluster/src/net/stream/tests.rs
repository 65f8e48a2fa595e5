//! Tagged frames, with everything that may happen to bytes on the way.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::net::secure::frame_tag::{both_ways, pair};
use crate::wire::frame::Kind;

type Frames = Vec<(Head, Vec<u8>)>;

/// The bytes that a peer would send, each frame with its tag.
fn tagged(bodies: &[Vec<u8>], frame_tag: &mut FrameTag) -> Vec<Vec<u8>> {
    let one = |(id, body): (usize, &Vec<u8>)| {
        let mut frame = frame::encode(Kind::Request, 0, id as u64, body).unwrap();
        let tag = frame_tag.tag(&[&frame]);
        frame.extend_from_slice(&tag);
        frame
    };
    bodies.iter().enumerate().map(one).collect()
}

/// All frames that are accepted before the first bad one, and whether the stream ended properly.
fn taken(bytes: &[u8], frame_tag: &mut FrameTag) -> (Frames, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut rest, mut frames) = (bytes, Vec::new());
        while !rest.is_empty() {
            match read_frame(&mut rest, 1 << 20, Some(frame_tag)).await {
                Ok(frame) => frames.push(frame),
                Err(_) => return (frames, false),
            }
        }
        (frames, true)
    })
}

fn bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 2..6)
}

proptest! {
    #[test]
    fn frames_arrive_as_they_were_sent(bodies in bodies()) {
        let (mut send, mut receive) = pair();
        let (frames, whole) = taken(&tagged(&bodies, &mut send).concat(), &mut receive);
        prop_assert!(whole);
        prop_assert!(frames.iter().map(|(_, body)| body).eq(&bodies));
    }

    #[test]
    fn any_flipped_bit_ends_the_connection(bodies in bodies(), at in any::<usize>(), bit in 0..8_u32, mend in any::<bool>()) {
        let (mut send, mut receive) = pair();
        let mut frames = tagged(&bodies, &mut send);
        let place = at % frames.len();
        let inside = (at / 7) % frames[place].len();
        frames[place][inside] ^= 1 << bit;
        if mend && !(20..24).contains(&inside) {
            // An attacker who changes a frame can make its checksum match, but not its tag.
            mend_checksum(&mut frames[place]);
        }
        let (taken, whole) = taken(&frames.concat(), &mut receive);
        prop_assert!(!whole);
        prop_assert_eq!(taken.len(), place);
    }

    #[test]
    fn repeated_missing_moved_and_reflected_frames_end_the_connection(bodies in bodies(), at in any::<usize>(), how in 0..4) {
        let (mut send, mut receive) = pair();
        let mut frames = tagged(&bodies, &mut send);
        let place = at % (frames.len() - 1);
        match how {
            0 => frames.insert(place, frames[place].clone()),
            1 => drop(frames.remove(place)),
            2 => frames.swap(place, place + 1),
            _ => receive = both_ways().1,
        }
        let (taken, whole) = taken(&frames.concat(), &mut receive);
        prop_assert!(!whole);
        prop_assert_eq!(taken.len(), match how { 0 => place + 1, 3 => 0, _ => place });
    }
}

fn mend_checksum(frame: &mut [u8]) {
    let Some(head_bytes) = frame.first_chunk::<HEAD>() else { return };
    let Ok(head) = frame::head(head_bytes) else { return };
    let end = (HEAD + head.length).min(frame.len());
    let mended = frame::encode(head.kind, head.group, head.id, &frame[HEAD..end]).unwrap();
    frame[..HEAD].copy_from_slice(&mended[..HEAD]);
}

/// Only prints: `cargo test -p waypost-cluster --release --lib frame_tags_are_cheap -- --nocapture`.
#[test]
fn frame_tags_are_cheap() {
    for size in [100, 4096, 65_536, 1 << 20] {
        let (mut send, _) = pair();
        let (frame, begin, mut bytes) = (vec![7; size], Instant::now(), 0_usize);
        while begin.elapsed() < Duration::from_millis(50) {
            send.tag(&[&frame]);
            bytes += size;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let each = seconds * 1e9 / (bytes / size) as f64;
        println!("frames of {size} bytes: {:.0} MB/s, {each:.0} ns each", bytes as f64 / seconds / 1e6);
    }
}
