//! Reads the API server's audit log.

use crate::{Cluster, SYSTEM};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

/// The audit log from an offset on.
pub struct Audit {
    path: PathBuf,
    from: u64,
}

/// One request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// With its query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    user: User,
    /// Its resource; absent for paths that are none.
    #[serde(default)]
    pub object_ref: Object,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    /// Its outcome; absent while it runs.
    #[serde(default)]
    pub response_status: Response,
}

#[derive(Clone, Debug, Deserialize)]
struct User {
    username: String,
}

/// The resource of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Object {
    /// Plural.
    pub resource: String,
    /// Such as `status`.
    pub subresource: String,
    /// Empty for cluster scope and for lists over all namespaces.
    pub namespace: String,
    /// Empty for lists and watches.
    pub name: String,
}

/// Outcome of a request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Response {
    /// The HTTP status.
    pub code: u16,
}

impl Entry {
    /// Returns true if it changes stored objects. Reviews are created but not stored.
    pub fn is_write(&self) -> bool {
        let writes = ["create", "update", "patch", "delete", "deletecollection"];
        writes.contains(&self.verb.as_str()) && !self.object_ref.resource.ends_with("reviews")
    }

    /// Returns true if the roles of its user did not allow it. A 403 alone may also be an admission plug-in's no, as in
    /// a namespace that is being deleted.
    pub fn is_forbidden(&self) -> bool {
        let decision = self.annotations.get("authorization.k8s.io/decision");
        decision.is_some_and(|decision| decision == "forbid")
    }

    /// Returns true if the operator sent it.
    pub fn is_operators(&self) -> bool {
        self.user.username == format!("system:serviceaccount:{SYSTEM}:portolan-operator")
    }
}

impl Audit {
    /// The whole log.
    pub fn whole(cluster: &Cluster) -> Self {
        Self {
            path: cluster.environment.audit_log.clone(),
            from: 0,
        }
    }

    /// The log from now on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn from_now(cluster: &Cluster) -> Result<Self> {
        let path = cluster.environment.audit_log.clone();
        let from = path.metadata().context("the audit log")?.len();
        Ok(Self { path, from })
    }

    /// Returns the operator's requests since then.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn of_the_operator(&self) -> Result<Vec<Entry>> {
        let mut file = File::open(&self.path).context("the audit log")?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut entries = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line?;
            // Cheap first: most lines are of other clients. The last one may be half-written.
            if !line.contains(":portolan-operator\"") {
                continue;
            }
            if let Ok(entry) = serde_json::from_str::<Entry>(&line) {
                entries.extend(entry.is_operators().then_some(entry));
            }
        }
        Ok(entries)
    }

    /// The operator's writes since, Lease renewals apart.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn writes(&self) -> Result<Vec<Entry>> {
        let mut entries = self.of_the_operator()?;
        entries.retain(|entry| entry.is_write() && entry.object_ref.resource != "leases");
        Ok(entries)
    }
}
