//! Who answers at the client port of the configuration on this host.

use serde_json::Value;
use tokio::time::timeout;

use super::{
    super::{
        client::Client,
        healthcheck::{ask, own_address},
        output::{cell, printable},
    },
    ANSWER, STATUS,
};
use crate::config::Config;

/// Who answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Here {
    /// No node.
    Nobody,
    /// The node with this configuration.
    Own,
    /// A node that does not tell us which one it is.
    Unknown,
    /// A node with another configuration. Both are described for people.
    Other {
        /// The node that answers.
        node: String,
        /// The node of this configuration.
        own: String,
    },
}

impl Here {
    /// Looks who answers. The client asks the client port of this configuration.
    pub(super) async fn look(config: &Config, client: &Client) -> Self {
        let scheme = if config.http.tls().is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/healthz", own_address(config.http_addr));
        // A node that is still starting says why; it is there too.
        let answer = timeout(ANSWER, ask(&url)).await;
        if !answer.is_ok_and(|answer| answer.is_ok_and(|(_, body)| body.contains("\"status\""))) {
            return Self::Nobody;
        }
        match client.ask_all(STATUS, ANSWER).await.into_iter().next() {
            Some((_, Ok(status))) => Self::told(config, &status),
            _ => Self::Unknown,
        }
    }

    /// Whether the node that answers is that of the configuration, as far as is known.
    pub(super) fn may_be_own(&self) -> bool {
        matches!(self, Self::Own | Self::Unknown)
    }

    /// Compares the configuration with the status of the node that answers. Nodes of one host may have its name
    /// both, so their peer addresses count too.
    fn told(config: &Config, status: &Value) -> Self {
        let members = status["members"].as_array().map(Vec::as_slice).unwrap_or_default();
        let Some(member) = members.iter().find(|member| member["id"] == status["node_id"]) else {
            return Self::Unknown;
        };
        let name = config.node.name();
        let bound = || Some(config.peer_addr).filter(|addr| addr.port() != 0).map(|addr| addr.to_string());
        let peer = config.advertise_peer_addr.clone().or_else(bound);
        // An older release may report no name.
        let is_named = member["name"].as_str().is_none_or(|theirs| theirs == name);
        let is_there =
            peer.as_deref().is_none_or(|own| member["peer_addr"].as_str().is_none_or(|theirs| theirs == own));
        if is_named && is_there {
            return Self::Own;
        }
        let at = |name: &str, addr: &str| format!("{} (peer address {addr})", printable(name));
        let theirs = member["name"].as_str().unwrap_or("another node");
        let any = config.peer_addr.to_string();
        Self::Other {
            node: at(theirs, &cell(member, "peer_addr")),
            own: at(&name, peer.as_deref().unwrap_or(&any)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::config::Node;
    use serde_json::json;

    fn config(name: &str, peer: &str) -> Config {
        let node = Node { name: Some(name.to_owned()) };
        Config { node, peer_addr: peer.parse().unwrap(), ..Config::default() }
    }

    #[test]
    fn a_node_is_told_by_its_name_and_its_peer_address() {
        let status = json!({
            "node_id": 2,
            "members": [
                {"id": 1, "name": "a", "peer_addr": "127.0.0.1:1"},
                {"id": 2, "name": "b", "peer_addr": "127.0.0.1:2"},
            ],
        });
        let told = |name, peer| Here::told(&config(name, peer), &status);
        assert_eq!(told("b", "127.0.0.1:2"), Here::Own);
        assert_eq!(told("b", "127.0.0.1:0"), Here::Own);
        for (name, peer) in [("a", "127.0.0.1:2"), ("b", "127.0.0.1:1")] {
            let Here::Other { node, own } = told(name, peer) else { panic!("{name} {peer}") };
            assert_eq!(node, "b (peer address 127.0.0.1:2)");
            assert_eq!(own, format!("{name} (peer address {peer})"));
        }
        let advertised =
            Config { advertise_peer_addr: Some("127.0.0.1:2".to_owned()), ..config("b", "0.0.0.0:9") };
        assert_eq!(Here::told(&advertised, &status), Here::Own);
        let joining = json!({"node_id": 3, "members": []});
        assert_eq!(Here::told(&config("b", "127.0.0.1:2"), &joining), Here::Unknown);
    }
}
