use super::*;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::VecDeque;

/// A socket with some room. What was written leaves it when it gets room again.
#[derive(Default)]
struct Socket {
    wire: RefCell<String>,
    room: Cell<usize>,
    is_broken: Cell<bool>,
}

impl PlainSocket for Socket {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = bytes.len().min(self.room.get());
        if written == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.room.set(self.room.get() - written);
        self.wire.borrow_mut().push_str(std::str::from_utf8(&bytes[..written]).unwrap());
        Ok(written)
    }
}

fn with_room(room: usize) -> (Rc<Socket>, Rc<WriteSide>) {
    let socket = Rc::new(Socket { room: Cell::new(room), ..Socket::default() });
    let weak = Rc::downgrade(&socket);
    (socket, WriteSide::new(weak))
}

#[test]
fn the_task_has_the_write_side_until_it_gives_it_over() {
    let (_socket, write_side) = with_room(100);
    assert!(!write_side.is_direct());
    write_side.give_over();
    assert!(write_side.is_direct());
    assert!(write_side.take_back().is_empty() && !write_side.is_direct());
}

#[test]
fn the_task_gets_the_rest_of_a_frame() {
    let (socket, write_side) = with_room(5);
    write_side.give_over();
    assert_eq!(write_side.write("abc".into()), Written::All);
    assert_eq!(write_side.write("def".into()), Written::Part);
    write_side.give_over();
    assert!(!write_side.is_direct(), "the rest was not written");
    assert_eq!((&*write_side.take_back(), &**socket.wire.borrow()), (&b"f"[..], "abcde"));
}

#[test]
fn the_task_meets_the_error_of_a_socket_that_is_broken_or_gone() {
    let (socket, write_side) = with_room(5);
    socket.is_broken.set(true);
    write_side.give_over();
    assert_eq!(write_side.write("abc".into()), Written::Part);
    assert_eq!(write_side.take_back(), "abc");
    drop(socket);
    write_side.give_over();
    assert_eq!(write_side.write("abc".into()), Written::Part);
}

/// What happens to a connection.
#[derive(Clone, Debug)]
enum Step {
    /// An event comes from the topic.
    Event,
    /// The session has something to say.
    Reply,
    /// The dispatcher has its turn.
    Serve,
    /// The connection's task has its turn.
    Poll,
    /// The client takes some bytes.
    Room(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Event),
        1 => Just(Step::Reply),
        4 => Just(Step::Serve),
        2 => Just(Step::Poll),
        3 => (1..20_usize).prop_map(Step::Room),
    ];
    prop::collection::vec(step, 0..200)
}

/// A connection, with its task and the dispatcher.
struct Connection {
    socket: Rc<Socket>,
    write_side: Rc<WriteSide>,
    /// Bytes that the task has yet to write.
    unsent: Vec<u8>,
    events: VecDeque<String>,
    replies: VecDeque<String>,
    /// Whatever was taken to be written, in this order.
    taken: String,
    number: usize,
}

impl Connection {
    fn new() -> Self {
        let (socket, write_side) = with_room(0);
        Self {
            socket,
            write_side,
            unsent: Vec::new(),
            events: VecDeque::new(),
            replies: VecDeque::new(),
            taken: String::new(),
            number: 0,
        }
    }

    fn frame(&mut self, kind: char) -> String {
        self.number += 1;
        format!("<{kind}{}{}>", self.number, "-".repeat(self.number % 9))
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Event => {
                let frame = self.frame('e');
                self.events.push_back(frame);
            }
            Step::Reply => {
                let frame = self.frame('r');
                self.replies.push_back(frame);
            }
            Step::Serve => self.serve(),
            Step::Poll => self.poll(),
            Step::Room(bytes) => self.socket.room.set(self.socket.room.get() + bytes),
        }
    }

    /// As [`Subscriber`](crate::delivery::Subscriber) is served.
    fn serve(&mut self) {
        while self.write_side.is_direct() && self.replies.is_empty() {
            let Some(event) = self.events.pop_front() else { return };
            self.taken.push_str(&event);
            let written = self.write_side.write(event.into());
            assert_eq!(written == Written::All, self.write_side.is_direct());
        }
    }

    /// As a connection's task is polled.
    fn poll(&mut self) {
        let rest = self.write_side.take_back();
        assert!(rest.is_empty() || self.unsent.is_empty(), "two have written at the same time");
        self.unsent.extend_from_slice(&rest);
        for frame in self.replies.drain(..).chain(self.events.drain(..)) {
            self.taken.push_str(&frame);
            self.unsent.extend_from_slice(frame.as_bytes());
        }
        while !self.unsent.is_empty() {
            let Ok(written) = self.socket.try_write(&self.unsent) else { return };
            self.unsent.drain(..written);
        }
        self.write_side.give_over();
    }
}

proptest! {
    /// However writes of the dispatcher, answers of the session and a slow client follow each other: each
    /// frame comes whole and once, and events keep their order.
    #[test]
    fn frames_come_whole_once_and_in_order(steps in steps()) {
        let mut connection = Connection::new();
        steps.into_iter().for_each(|step| connection.step(step));
        connection.socket.room.set(usize::MAX);
        connection.poll();
        let wire = connection.socket.wire.borrow();
        prop_assert_eq!(&*wire, &connection.taken);
        let frames: Vec<&str> = wire.split_inclusive('>').collect();
        prop_assert_eq!(frames.len(), connection.number);
        let number = |frame: &&str| frame[2..].trim_end_matches(['-', '>']).parse::<usize>().unwrap();
        let events: Vec<usize> =
            frames.iter().filter(|frame| frame.starts_with("<e")).map(number).collect();
        prop_assert!(events.is_sorted());
    }
}
