//! Addresses in the status of an Ingress.

use super::difference::difference;
use crate::FIELD_MANAGER;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use portolan_crds::{Address, AddressType};
use serde_json::{Value, json};

/// Addresses in the status of an Ingress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shown {
    /// `status.loadBalancer.ingress`.
    pub points: Value,
    /// True if Portolan wrote them.
    pub by_us: bool,
}

impl Shown {
    /// Returns the addresses of an Ingress.
    pub fn of(ingress: &Ingress) -> Self {
        let status = serde_json::to_value(&ingress.status).unwrap_or_default();
        let points = status.pointer("/loadBalancer/ingress").cloned();
        let managed = ingress.metadata.managed_fields.iter().flatten();
        let ours = |entry: &ManagedFieldsEntry| {
            let of_status = entry.subresource.as_deref() == Some("status");
            entry.manager.as_deref() == Some(FIELD_MANAGER) && of_status
        };
        Self {
            points: points.unwrap_or_default(),
            by_us: managed.into_iter().any(ours),
        }
    }
}

/// Converts addresses to the form of the status of an Ingress.
pub(super) fn points(addresses: &[Address]) -> Vec<Value> {
    let point = |address: &Address| match address.type_ {
        AddressType::IPAddress => json!({"ip": address.value}),
        AddressType::Hostname => json!({"hostname": address.value}),
    };
    addresses.iter().map(point).collect()
}

/// Returns true if the status has exactly these addresses; other fields are ignored.
pub(super) fn shows(known: Option<&Value>, addresses: &[Address]) -> bool {
    let known = known
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let wanted = points(addresses);
    known.len() == wanted.len()
        && wanted
            .iter()
            .zip(known)
            .all(|(wanted, known)| difference(wanted, known).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_an_ingress_only_if_addresses_differ() {
        let addresses = [
            Address {
                type_: AddressType::IPAddress,
                value: "203.0.113.7".into(),
            },
            Address {
                type_: AddressType::Hostname,
                value: "lb.example.com".into(),
            },
        ];
        let shown = json!([{"ip": "203.0.113.7", "ipMode": "VIP"}, {"hostname": "lb.example.com"}]);
        assert!(shows(Some(&shown), &addresses));
        assert!(!shows(Some(&shown), &addresses[..1]));
        assert!(!shows(
            Some(&json!([{"ip": "203.0.113.8"}])),
            &addresses[..1]
        ));
        assert!(shows(None, &[]));
        assert!(!shows(None, &addresses));
    }
}
