//! The connections of a map's clients: every node says which it has, and ends one when it is asked to.
//!
//! Nothing is written down for this. The dispatchers of the worker threads hold the sessions anyway, and
//! answer from them when somebody asks. They remember the last clients that they closed as too slow.

mod ask;

pub use ask::{
    AskClosed, AskConnections, AskThread, ClientConnection, ClosedConnection, EndConnection, MOST_CONNECTIONS,
};

use super::bridge::{Bridge, Deliver};
use super::peers::PeerServer;
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How long the worker threads of a node have to answer.
const THREADS_WAIT: Duration = Duration::from_millis(1500);

/// Answers the other nodes, and this one.
pub(super) fn serve(server: &PeerServer, bridge: &Arc<Bridge>) {
    let of_list = bridge.clone();
    server.serve(move |_, ask: AskConnections| list(of_list.clone(), ask));
    let of_closed = bridge.clone();
    server.serve(move |_, ask: AskClosed| closed(of_closed.clone(), ask));
    let of_end = bridge.clone();
    server.serve(move |_, ask: EndConnection| end(of_end.clone(), ask));
}

async fn list(bridge: Arc<Bridge>, ask: AskConnections) -> Option<Vec<ClientConnection>> {
    let limit = ask.limit.min(MOST_CONNECTIONS);
    let ask = Arc::new(AskConnections { limit, ..ask });
    // Each thread answers once.
    let (answer, answers) = unbounded_channel();
    bridge.broadcast(|| Deliver::Connections(AskThread::List(ask.clone(), answer.clone())));
    drop(answer);
    let mut found: Vec<ClientConnection> = all(answers).await?.into_iter().flatten().collect();
    found.sort_unstable_by_key(|connection| connection.number);
    found.truncate(limit as usize);
    Some(found)
}

async fn closed(bridge: Arc<Bridge>, ask: AskClosed) -> Option<Vec<ClosedConnection>> {
    let limit = ask.limit.min(MOST_CONNECTIONS);
    let ask = Arc::new(AskClosed { limit, ..ask });
    // Each thread answers once.
    let (answer, answers) = unbounded_channel();
    bridge.broadcast(|| Deliver::Connections(AskThread::Closed(ask.clone(), answer.clone())));
    drop(answer);
    let mut found: Vec<ClosedConnection> = all(answers).await?.into_iter().flatten().collect();
    found.sort_by_key(|closed| Reverse(closed.at_ms));
    found.truncate(limit as usize);
    Some(found)
}

async fn end(bridge: Arc<Bridge>, ask: EndConnection) -> Option<bool> {
    let (answer, answers) = unbounded_channel();
    bridge.broadcast(|| Deliver::Connections(AskThread::End(ask.clone(), answer.clone())));
    drop(answer);
    Some(!all(answers).await?.is_empty())
}

