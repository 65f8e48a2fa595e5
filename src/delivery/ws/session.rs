//! The client's side of a WebSocket: reads its messages one after the other, has the protocol handle them and
//! the notes of the session's mailbox, and gathers the answers.
//!
//! The session lives in the response body, so it is polled only while the socket takes bytes. It handles a
//! few messages in a turn of its worker thread and then lets others run. A client that sends faster than it
//! may is read later, so that its own sends block.

use super::WsConfig;
use super::frames::Offence;
use super::messages::{Messages, Received};
use crate::delivery::allowance::Allowance;
use crate::delivery::close::End;
use crate::delivery::framing::{close_frame, push_binary_frame, push_frame, push_text_frame};
use crate::delivery::mailbox::Note;
use crate::delivery::protocol::{Link, Next, Protocol, Resume};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::LocalBoxFuture;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::time::Sleep;

/// Frames and notes of one client that are handled in a turn. Then the thread's other work has its turn.
const FRAMES_PER_TURN: u32 = 16;
/// Bytes of answers that are gathered before they are handed over, about.
const ANSWER_BYTES: usize = 8 * 1024;
/// Bytes of a client that are read while a result is awaited, about.
const AHEAD_BYTES: usize = 8 * 1024;

/// The session of one WebSocket. As a stream it yields what is to be written; it ends with the session.
pub(super) struct Session<P: Protocol, S> {
    protocol: P,
    payload: S,
    messages: Messages,
    answers: Answers,
    allowance: Allowance,
    /// Frames and notes that may still be handled in this turn.
    turn_left: u32,
    state: State<P>,
}

/// What the session does next.
enum State<P: Protocol> {
    /// It takes the next note or message.
    Open,
    /// It awaits the result of a note or a message. The next one waits behind it.
    Awaiting(LocalBoxFuture<'static, Resume<P>>),
    /// The client has sent faster than it may.
    HeldUp(Pin<Box<Sleep>>),
    /// It has used up its turn.
    Yielding(LocalBoxFuture<'static, ()>),
    /// It is over: nothing follows the answers that were gathered.
    Ended,
}

impl<P: Protocol, S> Session<P, S> {
    /// A session that reads its client from `payload`. With `deflate` the client may compress its messages.
    pub(super) fn new(mut protocol: P, payload: S, config: &WsConfig, deflate: bool) -> Self {
        let mut answers = Answers::default();
        protocol.opened(&mut answers);
        Self {
            protocol,
            payload,
            messages: Messages::new(config.max_message_bytes, deflate),
            answers,
            allowance: Allowance::new(config.rate),
            turn_left: FRAMES_PER_TURN,
            state: State::Open,
        }
    }

    fn close(&mut self, (code, reason): Offence) {
        tracing::debug!(code, %reason, "a WebSocket is closed");
        self.answers.0.extend_from_slice(&close_frame(code, &reason));
        self.state = State::Ended;
    }

    fn handle(&mut self, received: Received, bytes: usize) {
        self.turn_left -= 1;
        self.allowance.count(bytes);
        self.protocol.subscriber().heard();
        match received {
            Received::Fragment | Received::Pong => {}
            Received::Ping(payload) => {
                push_frame(0x8a, &mut self.answers.0, |out| out.extend_from_slice(&payload));
            }
            Received::Close(Some(code)) => self.close((code, "".into())),
            Received::Close(None) => {
                push_frame(0x88, &mut self.answers.0, |_| ());
                self.state = State::Ended;
            }
            Received::Message(message) => {
                let next = self.protocol.message(message, &mut self.answers);
                self.go_on(next);
            }
        }
    }

    fn go_on(&mut self, next: Next<P>) {
        match next {
            Next::Done => {}
            Next::Close(code, reason) => self.close((code, reason.into())),
            Next::Await(awaited) => self.state = State::Awaiting(awaited),
        }
    }

    /// Handles the next note of the mailbox. Pending if there is none.
    fn take_note(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mailbox) = self.protocol.mailbox() else { return Poll::Pending };
        match ready!(mailbox.poll_next(cx)) {
            Note::Next(note) => {
                self.turn_left -= 1;
                let next = self.protocol.delivered(note, &mut self.answers);
                self.go_on(next);
            }
            Note::Overfull => {
                self.protocol.subscriber().finish(End::TooSlow);
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// Asks a silent client for a sign of life. Pending if it need not be asked.
    fn ask(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.protocol.subscriber().poll_ask(cx));
        if let Some(text) = self.protocol.idle() {
            self.answers.text(text);
        }
        Poll::Ready(())
    }
}

impl<P: Protocol, S> Drop for Session<P, S> {
    fn drop(&mut self) {
        if let Some(mailbox) = self.protocol.mailbox() {
            mailbox.close();
        }
    }
}

impl<P: Protocol, S, E> Session<P, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    /// Takes one step. Pending if there is nothing to do now.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.state {
            State::Open => return self.take(cx),
            State::Ended => return Poll::Pending,
            State::Awaiting(awaited) => match awaited.as_mut().poll(cx) {
                Poll::Ready(resume) => resume(&mut self.protocol, &mut self.answers),
                Poll::Pending => return self.read_ahead(cx),
            },
            State::HeldUp(pause) => ready!(pause.as_mut().poll(cx)),
            State::Yielding(others) => {
                ready!(others.as_mut().poll(cx));
                self.turn_left = FRAMES_PER_TURN;
            }
        }
        self.state = State::Open;
        Poll::Ready(())
    }

