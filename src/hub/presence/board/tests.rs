//! The board: who watches is told everything once, and whoever applies the log waits for nobody.
#![allow(clippy::unwrap_used)]

use super::*;

fn present(name: &str) -> Arc<Present> {
    Arc::new(Present { name: name.into(), info: Box::from(&b"{}"[..]), socket: None })
}

fn map() -> MapId {
    MapId::from_bytes([1; 16])
}

fn subject() -> Subject {
    Subject::parse("presence-a").unwrap()
}

type Heard = Arc<Mutex<Vec<String>>>;

/// A watcher that notes what it is told.
fn watch(board: &Board) -> (Vec<String>, u64, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let tell = move |news| {
        hears.lock().unwrap().push(match news {
            PresenceNews::Joined(member) => format!("+{}", member.user),
            PresenceNews::Left(member) => format!("-{}", member.user),
        });
    };
    let (members, number) = board.watch(map(), &subject(), Box::new(tell));
    (members.iter().map(|member| member.user.to_string()).collect(), number, heard)
}

/// Does what the task does.
fn tell(board: &Board) {
    while let Some((at, news)) = board.next() {
        let mut from = Some(0);
        while let Some(number) = from {
            from = board.tell_some(&at, &news, number, &mut 0);
        }
    }
}

#[test]
fn a_watcher_gets_the_members_and_then_each_change_once() {
    let board = Board::default();
    let (map, subject) = (map(), subject());
    board.joined(map, &subject, present("ann"));
    let (members, number, heard) = watch(&board);
    assert_eq!(members, ["ann"]);
    let other = Subject::parse("presence-b").unwrap();
    board.joined(map, &subject, present("bob"));
    board.joined(map, &other, present("cy"));
    board.left(map, &subject, &present("ann"));
    assert_eq!(board.users(map, &subject), 1);
    let member = |name: &str| Member { map, subject: subject.clone(), name: name.into() };
    let full = [("cy", 1), ("cy", 2), ("bob", 1)].map(|(name, limit)| board.is_full(&member(name), limit));
    assert_eq!(full, [true, false, false], "who is there already needs no room");
    tell(&board);
    // After a snapshot only the difference is told.
    board.reset([(map, subject.clone(), present("bob")), (map, subject.clone(), present("dan"))].into_iter());
    tell(&board);
    let renamed = Present { info: Box::from(&b"[]"[..]), ..Present::clone(&present("bob")) };
    board.reset(
        [(map, subject.clone(), Arc::new(renamed)), (map, subject.clone(), present("dan"))].into_iter(),
    );
    tell(&board);
    board.map_gone(map);
    tell(&board);
    let expected = ["+bob", "-ann", "+dan", "-bob", "+bob", "-bob", "-dan"];
    assert_eq!(*heard.lock().unwrap(), expected);
    board.unwatch(map, &subject, number);
    assert!(board.lock().maps.is_empty(), "nothing is kept of a subject that nobody uses");
    assert!(board.watchers().subjects.is_empty());
}

#[test]
fn the_subjects_that_have_members_are_visited_by_name() {
    let board = Board::default();
    let map = map();
    let names = ["d", "b", "e", "a", "c"].map(|name| Subject::parse(name).unwrap());
    let from = |from: &str| {
        let mut visited = Vec::new();
        board.occupied(map, &Subject::parse(from).unwrap(), |subject| {
            visited.push(subject.to_string());
            visited.len() < 3
        });
        visited
    };
    names.iter().for_each(|name| board.joined(map, name, present("ann")));
    board.joined(map, &names[0], present("bob"));
    assert_eq!(from("b"), ["b", "c", "d"]);
    // One of two members leaves, the only member leaves, and a subject is watched that has none.
    board.left(map, &names[0], &present("ann"));
    board.left(map, &names[1], &present("ann"));
    let watched = Subject::parse("cc").unwrap();
    let (_, number) = board.watch(map, &watched, Box::new(|_| ()));
    assert_eq!(from(""), ["a", "c", "d"]);
    board.reset(
        [(map, names[2].clone(), present("ann")), (map, names[1].clone(), present("bob"))].into_iter(),
    );
    assert_eq!(from(""), ["b", "e"]);
    board.map_gone(map);
    assert!(from("").is_empty());
    board.unwatch(map, &watched, number);
    assert!(board.lock().maps.is_empty());
}

#[test]
fn to_note_a_change_tells_nobody_and_a_subject_waits_once() {
    let board = Board::default();
    let (map, subject) = (map(), subject());
    let (_, number, heard) = watch(&board);
    for _ in 0..1000 {
        board.joined(map, &subject, present("ann"));
        board.joined(map, &subject, present("bob"));
        board.left(map, &subject, &present("ann"));
        board.left(map, &subject, &present("bob"));
    }
    board.joined(map, &subject, present("cy"));
    assert!(heard.lock().unwrap().is_empty(), "whoever applies the log tells nobody");
    assert_eq!(board.lock().queue.len(), 1);
    // A newcomer knows who is there, and is not told again.
    let (members, newcomer, hears) = watch(&board);
    assert_eq!(members, ["cy"]);
    board.left(map, &subject, &present("cy"));
    tell(&board);
    assert_eq!(*heard.lock().unwrap(), ["+cy", "-cy"]);
    assert_eq!(*hears.lock().unwrap(), ["-cy"]);
    board.joined(map, &subject, present("dan"));
    [number, newcomer].into_iter().for_each(|number| board.unwatch(map, &subject, number));
    board.left(map, &subject, &present("dan"));
    tell(&board);
    assert!(board.lock().maps.is_empty() && heard.lock().unwrap().len() == 2);
}

#[test]
fn all_watchers_of_a_subject_are_told_in_pieces() {
    let board = Board::default();
    let watchers: Vec<_> = (0..3 * TOLD_AT_ONCE).map(|_| watch(&board)).collect();
    board.joined(map(), &subject(), present("ann"));
    let (at, news) = board.next().unwrap();
    let mut told = 0;
    let next = board.tell_some(&at, &news, 0, &mut told);
    assert!(next.is_some() && told >= TOLD_AT_ONCE, "one piece does not tell all");
    assert_eq!(board.tell_some(&at, &news, 0, &mut told), Some(1), "others may run first");
    board.joined(map(), &subject(), present("bob"));
    let mut from = next;
    while let Some(number) = from {
        from = board.tell_some(&at, &news, number, &mut 0);
    }
    tell(&board);
    let (_, _, last) = watchers.last().unwrap();
    assert_eq!(*last.lock().unwrap(), ["+ann", "+bob"]);
}

#[actix_web::test]
async fn very_much_news_comes_in_turns_and_a_bounded_queue_holds_them() {
    const JOINS: usize = 10_000;
    // The most that a session lets wait.
    const QUEUE: usize = 4096;
    let board = Board::default();
    let (_, _, heard) = watch(&board);
    for n in 0..JOINS {
        board.joined(map(), &subject(), present(&n.to_string()));
    }
    let drains = async {
        let (mut all, mut most) = (Vec::new(), 0);
        while all.len() < JOINS {
            let waiting = std::mem::take(&mut *heard.lock().unwrap());
            most = most.max(waiting.len());
            all.extend(waiting);
            tokio::task::yield_now().await;
        }
        (all, most)
    };
    tokio::select! {
        () = board.run() => {}
        (all, most) = drains => {
            assert!(most <= QUEUE, "{most} wait");
            assert!(all.iter().enumerate().all(|(n, one)| *one == format!("+{n}")), "in turn");
        }
    }
}