/// What the threads answer until the last of them has been heard. `None` if one of them is not heard in time.
async fn all<T>(mut answers: UnboundedReceiver<T>) -> Option<Vec<T>> {
    let gathered = async {
        let mut all = Vec::new();
        while let Some(answer) = answers.recv().await {
            all.push(answer);
        }
        all
    };
    tokio::time::timeout(THREADS_WAIT, gathered).await.ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::MapId;
    use crate::core::subject::Subject;
    use actix::{Actor, Context, Handler};

    /// A worker thread's dispatcher with the connections of these numbers.
    struct Thread(Vec<u64>);

    impl Actor for Thread {
        type Context = Context<Self>;
    }

    impl Handler<Deliver> for Thread {
        type Result = ();

        fn handle(&mut self, news: Deliver, _: &mut Self::Context) {
            match news {
                Deliver::Connections(AskThread::List(_, answer)) => {
                    let _ = answer.send(self.0.iter().map(|number| connection(*number)).collect());
                }
                Deliver::Connections(AskThread::Closed(_, answer)) => {
                    let _ = answer.send(self.0.iter().map(|number| closed_at(*number)).collect());
                }
                Deliver::Connections(AskThread::End(end, answer)) if self.0.contains(&end.number) => {
                    let _ = answer.send(());
                }
                _ => {}
            }
        }
    }

    /// A thread that stands still: it keeps what it is asked.
    #[derive(Default)]
    struct Stuck(Vec<Deliver>);

    impl Actor for Stuck {
        type Context = Context<Self>;
    }

    impl Handler<Deliver> for Stuck {
        type Result = ();

        fn handle(&mut self, news: Deliver, _: &mut Self::Context) {
            self.0.push(news);
        }
    }

    fn connection(number: u64) -> ClientConnection {
        ClientConnection { number, protocol: "test".into(), ..ClientConnection::default() }
    }

    fn closed_at(at_ms: u64) -> ClosedConnection {
        ClosedConnection { at_ms, reason: "too_slow".into(), connection: connection(at_ms) }
    }

    fn ask(limit: u32) -> AskConnections {
        let map = MapId::from_bytes([1; 16]);
        AskConnections { map, after: None, limit, protocol: None, subject: None }
    }

    fn end_of(number: u64) -> EndConnection {
        EndConnection { map: MapId::from_bytes([1; 16]), number }
    }

    #[actix_web::test]
    async fn the_threads_of_a_node_answer_together() {
        let bridge = Arc::new(Bridge::default());
        assert_eq!(list(bridge.clone(), ask(9)).await, Some(Vec::new()), "no thread has had a client yet");
        for numbers in [vec![3, 9], vec![1, 5], Vec::new()] {
            bridge.register_dispatcher(Thread(numbers).start().recipient());
        }
        let numbers = |found: Option<Vec<ClientConnection>>| -> Vec<u64> {
            found.unwrap().iter().map(|connection| connection.number).collect()
        };
        assert_eq!(numbers(list(bridge.clone(), ask(9)).await), [1, 3, 5, 9]);
        assert_eq!(numbers(list(bridge.clone(), ask(3)).await), [1, 3, 5]);
        let ask = AskClosed { map: MapId::from_bytes([1; 16]), limit: 3 };
        let closed = super::closed(bridge.clone(), ask).await.unwrap();
        assert_eq!(
            closed.iter().map(|closed| closed.at_ms).collect::<Vec<_>>(),
            [9, 5, 3],
            "the newest first"
        );
        assert_eq!(end(bridge.clone(), end_of(9)).await, Some(true));
        assert_eq!(end(bridge, end_of(4)).await, Some(false));
    }

    #[actix_web::test]
    async fn a_thread_that_stands_still_is_no_empty_thread() {
        let bridge = Arc::new(Bridge::default());
        bridge.register_dispatcher(Thread(vec![3]).start().recipient());
        bridge.register_dispatcher(Stuck::default().start().recipient());
        assert_eq!(list(bridge.clone(), ask(9)).await, None);
        assert_eq!(end(bridge, end_of(3)).await, None);
    }

    #[test]
    fn requests_keep_their_bytes() {
        use crate::core::codec::{decode, encode};
        let map = MapId::from_bytes([1; 16]);
        let subject = Some(Subject::own());
        let ask = AskConnections { map, after: Some(7), limit: 2, protocol: Some("x".into()), subject };
        assert_eq!(decode::<AskConnections>(&encode(&ask).unwrap()).unwrap(), ask);
        let shown = ClientConnection {
            address: Some("2001:db8::1".parse().unwrap()),
            port: Some(443),
            agent: Some("a".into()),
            user: Some("u".into()),
            ..connection(7)
        };
        assert_eq!(decode::<ClientConnection>(&encode(&shown).unwrap()).unwrap(), shown);
        let ask = AskClosed { map, limit: 2 };
        assert_eq!(decode::<AskClosed>(&encode(&ask).unwrap()).unwrap(), ask);
        let closed = ClosedConnection { connection: shown, ..closed_at(7) };
        assert_eq!(decode::<ClosedConnection>(&encode(&closed).unwrap()).unwrap(), closed);
    }
}
