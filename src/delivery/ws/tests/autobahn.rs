//! The cases of the Autobahn test suite for servers without compression, by their numbers there. The limits
//! of performance (9) are tried up to this server's largest message.

use super::{LIMIT, MAX_BYTES, with_server};
use std::net::SocketAddr;
use std::slice::from_ref;
use testkit::ws::{Message, Ws, client_frame as frame};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
/// The first bytes of fragments.
const FIRST_TEXT: u8 = 0x01;
const FIRST_BINARY: u8 = 0x02;
const MORE: u8 = 0x00;
const LAST: u8 = 0x80;

/// How a case ends.
#[derive(Clone, Copy)]
enum End {
    /// The connection is good: the client closes it with 1000, and so does the server.
    Open,
    /// The server closes with this code, and sends nothing after that.
    Closed(Option<u16>),
}

struct Case {
    number: String,
    sent: Vec<u8>,
    /// Bytes that are sent at once.
    cut: usize,
    answers: Vec<Message>,
    end: End,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    /// Adds a case whose bytes are sent in one piece.
    fn add(&mut self, number: &str, sent: &[Vec<u8>], answers: &[Message], end: End) {
        self.cut(number, usize::MAX, sent, answers, end);
    }

    /// Adds a case whose bytes are sent in pieces.
    fn cut(&mut self, number: &str, cut: usize, sent: &[Vec<u8>], answers: &[Message], end: End) {
        let number = number.to_owned();
        let answers = answers.to_vec();
        self.0.push(Case { number, sent: sent.concat(), cut, answers, end });
    }

    /// Adds the same case in one piece and byte by byte.
    fn both(&mut self, number: &str, sent: &[Vec<u8>], answers: &[Message], end: End) {
        self.add(number, sent, answers, end);
        self.cut(&format!("{number}, byte by byte"), 1, sent, answers, end);
    }
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, &[&code.to_be_bytes()[..], reason].concat())
}

fn text(text: &str) -> Message {
    Message::Text(text.to_owned())
}

/// A message in fragments of `size` bytes.
fn fragments(first: u8, payload: &[u8], size: usize) -> Vec<Vec<u8>> {
    let pieces: Vec<&[u8]> = payload.chunks(size).collect();
    let last = pieces.len() - 1;
    let heads = (0..pieces.len()).map(|index| {
        let head = if index == 0 { first } else { MORE };
        if index == last { head | 0x80 } else { head }
    });
    heads.zip(&pieces).map(|(head, piece)| frame(head, piece)).collect()
}

/// 1: sizes of frames. 9: large messages. 10: fragments.
fn sizes(cases: &mut Cases) {
    for (index, len) in [0, 125, 126, 127, 128, 0xffff, 0x10000].into_iter().enumerate() {
        let letters = "*".repeat(len);
        let bytes = vec![0xfe; len];
        let text = Message::Text(letters.clone());
        cases.add(&format!("1.1.{}", index + 1), &[frame(TEXT, letters.as_bytes())], &[text], End::Open);
        let binary = Message::Binary(bytes.clone());
        cases.add(&format!("1.2.{}", index + 1), &[frame(BINARY, &bytes)], &[binary], End::Open);
    }
    let letters = "*".repeat(0x10000);
    let bytes = vec![0xfe; 0x10000];
    let text = Message::Text(letters.clone());
    let binary = Message::Binary(bytes.clone());
    cases.cut("1.1.8", 997, &[frame(TEXT, letters.as_bytes())], from_ref(&text), End::Open);
    cases.cut("1.2.8", 997, &[frame(BINARY, &bytes)], from_ref(&binary), End::Open);
    let most = vec![0x2a; MAX_BYTES];
    cases.add("9.2", &[frame(BINARY, &most)], &[Message::Binary(most)], End::Open);
    let more = vec![0x2a; MAX_BYTES + 1];
    cases.add("9.2, too large", &[frame(BINARY, &more)], &[], End::Closed(Some(1009)));
    for size in [64, 256, 1024, 4096, 16384] {
        let sent = fragments(FIRST_TEXT, letters.as_bytes(), size);
        cases.add(&format!("9.3, {size}"), &sent, from_ref(&text), End::Open);
        let sent = fragments(FIRST_BINARY, &bytes, size);
        cases.add(&format!("9.4, {size}"), &sent, from_ref(&binary), End::Open);
    }
    let many: Vec<_> = (0..1000).map(|_| frame(TEXT, &[b'*'; 64])).collect();
    cases.add("9.7", &many, &vec![Message::Text("*".repeat(64)); 1000], End::Open);
    cases.add("10.1.1", &fragments(FIRST_TEXT, letters.as_bytes(), 1300), &[text], End::Open);
}

