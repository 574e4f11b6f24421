//! Backends of the requests of a page: applications without or with TLS, and those that it has outside
//! of the cluster.

use super::{ExampleSetup, OUTSIDE};
use anyhow::{Context, Result};
use portolan_e2e::Cluster;
use portolan_e2e::cluster::text;
use portolan_e2e::echo::{application, container, server};
use portolan_e2e::pki::data;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// TLS verification of endpoints: the Secret with their authority, and their name.
struct Check<'a> {
    authority: &'a str,
    subject: &'a str,
}

impl ExampleSetup<'_> {
    /// Runs the applications that the objects select, and those that they have outside.
    pub(crate) async fn applications(&self, cluster: &Cluster, objects: &[Value]) -> Result<()> {
        let checks = checks(objects);
        let mut running = BTreeSet::new();
        for object in objects {
            let app = text(object, "/spec/selector/app");
            let namespace = text(object, "/metadata/namespace");
            if app.is_empty() || !running.insert((namespace, app)) {
                continue;
            }
            let name = text(object, "/metadata/name");
            match checks.get(&(namespace, name)) {
                Some(check) => {
                    let port = object.pointer("/spec/ports/0/targetPort");
                    let port = port.and_then(Value::as_u64).context("no targetPort")?;
                    self.encrypted(cluster, (namespace, app), u16::try_from(port)?, check)
                        .await?;
                }
                None => {
                    let one = container("echo", "web", 8080, json!([]));
                    cluster
                        .apply(&application(namespace, app, 1, &[one]))
                        .await?;
                }
            }
        }
        for object in objects {
            let outside = self.namespace(OUTSIDE);
            if let Some((app, _)) =
                text(object, "/spec/externalName").split_once(&format!(".{outside}."))
            {
                self.outside(cluster, outside, app).await?;
                running.insert((outside, app));
            }
        }
        for (namespace, app) in running {
            cluster.rolled_out(namespace, app).await?;
        }
        Ok(())
    }

    /// Name that stands for a name outside.
    pub(super) fn inside(&self, name: &str) -> String {
        let app = name.split('.').next().unwrap_or_default();
        format!("{app}.{}.svc.cluster.local", self.namespace(OUTSIDE))
    }

    async fn outside(&self, cluster: &Cluster, namespace: &str, app: &str) -> Result<()> {
        let one = container("echo", "web", 8080, json!([]));
        let labels = json!({"app": app});
        cluster
            .apply(&application(namespace, app, 1, &[one]))
            .await?;
        cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"namespace": namespace, "name": app},
                "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "web"}]},
            }))
            .await
            .map(drop)
    }

    /// Runs an application over TLS, with the expected certificate, and stores its authority.
    async fn encrypted(
        &self,
        cluster: &Cluster,
        (namespace, app): (&str, &str),
        port: u16,
        check: &Check<'_>,
    ) -> Result<()> {
        let authority = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"namespace": namespace, "name": check.authority},
            "data": data(&[("ca.crt", self.authority.pem())]),
        });
        cluster.apply(&authority).await?;
        let secret = format!("{app}-serving");
        cluster
            .apply(
                &self
                    .authority
                    .secret(namespace, &secret, &[check.subject])?,
            )
            .await?;

        const FOLDER: &str = "/serving";
        let env = json!([
            {"name": "PORT", "value": port.to_string()},
            {"name": "TLS_CERTIFICATE", "value": format!("{FOLDER}/tls.crt")},
            {"name": "TLS_KEY", "value": format!("{FOLDER}/tls.key")},
        ]);
        let probe = json!({
            "httpGet": {"path": "/healthz", "port": "web", "scheme": "HTTPS"}, "periodSeconds": 1,
        });
        let image = "portolan.test/echo:dev";
        let mut one = server(image, "echo", ("web", port), &probe, env);
        one["volumeMounts"] = json!([{"name": "serving", "mountPath": FOLDER, "readOnly": true}]);
        let mut deployment = application(namespace, app, 1, &[one]);
        deployment["spec"]["template"]["spec"]["volumes"] =
            json!([{"name": "serving", "secret": {"secretName": secret}}]);
        cluster.apply(&deployment).await.map(drop)
    }
}

/// TLS verification of the endpoints of each Service (namespace and name): that of its first backend, so that
/// a later one may be mistaken.
fn checks(objects: &[Value]) -> BTreeMap<(&str, &str), Check<'_>> {
    let mut found = BTreeMap::new();
    for object in objects {
        let routes = object.pointer("/spec/routes").and_then(Value::as_array);
        let backends = routes.into_iter().flatten().flat_map(|route| {
            let backends = route.get("backends").and_then(Value::as_array);
            backends.into_iter().flatten()
        });
        for backend in backends {
            let check = Check {
                authority: text(backend, "/tls/ca/secret/name"),
                subject: text(backend, "/tls/subjectName"),
            };
            if !check.subject.is_empty() {
                let service = text(backend, "/service");
                let key = (text(object, "/metadata/namespace"), service);
                found.entry(key).or_insert(check);
            }
        }
    }
    found
}
