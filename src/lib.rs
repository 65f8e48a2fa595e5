//! Waypost: a clustered real-time event broker.
//!
//! A guided map of the rooms; arrows point down only.
//!
//! - [`cli`]: one file a subcommand; [`config`]: one typed tree of settings.
//! - [`server`]: the composition root, the only file that sees every room.
//! - [`edge`]: what clients speak, a folder a protocol, and the REST API.
//! - [`delivery`]: who receives: outlets, session actors, streams.
//! - [`hub`]: actors that own topics; publishing; the bridge from the replicated log.
//! - [`core`]: pure rules: ids, events, filters, rings, access, the replicated state.
//! - `waypost_cluster`: replicates a deterministic state machine; knows no event.

/// True where a build that is broken on purpose has that defect switched on; of another's calls, once in so many.
macro_rules! broken {
    ($name:literal) => {
        broken!(@ is_on($name))
    };
    ($name:literal, $every:literal) => {
        broken!(@ strikes($name, $every))
    };
    (@ $ask:ident($($what:tt)*)) => {{
        #[cfg(feature = "broken")]
        let on = $crate::defects::$ask($($what)*);
        #[cfg(not(feature = "broken"))]
        let on = false;
        on
    }};
}
pub(crate) use broken;

pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
#[cfg(feature = "broken")]
pub mod defects;
pub mod delivery;
pub mod edge;

pub mod hub;
pub mod metric;
pub mod notify;
pub mod server;
pub mod tls;
