//! Requests as they come. What carries much shares the memory of the frame that it came in.

use bytes::Bytes;
use serde::Deserialize;

use super::peer::{Append, Request, WireEntry};
use super::proposal::ProposalV1;
use super::{WireError, decode, decode_borrowed};

/// The number of [`Request::AppendV1`], which precedes its fields.
const APPEND_V1: u8 = 1;
/// The number of [`Request::ForwardV2`].
const FORWARD_V2: u8 = 15;

/// The fields of [`Request::ForwardV2`].
#[derive(Deserialize)]
struct ForwardV2<'a> {
    flow: Option<u128>,
    proposal: ProposalV1,
    #[serde(borrow)]
    commands: Vec<&'a serde_bytes::Bytes>,
}

impl Request {
    /// Decodes the body of a frame.
    pub(crate) fn of_frame(body: &Bytes) -> Result<Self, WireError> {
        match body.split_first() {
            Some((&APPEND_V1, fields)) => append(body, decode_borrowed(fields)?),
            Some((&FORWARD_V2, fields)) => {
                let ForwardV2 { flow, proposal, commands } = decode_borrowed(fields)?;
                let commands = commands.into_iter().map(|command| body.slice_ref(command)).collect();
                Ok(Self::ForwardV2 { flow, proposal, commands })
            }
            _ => decode(body),
        }
    }
}

fn append(body: &Bytes, append: Append<&serde_bytes::Bytes>) -> Result<Request, WireError> {
    let Append { vote, prev, commit, entries } = append;
    let entries = entries.into_iter().map(|WireEntry { id, kind, content }| WireEntry {
        id,
        kind,
        content: body.slice_ref(content),
    });
    Ok(Request::AppendV1(Append { vote, prev, commit, entries: entries.collect() }))
}
