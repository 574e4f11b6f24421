//! Test environments: the namespaces and hostnames of one test, which no other test uses and which are
//! deleted afterwards. A failing test prints the objects of its namespaces.

use crate::exposed::Exposed;
use crate::{Cluster, DOMAIN, ISSUER};
use anyhow::{Result, anyhow};
use futures::FutureExt;
use serde_json::{Value, json};
use std::env;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Environment of one test.
pub struct TestEnv {
    /// The cluster.
    pub cluster: Cluster,
    /// Makes a failure repeatable: printed, and taken from `PORTOLAN_TEST_SEED` when that is set.
    pub seed: u64,
    name: String,
    unique: String,
    namespaces: Mutex<Vec<String>>,
    classes: Mutex<Vec<String>>,
}

/// Runs a test in an environment of its own and deletes that afterwards, whatever happened.
///
/// `name` is a short DNS label that names the test in its namespaces.
///
/// # Errors
/// When the test fails or panics.
pub async fn test_env(name: &str, test: impl AsyncFnOnce(&TestEnv) -> Result<()>) -> Result<()> {
    let env = TestEnv::new(name, Cluster::reach().await?)?;
    let outcome = AssertUnwindSafe(test(&env)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("{name}: panicked, see above")));
    if outcome.is_err() {
        env.show().await;
    }
    env.clear().await;
    outcome
}

impl TestEnv {
    fn new(name: &str, cluster: Cluster) -> Result<Self> {
        let seed = seed()?;
        println!("{name}: PORTOLAN_TEST_SEED={seed}");
        // Two environments with one seed still must not meet: the names do not come from it.
        let unique = format!("{:08x}", fastrand::u32(..));
        Ok(Self {
            cluster,
            seed,
            name: name.to_owned(),
            unique,
            namespaces: Mutex::default(),
            classes: Mutex::default(),
        })
    }

    /// Makes a namespace whose name ends in `part`.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn namespace(&self, part: &str) -> Result<String> {
        let name = format!("e2e-{}-{}-{part}", self.name, self.unique);
        self.cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Namespace",
                // Applications run under the strictest of the Pod Security Standards, as Portolan does.
                "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            }))
            .await?;
        push(&self.namespaces, &name);
        Ok(name)
    }

    /// A hostname of this environment in the class's domain, which the test DNS answers.
    pub fn host(&self, part: &str) -> String {
        format!("{}.{DOMAIN}", self.label(part))
    }

    /// The first label of [`Self::host`].
    pub fn label(&self, part: &str) -> String {
        format!("{part}-{}-{}", self.name, self.unique)
    }

    /// Makes an ExposeClass with an issuer and so many proxies of its own, and gives its name.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn own_class(&self, replicas: u32) -> Result<String> {
        let proxy = json!({"replicas": replicas});
        let issuer = json!({"name": ISSUER});
        let spec = json!({"proxy": proxy, "issuerRef": issuer});
        self.class("c", spec).await
    }

    /// Makes an ExposeClass that is deleted with the environment, and gives its name.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn class(&self, part: &str, spec: Value) -> Result<String> {
        let name = self.label(part);
        let kind = "ExposeClass";
        self.cluster
            .apply(&json!({
                "apiVersion": "portolan.dev/v1alpha1", "kind": kind,
                "metadata": {"name": name}, "spec": spec,
            }))
            .await?;
        push(&self.classes, &name);
        Ok(name)
    }

    /// Prints the objects to look at first.
    async fn show(&self) {
        for namespace in snapshot(&self.namespaces) {
            for kind in ["ExposedPort", "Service", "Ingress", "Certificate"] {
                match self.cluster.list(kind, &namespace, "").await {
                    Ok(objects) => objects.iter().for_each(show),
                    Err(error) => println!("{namespace}: {error:#}"),
                }
            }
        }
    }

    async fn clear(&self) {
        let namespaces = snapshot(&self.namespaces);
        let namespaces = namespaces.iter().map(|name| ("Namespace", name));
        let classes = snapshot(&self.classes);
        let classes = classes.iter().map(|name| ("ExposeClass", name));
        for (kind, name) in namespaces.chain(classes) {
            if let Err(error) = self.cluster.delete(kind, "", name).await {
                println!("{kind} {name} is left behind: {error:#}");
            }
        }
    }
}

fn show(object: &Value) {
    let (kind, namespace, name) = crate::cluster::key(object).unwrap_or_default();
    println!("--- {kind} {namespace}/{name}");
    if kind == "ExposedPort" {
        println!("{}", Exposed(object.clone()));
    } else if let Some(status) = object.get("status") {
        println!("    {status}");
    }
}

/// The seed of this run.
fn seed() -> Result<u64> {
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    };
    match env::var("PORTOLAN_TEST_SEED") {
        Ok(text) => text
            .parse()
            .map_err(|_| anyhow!("PORTOLAN_TEST_SEED={text}: not a number of 64 bits")),
        Err(_) => Ok(now()),
    }
}

fn push(list: &Mutex<Vec<String>>, name: &str) {
    list.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(name.to_owned());
}

fn snapshot(list: &Mutex<Vec<String>>) -> Vec<String> {
    list.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
