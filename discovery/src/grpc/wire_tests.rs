use super::*;
use crate::generate::{State, closed_state, origins, versions};
use crate::grpc::batch::between;
use crate::table::{Listener, Protocol};
use proptest::prelude::*;
use prost::Message;

/// Encodes and decodes a message, as a peer would get it.
fn to_proxy(message: ToProxy) -> Result<ToProxy, WireError> {
    let bytes = proto::ToProxy::from(message).encode_to_vec();
    proto::ToProxy::decode(bytes.as_slice()).unwrap().try_into()
}

fn to_operator(message: ToOperator) -> Result<ToOperator, WireError> {
    let bytes = proto::ToOperator::from(message).encode_to_vec();
    let message = proto::ToOperator::decode(bytes.as_slice()).unwrap();
    message.try_into()
}

fn ack_of(state: &State, transaction: Option<u64>, refused: Option<String>) -> Ack {
    let verdicts = state.iter().map(|(name, update)| ResourceAck {
        name: name.clone(),
        version: update.version,
        origins: update.origins.clone(),
        refused: refused.clone(),
    });
    Ack {
        transaction,
        verdicts: verdicts.collect(),
        removed: state.keys().cloned().collect(),
    }
}

proptest! {
    #[test]
    fn a_transaction_survives_a_round_trip(
        held in closed_state(), wanted in closed_state(), id in any::<u64>(), epoch in any::<u64>(),
    ) {
        for batch in between(&versions(&held), &wanted) {
            let message = ToProxy::Transaction(Transaction { id, epoch, batch });
            prop_assert_eq!(to_proxy(message.clone()), Ok(message));
        }
    }

    #[test]
    fn messages_of_a_proxy_survive_a_round_trip(
        state in closed_state(),
        texts in prop::array::uniform4(".{0,20}"),
        transaction in prop::option::of(1..=u64::MAX),
        refused in prop::option::of(".{0,20}"),
        not_after_unix in any::<i64>(),
        follow in any::<bool>(),
        origins in origins(),
    ) {
        let [class, pod_name, pod_uid, fingerprint] = texts;
        let served = state.keys().map(|name| PresentedCertificate {
            server_name: class.clone(),
            certificate: ResourceName { kind: Kind::Certificate, name: name.name.clone() },
            fingerprint: fingerprint.clone(),
            not_after_unix,
        });
        let report = ProxyReport {
            ready: follow,
            served: served.collect(),
            unserved: vec![pod_name.clone()],
        };
        let mut ack = ack_of(&state, transaction, refused);
        if let Some(first) = ack.verdicts.first_mut() {
            first.origins = origins;
        }
        let hello = Hello { class, pod_name, pod_uid, held: versions(&state) };
        for message in [
            ToOperator::Hello(hello),
            ToOperator::Follow(follow),
            ToOperator::Ack(ack),
            ToOperator::Report(report),
        ] {
            prop_assert_eq!(to_operator(message.clone()), Ok(message));
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = proto::ToProxy::decode(bytes.as_slice()) {
            let _ = ToProxy::try_from(message);
        }
        if let Ok(message) = proto::ToOperator::decode(bytes.as_slice()) {
            let _ = ToOperator::try_from(message);
        }
    }
}

#[test]
fn a_heartbeat_survives_a_round_trip() {
    for leader in [true, false] {
        let message = ToProxy::Heartbeat(Heartbeat { epoch: 7, leader });
        assert_eq!(to_proxy(message.clone()), Ok(message));
    }
}

fn transaction_with(resource: proto::resource::Resource) -> proto::ToProxy {
    let update = proto::Update {
        version: vec![0; 16],
        origins: Vec::new(),
        resource: Some(proto::Resource {
            resource: Some(resource),
        }),
    };
    let transaction = proto::Transaction {
        upserts: vec![update],
        ..proto::Transaction::default()
    };
    proto::ToProxy {
        message: Some(proto::to_proxy::Message::Transaction(transaction)),
    }
}

fn error(message: proto::ToProxy) -> String {
    ToProxy::try_from(message).unwrap_err().to_string()
}

#[test]
fn names_a_missing_message() {
    let route = proto::Route {
        action: Some(proto::route::Action::Forward(proto::Forward::default())),
        ..proto::Route::default()
    };
    let host = proto::VirtualHost {
        routes: vec![route],
        ..proto::VirtualHost::default()
    };
    assert_eq!(
        error(transaction_with(proto::resource::Resource::VirtualHost(
            host
        ))),
        "transaction.upserts[0].resource.virtual_host.routes[0].matches: \
         is missing, or of a kind that this version does not know"
    );
}

#[test]
fn names_an_invalid_address() {
    let endpoint = proto::Endpoint {
        address: "10.0.0.1".into(),
        uid: String::new(),
    };
    let set = proto::EndpointSet {
        name: "team/a:http".into(),
        endpoints: vec![endpoint],
        ..proto::EndpointSet::default()
    };
    let error = error(transaction_with(proto::resource::Resource::Endpoints(set)));
    assert!(
        error.starts_with("transaction.upserts[0].resource.endpoints.endpoints[0].address: "),
        "{error}"
    );
}

#[test]
fn names_an_invalid_port_and_an_unknown_protocol() {
    let good = proto::Listener::from(Listener {
        name: "http".into(),
        port: 8080,
        protocol: Protocol::Http,
    });
    for (listener, field) in [
        (
            proto::Listener {
                port: 65536,
                ..good.clone()
            },
            "port",
        ),
        (
            proto::Listener {
                protocol: 9,
                ..good
            },
            "protocol",
        ),
    ] {
        let error = error(transaction_with(proto::resource::Resource::Listener(
            listener,
        )));
        let path = format!("transaction.upserts[0].resource.listener.{field}: ");
        assert!(error.starts_with(&path), "{error}");
    }
}

#[test]
fn names_an_unknown_upstream_protocol() {
    for protocol in [0, 9] {
        let backend = proto::Backend {
            protocol,
            ..proto::Backend::default()
        };
        let route = proto::Route {
            action: Some(proto::route::Action::Forward(proto::Forward {
                backends: vec![backend],
            })),
            ..proto::Route::default()
        };
        let host = proto::VirtualHost {
            routes: vec![route],
            ..proto::VirtualHost::default()
        };
        assert_eq!(
            error(transaction_with(proto::resource::Resource::VirtualHost(
                host
            ))),
            "transaction.upserts[0].resource.virtual_host.routes[0].forward.backends[0].protocol: \
             has an unknown value"
        );
    }
}

#[test]
fn names_a_version_of_another_length() {
    let held = proto::Held {
        name: Some(proto::ResourceName {
            kind: proto::Kind::Listener.into(),
            name: "http".into(),
        }),
        version: vec![0; 15],
    };
    let hello = proto::Hello {
        held: vec![held],
        ..proto::Hello::default()
    };
    let error = Hello::try_from(hello).unwrap_err();
    assert_eq!(error, WireError::new("held[0].version", Problem::Version));
}

#[test]
fn debug_output_omits_the_key() {
    let certificate = proto::Certificate {
        name: "team/cert".into(),
        chain_pem: String::new(),
        key_pem: "secret".into(),
    };
    let message = transaction_with(proto::resource::Resource::Certificate(certificate));
    let printed = format!("{message:?}");
    assert!(printed.contains("team/cert") && !printed.contains("secret"));
    let plain = ToProxy::try_from(message).unwrap();
    assert!(!format!("{plain:?}").contains("secret"));
}