/// 2: pings and pongs.
fn pings(cases: &mut Cases) {
    let bytes = [0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff];
    let long = [0xfe; 125];
    for (number, payload) in
        [("2.1", &b""[..]), ("2.2", b"Hello, world!"), ("2.3", &bytes), ("2.4", &long), ("2.6", &long)]
    {
        let pong = Message::Pong(payload.to_vec());
        cases.both(number, &[frame(PING, payload)], &[pong], End::Open);
    }
    cases.add("2.5", &[frame(PING, &[0xfe; 126])], &[], End::Closed(Some(1002)));
    cases.add("2.7", &[frame(PONG, b"")], &[], End::Open);
    cases.add("2.8", &[frame(PONG, b"unsolicited")], &[], End::Open);
    let pong = Message::Pong(b"payload".to_vec());
    cases.add("2.9", &[frame(PONG, b"unsolicited"), frame(PING, b"payload")], &[pong], End::Open);
    let pings: Vec<_> = (0..10u8).map(|n| frame(PING, &[b'p', n])).collect();
    let pongs: Vec<_> = (0..10u8).map(|n| Message::Pong(vec![b'p', n])).collect();
    cases.both("2.10", &pings, &pongs, End::Open);
}

/// 3: reserved bits. 4: reserved opcodes. What comes before them is answered.
fn reserved(cases: &mut Cases) {
    let hello = || frame(TEXT, b"Hello, world!");
    let echoed = [text("Hello, world!")];
    cases.add("3.1", &[frame(TEXT | 0x10, b"Hello")], &[], End::Closed(Some(1002)));
    for (number, bits) in [("3.2", 0x20), ("3.4", 0x30), ("3.4, four", 0x40)] {
        let sent = [hello(), frame(TEXT | bits, b"Hello"), frame(PING, b"")];
        cases.both(number, &sent, &echoed, End::Closed(Some(1002)));
    }
    cases.add("3.5", &[frame(BINARY | 0x50, &[0; 8])], &[], End::Closed(Some(1002)));
    cases.add("3.6", &[frame(PING | 0x60, b"Hello")], &[], End::Closed(Some(1002)));
    cases.add("3.7", &[frame(0x88 | 0x70, &[])], &[], End::Closed(Some(1002)));
    for (index, opcode) in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].into_iter().enumerate() {
        let number = format!("4.{}.{}", 1 + index / 5, 1 + index % 5);
        cases.add(&number, &[frame(0x80 | opcode, b"")], &[], End::Closed(Some(1002)));
        let sent = [hello(), frame(0x80 | opcode, b"payload"), frame(PING, b"")];
        cases.both(&format!("{number}, after a text"), &sent, &echoed, End::Closed(Some(1002)));
    }
}

/// 5: fragmentation.
fn fragmentation(cases: &mut Cases) {
    let (one, two) = (|| frame(FIRST_TEXT, b"fragment1"), || frame(LAST, b"fragment2"));
    let whole = text("fragment1fragment2");
    let hello = || frame(TEXT, b"Hello, world!");
    cases.add("5.1", &[frame(PING & 0x7f, b"fragment1"), two()], &[], End::Closed(Some(1002)));
    cases.add("5.2", &[frame(PONG & 0x7f, b"fragment1"), two()], &[], End::Closed(Some(1002)));
    cases.both("5.3", &[one(), two()], std::slice::from_ref(&whole), End::Open);
    let pong = Message::Pong(b"ping payload".to_vec());
    cases.both("5.6", &[one(), frame(PING, b"ping payload"), two()], &[pong, whole.clone()], End::Open);
    cases.both("5.9", &[frame(LAST, b"non-empty"), hello()], &[], End::Closed(Some(1002)));
    cases.both("5.12", &[frame(MORE, b"non-empty"), hello()], &[], End::Closed(Some(1002)));
    let sent = [one(), two(), frame(MORE, b"fragment3"), frame(TEXT, b"fragment4")];
    cases.add("5.15", &sent, std::slice::from_ref(&whole), End::Closed(Some(1002)));
    for (number, first) in [("5.16", MORE), ("5.17", LAST)] {
        let sent = [frame(first, b"fragment1"), frame(FIRST_TEXT, b"fragment2"), frame(LAST, b"fragment3")];
        cases.add(number, &[&sent[..], &sent[..]].concat(), &[], End::Closed(Some(1002)));
    }
    cases.add("5.18", &[one(), frame(TEXT, b"fragment2")], &[], End::Closed(Some(1002)));
    let (ping, pong) = (|n: &[u8]| frame(PING, n), |n: &[u8]| Message::Pong(n.to_vec()));
    let sent = [
        frame(FIRST_TEXT, b"fragment1"),
        frame(MORE, b"fragment2"),
        ping(b"pongme 1!"),
        frame(MORE, b"fragment3"),
        frame(MORE, b"fragment4"),
        ping(b"pongme 2!"),
        frame(LAST, b"fragment5"),
    ];
    let all = text("fragment1fragment2fragment3fragment4fragment5");
    cases.both("5.19", &sent, &[pong(b"pongme 1!"), pong(b"pongme 2!"), all], End::Open);
}

