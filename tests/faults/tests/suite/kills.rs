//! The operator is killed at each of its writes, before and after the write takes effect.
//! (faults.md, operator, case 1)

use anyhow::{Context, Result, ensure};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{KIND, exposed_echo};
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, TestEnv};
use portolan_faults::operator_under_test::operator_under_test;
use portolan_faults::sweep::{Change, sweep};
use serde_json::{Value, json};

/// The object of all three sweeps: one hostname with an issued certificate, one that is replaced.
struct Subject {
    cluster: Cluster,
    namespace: String,
    hosts: [String; 3],
}

impl Subject {
    async fn new(env: &TestEnv) -> Result<Self> {
        let namespace = env.namespace("a").await?;
        env.cluster.echo(&namespace, 1).await?;
        let hosts = ["kept", "old", "new"].map(|part| env.host(part));
        Ok(Self {
            cluster: env.cluster.clone(),
            namespace,
            hosts,
        })
    }

    fn before(&self) -> Value {
        let [kept, old, _] = &self.hosts;
        exposed_echo(&self.namespace, "x", &[kept, old], json!({}))
    }

    fn after(&self) -> Value {
        let [kept, _, new] = &self.hosts;
        exposed_echo(&self.namespace, "x", &[kept, new], json!({"port": "web"}))
    }

    async fn ready(&self) -> Result<()> {
        let exposed = self.cluster.exposed(&self.namespace, "x").await?;
        ensure!(exposed.is_ready(), "{exposed}");
        Ok(())
    }

    /// Nothing of the object is left, nor of its certificates.
    async fn clear(&self) -> Result<()> {
        self.cluster.delete(KIND, &self.namespace, "x").await?;
        eventually("nothing is left", LATER, async || {
            self.nothing_but_secrets().await
        })
        .await?;
        for secret in self.secrets().await? {
            self.cluster.delete_exactly(&secret).await?;
        }
        Ok(())
    }

    async fn nothing_but_secrets(&self) -> Result<()> {
        let namespace = &self.namespace;
        ensure!(
            self.cluster.find(KIND, namespace, "x").await?.is_none(),
            "the object"
        );
        for kind in ["Service", "Ingress", "Certificate"] {
            let left = self
                .cluster
                .list(kind, namespace, "portolan.dev/exposed-port")
                .await?;
            ensure!(left.is_empty(), "{} of kind {kind}", left.len());
        }
        for host in &self.hosts {
            let hold = self
                .cluster
                .find("HostnameHold", "", &format!("h.{host}"))
                .await?;
            ensure!(hold.is_none(), "the hold of {host}");
        }
        Ok(())
    }

    async fn secrets(&self) -> Result<Vec<Value>> {
        self.cluster
            .list("Secret", &self.namespace, "portolan.dev/exposed-port")
            .await
    }
}

struct Create(Subject);

impl Change for Create {
    async fn prepare(&self) -> Result<()> {
        self.0.clear().await
    }

    async fn make(&self) -> Result<()> {
        self.0.cluster.apply(&self.0.before()).await.map(drop)
    }

    async fn done(&self) -> Result<()> {
        self.0.ready().await
    }
}

struct Update(Subject);

impl Change for Update {
    async fn prepare(&self) -> Result<()> {
        self.0.clear().await?;
        self.0.cluster.apply(&self.0.before()).await?;
        self.0
            .cluster
            .ready(&self.0.namespace, "x", LATER)
            .await
            .map(drop)
    }

    async fn make(&self) -> Result<()> {
        self.0.cluster.apply(&self.0.after()).await.map(drop)
    }

    async fn done(&self) -> Result<()> {
        self.0.ready().await
    }
}

struct Delete(Subject);

impl Change for Delete {
    async fn prepare(&self) -> Result<()> {
        self.0.cluster.apply(&self.0.before()).await?;
        self.0
            .cluster
            .ready(&self.0.namespace, "x", LATER)
            .await
            .map(drop)
    }

    async fn make(&self) -> Result<()> {
        self.0.cluster.delete(KIND, &self.0.namespace, "x").await
    }

    async fn done(&self) -> Result<()> {
        self.0.nothing_but_secrets().await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_write_of_a_create() -> Result<()> {
    swept("create", Create).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_write_of_an_update() -> Result<()> {
    swept("update", Update).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_write_of_a_delete() -> Result<()> {
    swept("delete", Delete).await
}

/// Sweeps over a change, with foreign objects beside it that must not be touched.
async fn swept<C: Change>(name: &str, change: impl FnOnce(Subject) -> C) -> Result<()> {
    operator_under_test(name, async |operator| {
        let cluster = &operator.env.cluster;
        let subject = Subject::new(operator.env).await?;
        let namespace = subject.namespace.clone();
        let foreign = json!({
            "apiVersion": "v1", "kind": "Service",
            // As near to ours as can be, but for the owner.
            "metadata": {
                "namespace": namespace, "name": "x-foreign",
                "labels": {"app.kubernetes.io/managed-by": "portolan"},
            },
            "spec": {"clusterIP": "None", "ports": [{"port": 1234}]},
        });
        let before = cluster.apply(&foreign).await?;
        sweep(operator, &namespace, &change(subject)).await?;
        let after = cluster.get("Service", &namespace, "x-foreign").await?;
        let [before, after] =
            [&before, &after].map(|object| text(object, "/metadata/resourceVersion"));
        ensure!(before == after, "a foreign object was touched");
        Ok(())
    })
    .await
    .with_context(|| format!("sweep over a {name}"))
}
