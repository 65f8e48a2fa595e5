//! Sockets and long polls of one token: floods, sockets that join nothing, joins and leaves without end, and
//! long polls that other nodes relay.

use super::{Course, Target};
use anyhow::Result;
use serde_json::json;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use testkit::longpoll;
use testkit::phoenix::path;
use testkit::ws::{Message, Ws};

/// How many long polls wait at a time.
const POLLS: usize = 200;
/// How many sockets join nothing.
const IDLE: usize = 300;
/// How long a flooding socket waits until the server takes more.
const TAKEN: Duration = Duration::from_millis(500);
/// Messages that a flooding socket sends before it looks at the answers.
const FLOOD: usize = 500;
/// How many sockets join and leave.
const CHURNING: usize = 6;
/// How long a reply may take.
const REPLY: Duration = Duration::from_secs(5);

/// Sessions of long polls at the first node, whose polls all go to the second. A poll is given up after a while
/// and sent again.
pub(super) fn relayed_polls(target: &Target, course: &Course) -> Result<()> {
    let holder = format!("http://{}", target.nodes[0]);
    let mut sessions = Vec::new();
    while !course.is_over() {
        for _ in sessions.len()..POLLS {
            match longpoll::ask(&holder, &target.map.token, "", false, None, REPLY) {
                Ok(opened) if !opened.session.is_empty() => sessions.push(opened.session),
                _ => break,
            }
        }
        let polls: Vec<_> = sessions
            .iter()
            .filter_map(|session| poll(target.nodes[1], &target.map.token, session).ok())
            .collect();
        course.got_through(polls.len());
        course.strong_if(sessions.len() == POLLS);
        for _ in 0..50 {
            course.pause();
        }
        drop(polls);
    }
    Ok(())
}

fn poll(node: SocketAddr, token: &str, session: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&node, Duration::from_secs(1))?;
    let path = format!("/socket/events/longpoll?vsn=2.0.0&token={token}");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {node}\r\nx-phoenix-longpoll-token: {session}\r\n\r\n")?;
    Ok(stream)
}

/// Sockets that join nothing. One that was closed is opened again.
pub(super) fn idle(target: &Target, course: &Course) -> Result<()> {
    let mut open: Vec<Ws> = Vec::new();
    while !course.is_over() {
        open.retain_mut(|ws| {
            let closed = |message: &Message| matches!(message, Message::Close(..) | Message::End);
            ws.poll().is_ok_and(|messages| !messages.iter().any(closed))
        });
        for _ in open.len()..IDLE.min(open.len() + 10) {
            let socket = Ws::connect(target.nodes[0], &path(&target.map.token));
            if let Ok(ws) = socket.and_then(|mut ws| ws.nonblocking().map(|()| ws)) {
                open.push(ws);
                course.got_through(1);
            }
        }
        course.strong_if(course.times() >= IDLE as u64);
        course.pause();
    }
    Ok(())
}

/// One socket that sends heartbeats as fast as the node takes them.
pub(super) fn flood(target: &Target, course: &Course) -> Result<()> {
    while !course.is_over() {
        // A socket whose messages the server no longer takes gives way to a fresh one.
        let socket = Ws::connect(target.nodes[1], &path(&target.map.token));
        let Ok(mut ws) = socket.and_then(|mut ws| ws.send_within(TAKEN).map(|()| ws)) else {
            course.pause();
            continue;
        };
        while !course.is_over() {
            let sent = (0..FLOOD).try_for_each(|_| ws.text(r#"[null,"9","phoenix","heartbeat",{}]"#));
            let read = ws.nonblocking().and_then(|()| ws.poll()).and_then(|_| ws.blocking());
            if sent.and(read).is_err() {
                course.pause();
                break;
            }
            course.got_through(FLOOD);
            course.strong_if(true);
        }
    }
    Ok(())
}

/// A few sockets that join and leave their topic without end.
pub(super) fn churn(target: &Target, course: &Course) -> Result<()> {
    let topic = target.map.topic();
    let mut sockets: Vec<Ws> = Vec::new();
    while !course.is_over() {
        if sockets.len() < CHURNING {
            match Ws::connect(target.nodes[sockets.len() % target.nodes.len()], &path(&target.map.token)) {
                Ok(ws) => sockets.push(ws),
                Err(_) => course.pause(),
            }
        }
        sockets.retain_mut(|ws| join_and_leave(ws, &topic).is_ok());
        course.got_through(sockets.len());
        course.strong_if(sockets.len() == CHURNING);
    }
    Ok(())
}

fn join_and_leave(ws: &mut Ws, topic: &str) -> Result<()> {
    ws.text(&json!(["1", "1", topic, "phx_join", {"events": ["never"]}]).to_string())?;
    anyhow::ensure!(matches!(ws.read(REPLY)?, Some(Message::Text(_))), "no reply to the join");
    ws.text(&json!(["1", "2", topic, "phx_leave", {}]).to_string())?;
    anyhow::ensure!(matches!(ws.read(REPLY)?, Some(Message::Text(_))), "no reply to the leave");
    Ok(())
}