/// 6: UTF-8.
fn utf8(cases: &mut Cases) {
    cases.add("6.1.1", &[frame(TEXT, b"")], &[text("")], End::Open);
    cases.add("6.1.2", &[frame(FIRST_TEXT, b""), frame(MORE, b""), frame(LAST, b"")], &[text("")], End::Open);
    let middle = [frame(FIRST_TEXT, b""), frame(MORE, b"middle"), frame(LAST, b"")];
    cases.add("6.1.3", &middle, &[text("middle")], End::Open);
    let long = "Hello-µ@ßöäüàá-UTF-8!!";
    for words in [long, "κόσμε", "\0", "\u{80}", "\u{800}", "\u{10000}", "\u{7f}", "\u{7ff}", "\u{ffff}"]
    {
        good_text(cases, words);
    }
    for words in ["\u{10ffff}", "\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{1fffe}", "\u{fdd0}", "\u{1f643}"] {
        good_text(cases, words);
    }
    let wrong = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    bad_text(cases, "6.3.1", wrong);
    let fast = [frame(FIRST_TEXT, "κόσμε".as_bytes()), frame(MORE, b"\xf4\x90\x80\x80")];
    cases.add("6.4.1", &fast, &[], End::Closed(Some(1007)));
    let fast = [frame(FIRST_TEXT, "κόσμε".as_bytes()), frame(MORE, b"\xf4"), frame(MORE, b"\x90")];
    cases.add("6.4.2", &fast, &[], End::Closed(Some(1007)));
    for (index, bad) in [
        &b"\xce"[..],
        b"\xce\xba\xe1",
        b"\xce\xba\xe1\xbd",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf",
        b"\x80\xbf\x80\xbf",
        b"\xc0 \xc1 \xc2 ",
        b"\xe0 \xe1 ",
        b"\xf0 \xf1 ",
        b"\xfe",
        b"\xff",
        b"\xfe\xfe\xff\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xc0\x80",
        b"\xe0\x80\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
    ]
    .into_iter()
    .enumerate()
    {
        bad_text(cases, &format!("6.6 to 6.20, {index}"), bad);
    }
}

/// Text comes back whole, however it is fragmented and cut.
fn good_text(cases: &mut Cases, words: &str) {
    let number = format!("6.2 to 6.23, {words:?}");
    let answer = [text(words)];
    cases.both(&number, &[frame(TEXT, words.as_bytes())], &answer, End::Open);
    let sent = fragments(FIRST_TEXT, words.as_bytes(), 1);
    cases.both(&format!("{number}, in fragments"), &sent, &answer, End::Open);
}

/// What is no text is refused, in one frame and in fragments.
fn bad_text(cases: &mut Cases, number: &str, bad: &[u8]) {
    cases.both(number, &[frame(TEXT, bad)], &[], End::Closed(Some(1007)));
    let sent = fragments(FIRST_TEXT, bad, 1);
    cases.add(&format!("{number}, in fragments"), &sent, &[], End::Closed(Some(1007)));
}

