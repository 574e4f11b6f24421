//! Stores the authority in the cluster and keeps a valid leaf in the server.
//!
//! A reconcile reads Secret `portolan-ca`; the leader makes it when there is none, and publishes the
//! bundle when it differs. Creating is by name and atomic: who comes second reads what the first
//! one wrote. Every replica looks once a minute, so a replaced authority is found without a watch
//! (a watch of one Secret by name would be as right, and a connection more).

use super::ca::{Authority, Bundle, CaError, Former, Leaf, server_names};
use super::tls::Presented;
use crate::FIELD_MANAGER;
use crate::lease::Leadership;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use portolan_core::{CA_CONFIG_MAP, TicketKey};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const BUNDLE_KEY: &str = "ca.crt";
const FORMER_KEY: &str = "former.crt";
/// Until when the former authority is trusted, RFC 3339.
const FORMER_UNTIL: &str = "portolan.dev/former-ca-until";

const LOOK_AGAIN: Duration = Duration::from_secs(60);
const WAIT_FOR_LEADER: Duration = Duration::from_secs(1);
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Controller that keeps the certificate of the server valid.
pub(super) struct CaController {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    names: Vec<String>,
    presented: Arc<Presented>,
    ticket_key: watch::Sender<Option<TicketKey>>,
    /// The authority's certificate that the leaf was issued under, and when to renew it.
    issued: Option<(String, SystemTime)>,
}

#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("API server: {0}")]
    Api(#[from] kube::Error),
    #[error(transparent)]
    Authority(#[from] CaError),
}

impl CaController {
    pub(super) fn new(
        client: &Client,
        namespace: &str,
        cluster_domain: &str,
        presented: Arc<Presented>,
        ticket_key: watch::Sender<Option<TicketKey>>,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            config_maps: Api::namespaced(client.clone(), namespace),
            names: server_names(namespace, cluster_domain),
            presented,
            ticket_key,
            issued: None,
        }
    }

    /// Runs until shutdown. Errors are logged and retried; a leaf in service is kept.
    pub(super) async fn run(
        mut self,
        mut leadership: watch::Receiver<Leadership>,
        shutdown: CancellationToken,
    ) {
        loop {
            let leader = leadership.borrow_and_update().leader;
            let wait = match self.reconcile(leader, SystemTime::now()).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "failed to reconcile the certificate authority of discovery");
                    AFTER_ERROR
                }
            };
            // Without a sender the leadership no longer changes; the wait still ends.
            let leader_changed = async {
                if leadership.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = leader_changed => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Reconciles once; returns the time until the next.
    async fn reconcile(&mut self, leader: bool, now: SystemTime) -> Result<Duration, SyncError> {
        let Some(authority) = self.authority(leader, now).await? else {
            return Ok(WAIT_FOR_LEADER);
        };
        if leader {
            self.publish(&authority, now).await?;
        }
        self.issue(&authority, now)?;
        let key = Some(authority.ticket_key());
        self.ticket_key.send_if_modified(|known| {
            let differs = *known != key;
            *known = key;
            differs
        });
        Ok(LOOK_AGAIN)
    }

    async fn authority(
        &self,
        leader: bool,
        now: SystemTime,
    ) -> Result<Option<Authority>, SyncError> {
        if let Some(secret) = self.secrets.get_opt(CA_CONFIG_MAP).await? {
            return Ok(Some(read(&secret)?));
        }
        if !leader {
            return Ok(None);
        }
        let made = Authority::generate(now)?;
        match self.secrets.create(&post(), &secret_of(&made)).await {
            Ok(_) => {
                tracing::info!(
                    secret = CA_CONFIG_MAP,
                    "created the certificate authority of discovery"
                );
                Ok(Some(made))
            }
            // A former leader was faster; its authority is the one.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {
                Ok(Some(read(&self.secrets.get(CA_CONFIG_MAP).await?)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn publish(&self, authority: &Authority, now: SystemTime) -> Result<(), SyncError> {
        let stored = self.config_maps.get_opt(CA_CONFIG_MAP).await?;
        let published = stored.as_ref().and_then(published);
        let bundle = Bundle::next(authority.certificate_pem(), published.clone(), now);
        let in_place = stored.is_some_and(|it| data(&it, BUNDLE_KEY) == Some(&bundle.pem()));
        if in_place && published.as_ref() == Some(&bundle) {
            return Ok(());
        }
        let patch = Patch::Apply(config_map_of(&bundle));
        let forced = PatchParams::apply(FIELD_MANAGER).force();
        self.config_maps
            .patch(CA_CONFIG_MAP, &forced, &patch)
            .await?;
        Ok(())
    }

    fn issue(&mut self, authority: &Authority, now: SystemTime) -> Result<(), CaError> {
        let certificate = authority.certificate_pem();
        let in_order =
            |(under, renew_at): &(String, SystemTime)| under == certificate && *renew_at > now;
        if self.issued.as_ref().is_some_and(in_order) {
            return Ok(());
        }
        let Leaf { key, renew_at } = authority.leaf(&self.names, now)?;
        self.presented.set(key);
        self.issued = Some((certificate.to_owned(), renew_at));
        Ok(())
    }
}

fn read(secret: &Secret) -> Result<Authority, CaError> {
    let text = |field| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(field));
        let bytes = bytes.ok_or_else(|| CaError::Secret {
            field,
            problem: "is absent".to_owned(),
        })?;
        String::from_utf8(bytes.0.clone()).map_err(|_| CaError::Secret {
            field,
            problem: "is not text".to_owned(),
        })
    };
    Authority::parse(&text("tls.crt")?, &text("tls.key")?)
}

fn secret_of(authority: &Authority) -> Secret {
    let mut secret = Secret {
        type_: Some("kubernetes.io/tls".to_owned()),
        data: Some(
            [
                ("tls.crt", authority.certificate_pem().to_owned()),
                ("tls.key", authority.key_pem()),
            ]
            .map(|(field, pem)| (field.to_owned(), ByteString(pem.into_bytes())))
            .into(),
        ),
        ..Secret::default()
    };
    secret.metadata.name = Some(CA_CONFIG_MAP.to_owned());
    // Not `managed-by`: that label selects the Secrets of certificates that are served.
    let label = ("app.kubernetes.io/part-of", "portolan");
    secret
        .labels_mut()
        .extend([(label.0.to_owned(), label.1.to_owned())]);
    secret
}

fn post() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn data<'a>(config_map: &'a ConfigMap, key: &str) -> Option<&'a String> {
    config_map.data.as_ref()?.get(key)
}

