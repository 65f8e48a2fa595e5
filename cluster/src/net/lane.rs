//! The lanes to one peer. Each has a connection of its own, so that no lane waits behind another. A caller
//! names the lane when it connects.

use crate::wire::Request;

/// The purpose of a connection to a peer. The numbers are part of [`crate::wire::Hello`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Votes, heartbeats, read confirmations.
    Pulse = 0,
    /// Log entries.
    Append = 1,
    /// Forwarded proposals and read barriers.
    Work = 2,
    /// Snapshots.
    Bulk = 3,
    /// Requests of the application that are small and quickly answered.
    Quick = 4,
    /// Requests of the application that may take long or be large.
    Patient = 5,
    /// Requests that the application passes on for its clients.
    Relay = 6,
    /// The same, where answers are large.
    Large = 7,
}

/// The kind of connection that carries a request of the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestLane {
    /// Small and quickly answered.
    Quick,
    /// May take long or be large; delays only other requests of this lane.
    Patient,
    /// Passed on for a client; delays only what is passed on for other clients.
    Relay,
    /// Passed on for a client, with a large answer; delays only others of this lane.
    Large,
}

impl From<RequestLane> for Lane {
    fn from(lane: RequestLane) -> Self {
        match lane {
            RequestLane::Quick => Self::Quick,
            RequestLane::Patient => Self::Patient,
            RequestLane::Relay => Self::Relay,
            RequestLane::Large => Self::Large,
        }
    }
}

impl Lane {
    pub(crate) const ALL: [Self; 8] = [
        Self::Pulse,
        Self::Append,
        Self::Work,
        Self::Bulk,
        Self::Quick,
        Self::Patient,
        Self::Relay,
        Self::Large,
    ];

    /// Its number on the wire.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// The lane with that number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.number() == number)
    }

    /// Whether the lane may carry the request. Requests of the application have lanes of their own, and those
    /// lanes carry nothing else.
    pub(crate) fn carries(self, request: &Request) -> bool {
        let is_of_application = matches!(self, Self::Quick | Self::Patient | Self::Relay | Self::Large);
        matches!(request, Request::AppV1 { .. }) == is_of_application
    }
}

/// Most requests in flight on one connection, by its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    requests: usize,
    patient: usize,
}

impl Limits {
    /// `patient` is the limit of the lanes whose requests take long, `requests` that of each other lane.
    pub(crate) fn new(requests: usize, patient: usize) -> Self {
        Self { requests, patient }
    }

    pub(crate) fn of(self, lane: Lane) -> usize {
        match lane {
            Lane::Patient | Lane::Relay | Lane::Large => self.patient,
            _ => self.requests,
        }
    }
}