/// 7: closing.
fn closing(cases: &mut Cases) {
    let (hello, bye) = (|| frame(TEXT, b"Hello World!"), || close(1000, b""));
    let normal = End::Closed(Some(1000));
    cases.add("7.1.1", &[hello(), bye()], &[text("Hello World!")], normal);
    cases.add("7.1.2", &[bye(), bye()], &[], normal);
    cases.add("7.1.3", &[bye(), frame(PING, b"")], &[], normal);
    cases.add("7.1.4", &[bye(), hello()], &[], normal);
    cases.add("7.1.5", &[frame(FIRST_TEXT, b"fragment1"), bye(), frame(LAST, b"fragment2")], &[], normal);
    let long = "BAsd7&jh23".repeat(6000);
    let sent = [frame(TEXT, long.as_bytes()), bye(), frame(PING, b"")];
    cases.add("7.1.6", &sent, &[Message::Text(long)], normal);
    cases.add("7.3.1", &[frame(0x88, b"")], &[], End::Closed(None));
    cases.add("7.3.2", &[frame(0x88, b"a")], &[], End::Closed(Some(1002)));
    cases.add("7.3.3", &[bye()], &[], normal);
    cases.add("7.3.4", &[close(1000, b"Hello World!")], &[], normal);
    cases.add("7.3.5", &[close(1000, &[b'*'; 123])], &[], normal);
    cases.add("7.3.6", &[close(1000, &[b'*'; 124])], &[], End::Closed(Some(1002)));
    let bad = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited";
    cases.add("7.5.1", &[close(1000, bad)], &[], End::Closed(Some(1007)));
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.add(&format!("7.7, {code}"), &[close(code, b"")], &[], End::Closed(Some(code)));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        cases.add(&format!("7.9, {code}"), &[close(code, b"")], &[], End::Closed(Some(1002)));
        cases.add(&format!("7.9, {code}, why"), &[close(code, b"why")], &[], End::Closed(Some(1002)));
    }
}

/// Masking is no section of the suite: its frames are masked always.
fn masking(cases: &mut Cases) {
    cases.add("a frame without a mask", &[vec![TEXT, 2, b'h', b'i']], &[], End::Closed(Some(1002)));
    cases.add("a mask of zeros", &[vec![TEXT, 0x82, 0, 0, 0, 0, b'h', b'i']], &[text("hi")], End::Open);
    let wide = vec![TEXT, 0x80 | 126, 0, 2, 0, 0, 0, 0, b'h', b'i'];
    cases.both("a length with more bytes than it needs", &[wide], &[text("hi")], End::Open);
}

fn run(addr: SocketAddr, case: &Case) -> Result<(), String> {
    let mut ws = Ws::connect(addr, "/plain").map_err(|error| format!("{error:#}"))?;
    // The server may have closed before the last bytes are sent.
    let _ = case.sent.chunks(case.cut).try_for_each(|piece| ws.raw(piece));
    let mut next = || match ws.read(LIMIT) {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err("nothing came".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    };
    for expected in &case.answers {
        let got = next()?;
        if got != *expected {
            return Err(format!("expected {}, got {}", short(expected), short(&got)));
        }
    }
    let code = match case.end {
        End::Closed(code) => code,
        End::Open => Some(1000),
    };
    if matches!(case.end, End::Open) {
        ws.raw(&close(1000, b"")).map_err(|error| format!("{error:#}"))?;
    }
    match ws.read(LIMIT) {
        Ok(Some(Message::Close(got, _))) if got == code => {}
        other => return Err(format!("expected the close {code:?}, got {other:?}")),
    }
    // The server may have ended the connection already.
    let _ = ws.end_sending();
    match ws.read(LIMIT) {
        Ok(Some(Message::End)) => Ok(()),
        other => Err(format!("after the close came {other:?}")),
    }
}

fn short(message: &Message) -> String {
    format!("{message:?}").chars().take(80).collect()
}

#[test]
fn the_cases_of_autobahn_pass() {
    let mut cases = Cases::default();
    for add in [sizes, pings, reserved, fragmentation, utf8, closing, masking] {
        add(&mut cases);
    }
    with_server(move |addr| {
        let failed: Vec<String> = cases
            .0
            .iter()
            .filter_map(|case| run(addr, case).err().map(|error| format!("{}: {error}", case.number)))
            .collect();
        println!("{} cases", cases.0.len());
        assert!(
            failed.is_empty(),
            "{} of {} cases failed:\n{}",
            failed.len(),
            cases.0.len(),
            failed.join("\n")
        );
    });
}
