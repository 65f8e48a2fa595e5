//! What clients of the load say and hear: Phoenix Channels and the REST API, the Pusher protocol and its HTTP
//! API, or what nchan and NATS speak. It holds no socket.

use std::sync::Arc;

use testkit::pusher::App;

use crate::{
    event::{self, KIND, Maker},
    http,
    nats::{self, Op},
    ws,
};

/// The largest batch of the Pusher API.
pub(crate) const PUSHER_BATCH: usize = 10;
/// The only subject of NATS, and the only channel of nchan, that a benchmark uses.
pub(crate) const NATS_SUBJECT: &str = "bench";
const NCHAN_CHANNEL: &str = "bench";
/// The head of a server's short frame.
const FRAME_HEAD: usize = 4;

/// How subscribers speak, and what they join.
#[derive(Clone)]
pub(crate) enum Wire {
    Phoenix {
        map: String,
        /// The subject to subscribe to; without it the map's own.
        subject: Option<&'static str>,
        /// Whether clients offer to inflate messages. They count them as they are.
        deflate: bool,
        token: String,
    },
    Pusher(Channels),
    /// Messages of nchan are the texts of a WebSocket as they are.
    Nchan,
    /// NATS writes its own stream of bytes into binary frames.
    Nats,
}

/// The channels of a Pusher app. Each subscriber has one of them, in turn.
#[derive(Clone)]
pub(crate) struct Channels {
    pub(crate) credentials: Arc<App>,
    /// How many there are.
    pub(crate) count: usize,
}

impl Channels {
    fn name(&self, number: usize) -> String {
        format!("bench-{}", number % self.count)
    }
}

/// What a text frame says to a subscriber.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    Event,
    Joined,
    Refused,
    /// The client has to answer.
    Ping,
    Other,
}

impl Wire {
    /// The request that upgrades a connection.
    pub(crate) fn upgrade(&self, host: &str) -> Vec<u8> {
        match self {
            Self::Phoenix { deflate, token, .. } => ws::upgrade(host, token, *deflate),
            Self::Pusher(channels) => ws::upgrade_at(host, &channels.credentials.socket_path()),
            Self::Nchan => ws::upgrade_at(host, &format!("/sub/{NCHAN_CHANNEL}")),
            Self::Nats => ws::upgrade_at(host, "/"),
        }
    }

    /// Whether a client has joined once its connection is upgraded.
    pub(crate) fn joins_by_upgrade(&self) -> bool {
        matches!(self, Self::Nchan)
    }