    /// Reads a little of what the client sends while a result is awaited, so that its end is noticed.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.messages.unread() < AHEAD_BYTES {
            match ready!(Pin::new(&mut self.payload).poll_next(cx)) {
                Some(Ok(piece)) => self.messages.feed(&piece),
                // The client is gone, and with it the wish for the result.
                Some(Err(_)) | None => {
                    self.state = State::Ended;
                    return Poll::Ready(());
                }
            }
        }
        Poll::Pending
    }

    /// Handles the next note or frame, or reads more bytes if no frame is whole.
    fn take(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turn_left == 0 {
            self.state = State::Yielding(Box::pin(tokio::task::yield_now()));
            return Poll::Ready(());
        }
        if self.take_note(cx).is_ready() {
            return Poll::Ready(());
        }
        // The body sends the farewell.
        if self.protocol.subscriber().ending().is_some() {
            return Poll::Pending;
        }
        if let Some(pause) = self.allowance.wait() {
            if self.allowance.is_flooded() {
                self.protocol.subscriber().finish(End::Flood);
            } else {
                self.state = State::HeldUp(Box::pin(tokio::time::sleep(pause)));
            }
            return Poll::Ready(());
        }
        match self.messages.take() {
            Ok(Some((received, bytes))) => self.handle(received, bytes),
            Err(offence) => self.close(offence),
            Ok(None) => match Pin::new(&mut self.payload).poll_next(cx) {
                Poll::Ready(Some(Ok(piece))) => self.messages.feed(&piece),
                // The client is gone.
                Poll::Ready(Some(Err(_)) | None) => self.state = State::Ended,
                Poll::Pending => {
                    self.turn_left = FRAMES_PER_TURN;
                    self.allowance.rest();
                    return self.ask(cx);
                }
            },
        }
        Poll::Ready(())
    }
}

impl<P: Protocol, S, E> Stream for Session<P, S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let this = &mut *self;
        while this.answers.0.len() < ANSWER_BYTES && this.step(cx).is_ready() {}
        match (this.answers.0.is_empty(), &this.state) {
            (false, _) => Poll::Ready(Some(std::mem::take(&mut this.answers.0).into())),
            (true, State::Ended) => Poll::Ready(None),
            (true, _) => Poll::Pending,
        }
    }
}

/// Frames that answer the client.
#[derive(Default)]
struct Answers(Vec<u8>);

impl Link for Answers {
    fn text(&mut self, text: String) {
        push_text_frame(&mut self.0, |out| out.extend_from_slice(text.as_bytes()));
    }

    fn binary(&mut self, bytes: Bytes) {
        push_binary_frame(&mut self.0, |out| out.extend_from_slice(&bytes));
    }
}