/// What the ConfigMap says; the former authority also stands alone there, so that no PEM has to be
/// taken apart.
fn published(config_map: &ConfigMap) -> Option<Bundle> {
    let bundle = data(config_map, BUNDLE_KEY)?;
    let Some(former) = data(config_map, FORMER_KEY) else {
        return Some(Bundle {
            authority: bundle.clone(),
            former: None,
        });
    };
    let until: Timestamp = config_map.annotations().get(FORMER_UNTIL)?.parse().ok()?;
    Some(Bundle {
        authority: bundle.strip_suffix(former.as_str())?.to_owned(),
        former: Some(Former {
            certificate_pem: former.clone(),
            trusted_until: until.into(),
        }),
    })
}

fn config_map_of(bundle: &Bundle) -> serde_json::Value {
    let mut annotations = json!({});
    let mut data = json!({BUNDLE_KEY: bundle.pem()});
    if let Some(former) = &bundle.former
        && let Ok(until) = Timestamp::try_from(former.trusted_until)
        && let (Some(annotations), Some(data)) = (annotations.as_object_mut(), data.as_object_mut())
    {
        annotations.insert(FORMER_UNTIL.to_owned(), until.to_string().into());
        data.insert(FORMER_KEY.to_owned(), former.certificate_pem.clone().into());
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": CA_CONFIG_MAP,
            "labels": {"app.kubernetes.io/part-of": "portolan"},
            "annotations": annotations,
        },
        "data": data,
    })
}

#[cfg(test)]
#[path = "ca_controller_tests.rs"]
mod tests;
