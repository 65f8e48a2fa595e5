//! The connections to one peer: one for each lane, so that none waits behind another. A caller names its lane
//! when it connects.

use crate::wire::Request;

/// What a connection to a peer is for. The numbers stand in [`crate::wire::Hello`].
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
    /// Requests of the application that are small and soon answered.
    Quick = 4,
    /// Requests of the application that may wait for long or be large.
    Patient = 5,
}

/// The connection that carries an application's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequestLane {
    /// Small, and soon answered.
    Quick,
    /// May wait for long, or be large; it holds up nothing but its like.
    Patient,
}

impl From<RequestLane> for Lane {
    fn from(lane: RequestLane) -> Self {
        match lane {
            RequestLane::Quick => Self::Quick,
            RequestLane::Patient => Self::Patient,
        }
    }
}

impl Lane {
    pub(crate) const ALL: [Self; 6] =
        [Self::Pulse, Self::Append, Self::Work, Self::Bulk, Self::Quick, Self::Patient];

    /// Its number on the wire.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// Back from its number.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.number() == number)
    }

    /// Requests of the application have lanes of their own, and those lanes carry nothing else.
    pub(crate) fn carries(self, request: &Request) -> bool {
        matches!(request, Request::AppV1 { .. }) == matches!(self, Self::Quick | Self::Patient)
    }
}

/// Most requests under way on one connection, by its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    requests: usize,
    patient: usize,
}

impl Limits {
    /// `patient` counts for the lane of that name, `requests` for each of the others.
    pub(crate) fn new(requests: usize, patient: usize) -> Self {
        Self { requests, patient }
    }

    pub(crate) fn of(self, lane: Lane) -> usize {
        match lane {
            Lane::Patient => self.patient,
            _ => self.requests,
        }
    }
}
