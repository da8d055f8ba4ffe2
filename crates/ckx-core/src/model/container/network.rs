//! Networks of a container, as its engine tells them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::documents::Documents;

/// A network that the container is in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Network {
    /// Name of the network; absent where engines do not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the interface in the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Hardware address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Addresses, with the length of the network's prefix where that is known.
    pub addresses: Vec<String>,
    /// Gateways.
    pub gateways: Vec<String>,
}

/// Addresses that annotations of CRI-O are searched for.
const MAX_ADDRESSES: usize = 16;

/// The networks: from Podman's `network.status`, or addresses of the pod from CRI-O's annotations.
pub(super) fn networks(documents: &Documents) -> Vec<Network> {
    let told: Vec<Network> = entries(documents.network.at(&[]))
        .flat_map(|(name, network)| {
            entries(network.get("interfaces")).map(move |(interface, value)| of(name, interface, value))
        })
        .collect();
    let addresses: Vec<String> = (0..MAX_ADDRESSES)
        .map_while(|index| documents.annotation(&format!("io.kubernetes.cri-o.IP.{index}")))
        .collect();
    if told.is_empty() && !addresses.is_empty() {
        return vec![Network { addresses, ..Network::default() }];
    }
    told
}

fn entries(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn of(name: &str, interface: &str, value: &Value) -> Network {
    let text = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let subnets: Vec<&Value> = value.get("subnets").and_then(Value::as_array).into_iter().flatten().collect();
    Network {
        name: Some(name.to_owned()),
        interface: Some(interface.to_owned()),
        mac: text(value, "mac_address"),
        addresses: subnets.iter().filter_map(|subnet| text(subnet, "ipnet")).collect(),
        gateways: subnets.iter().filter_map(|subnet| text(subnet, "gateway")).collect(),
    }
}