    /// The frame by which that client joins.
    pub(crate) fn join(&self, client: usize) -> Vec<u8> {
        match self {
            Self::Phoenix { map, subject, .. } => ws::join(map, *subject),
            Self::Pusher(channels) => {
                let channel = channels.name(client);
                pusher_frame(&format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#))
            }
            Self::Nchan => Vec::new(),
            Self::Nats => ws::client_frame(ws::BINARY, &nats::subscription(NATS_SUBJECT)),
        }
    }

    /// How many of so many clients get an event.
    pub(crate) fn receivers(&self, clients: usize) -> usize {
        match self {
            Self::Phoenix { .. } | Self::Nchan | Self::Nats => clients,
            Self::Pusher(channels) => clients / channels.count,
        }
    }

    /// Reads the head of a frame: JSON is not parsed, because the client must be cheap.
    pub(crate) fn said(&self, payload: &[u8]) -> Said {
        match self {
            Self::Phoenix { .. } if payload.starts_with(b"[null,null,") => Said::Event,
            Self::Phoenix { .. } if payload.starts_with(b"[\"1\"") => {
                let is_ok = payload.windows(13).any(|w| w == br#""status":"ok""#);
                if is_ok { Said::Joined } else { Said::Refused }
            }
            Self::Phoenix { .. } => Said::Other,
            Self::Pusher(_) => said_by_pusher(payload),
            Self::Nchan => Said::Event,
            // Its frames hold pieces of a stream: see `said_by_nats`.
            Self::Nats => Said::Other,
        }
    }

    /// The publisher's time inside an event's frame.
    pub(crate) fn stamp(&self, payload: &[u8]) -> Option<u64> {
        match self {
            Self::Phoenix { .. } | Self::Nchan | Self::Nats => event::stamp(payload),
            Self::Pusher(_) => event::stamp_in_text(payload),
        }
    }

    /// What a live client sends from time to time. Servers but Phoenix' ask, or wait for ever.
    pub(crate) fn heartbeat(&self) -> Vec<u8> {
        match self {
            Self::Phoenix { .. } => ws::heartbeat(),
            Self::Pusher(_) | Self::Nchan | Self::Nats => Vec::new(),
        }
    }

    /// The answer to [`Said::Ping`].
    pub(crate) fn pong(&self) -> Vec<u8> {
        match self {
            Self::Nats => ws::client_frame(ws::BINARY, nats::PONG),
            _ => pusher_frame(r#"{"event":"pusher:pong","data":{}}"#),
        }
    }
}

/// A client's text of the Pusher protocol, framed.
pub(crate) fn pusher_frame(text: &str) -> Vec<u8> {
    ws::client_frame(ws::TEXT, text.as_bytes())
}

/// What a text of the Pusher protocol says.
pub(crate) fn said_by_pusher(payload: &[u8]) -> Said {
    // In an error the name comes last.
    let Some(event) = payload.strip_prefix(br#"{"event":""#) else {
        let names = [&br#""event":"pusher:subscription_error""#[..], br#""event":"pusher:error""#];
        let is_error = names.iter().any(|name| payload.windows(name.len()).any(|part| part == *name));
        return if is_error { Said::Refused } else { Said::Other };
    };
    let is = |name: &str| event.starts_with(name.as_bytes()) && event.get(name.len()) == Some(&b'"');
    match () {
        () if is(KIND) => Said::Event,
        () if is("pusher_internal:subscription_succeeded") => Said::Joined,
        () if is("pusher:subscription_error") || is("pusher:error") => Said::Refused,
        () if is("pusher:ping") => Said::Ping,
        () => Said::Other,
    }
}

/// What an operation of NATS says to a subscriber, and the payload of an event.
pub(crate) fn said_by_nats<'a>(op: &Op<'a>) -> (Said, &'a [u8]) {
    match op {
        Op::Message(payload) => (Said::Event, *payload),
        Op::Error(why) => (Said::Refused, *why),
        // A subscriber sends its only ping behind its subscription.
        Op::Pong => (Said::Joined, b""),
        Op::Ping => (Said::Ping, b""),
        Op::Ok | Op::Info => (Said::Other, b""),
    }
}

/// The requests of a publisher.
#[derive(Clone)]
pub(crate) enum Requests {
    /// To the REST API.
    Rest { maker: Maker, map: String, token: String },
    /// To Pusher's HTTP API: to one channel after the other.
    Pusher { maker: Maker, channels: Channels, published: usize },
    /// To nchan, which takes one event a request.
    Nchan { maker: Maker },
    /// To NATS: payloads alone.
    Nats { maker: Maker },
}

impl Requests {
    /// Events of a map whose broadcast frame has so many bytes.
    pub(crate) fn rest(map: &str, token: &str, frame: usize) -> Self {
        Self::Rest { maker: Maker::new(map, frame), map: map.to_owned(), token: token.to_owned() }
    }

    /// As [`Requests::rest`], with words in the payload.
    pub(crate) fn rest_of_words(map: &str, token: &str, frame: usize) -> Self {
        Self::Rest { maker: Maker::of_words(map, frame), map: map.to_owned(), token: token.to_owned() }
    }

    /// Events of an app's channels whose payload has so many bytes.
    pub(crate) fn pusher(channels: Channels, payload: usize) -> Self {
        Self::Pusher { maker: Maker::of_payload(payload), channels, published: 0 }
    }

    /// Events of nchan whose frame has so many bytes.
    pub(crate) fn nchan(frame: usize) -> Self {
        Self::Nchan { maker: Maker::of_payload(frame.saturating_sub(FRAME_HEAD)) }
    }

    /// Events of NATS with the payload of nchan's.
    pub(crate) fn nats(frame: usize) -> Self {
        Self::Nats { maker: Maker::of_payload(frame.saturating_sub(FRAME_HEAD)) }
    }

    /// A request with one event.
    pub(crate) fn one(&mut self) -> Vec<u8> {
        match self {
            Self::Rest { maker, map, token } => rest(map, token, &maker.one()),
            Self::Pusher { maker, channels, published } => {
                let body = pusher_event(maker, channels, published);
                http::post(&channels.credentials.post_path("events", &body), &body)
            }
            Self::Nchan { maker } => http::post(&format!("/pub/{NCHAN_CHANNEL}"), &maker.payload_now()),
            Self::Nats { maker } => maker.payload_now().into_bytes(),
        }
    }

    /// A request with so many events. Nchan takes no more than one, and a line repeats that of NATS.
    pub(crate) fn batch(&mut self, count: usize) -> Vec<u8> {
        match self {
            Self::Rest { maker, map, token } => rest(map, token, &maker.batch(count)),
            Self::Pusher { maker, channels, published } => {
                let events: Vec<String> =
                    (0..count).map(|_| pusher_event(maker, channels, published)).collect();
                let body = format!(r#"{{"batch":[{}]}}"#, events.join(","));
                http::post(&channels.credentials.post_path("batch_events", &body), &body)
            }
            Self::Nchan { .. } | Self::Nats { .. } => self.one(),
        }
    }
}

fn rest(map: &str, token: &str, body: &str) -> Vec<u8> {
    http::request("POST", &format!("/api/maps/{map}/events"), token, body)
}

/// The next event for an app's channels.
fn pusher_event(maker: &Maker, channels: &Channels, published: &mut usize) -> String {
    let channel = channels.name(*published);
    *published += 1;
    format!(r#"{{"name":"{KIND}","channel":"{channel}","data":{}}}"#, maker.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_frame_says_what_it_is() {
        let phoenix = Wire::Phoenix { map: "m".into(), subject: None, deflate: false, token: "t".into() };
        assert_eq!(phoenix.said(br#"[null,null,"events:map:m","bench",{}]"#), Said::Event);
        assert_eq!(phoenix.said(br#"["1","1","m","phx_reply",{"status":"ok"}]"#), Said::Joined);
        assert_eq!(phoenix.said(br#"["1","1","m","phx_reply",{"status":"error"}]"#), Said::Refused);
        assert_eq!(phoenix.said(br#"[null,"2","phoenix","phx_reply",{}]"#), Said::Other);
        for (text, said) in [
            (r#"{"event":"bench","channel":"bench-0","data":"{}"}"#, Said::Event),
            (r#"{"event":"benches","channel":"bench-0","data":"{}"}"#, Said::Other),
            (r#"{"event":"pusher_internal:subscription_succeeded","channel":"c"}"#, Said::Joined),
            (r#"{"event":"pusher:connection_established","data":"{}"}"#, Said::Other),
            (r#"{"event":"pusher:subscription_error","channel":"c"}"#, Said::Refused),
            (r#"{"event":"pusher:error","data":{}}"#, Said::Refused),
            (r#"{"channel":"c","data":{},"event":"pusher:subscription_error"}"#, Said::Refused),
            (r#"{"data":{},"event":"pusher:error"}"#, Said::Refused),
            (r#"{"channel":"c","event":"pusher:cache_miss"}"#, Said::Other),
            (r#"{"event":"pusher:ping","data":{}}"#, Said::Ping),
        ] {
            assert_eq!(said_by_pusher(text.as_bytes()), said, "{text}");
        }
    }

    #[test]
    fn publishes_and_subscribers_go_round_the_channels() {
        let channels = Channels { credentials: Arc::default(), count: 2 };
        let mut requests = Requests::pusher(channels.clone(), 150);
        let text = String::from_utf8_lossy(&requests.batch(3)).into_owned();
        let at = |name: &str| text.matches(&format!(r#""channel":"{name}""#)).count();
        assert_eq!((at("bench-0"), at("bench-1")), (2, 1));
        let wire = Wire::Pusher(channels);
        assert_eq!((wire.join(0) == wire.join(2), wire.join(0) == wire.join(1)), (true, false));
        assert_eq!(wire.receivers(10), 5);
    }
}
