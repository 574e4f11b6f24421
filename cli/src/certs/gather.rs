//! Reads the data of the rows: ExposedPorts first, then the Secrets that they reference. Objects that
//! cannot be read do not affect others.

use super::exposure::{Exposure, SecretId};
use super::row::ClusterData;
use super::stored::{CertificateSecret, Stored};
use crate::cluster::{Cluster, Error, Object, object_name};
use futures::{StreamExt as _, stream};
use std::collections::BTreeMap;
use std::pin::pin;

/// Maximum number of concurrent requests, so that one user is no load for the API server.
const CONCURRENCY: usize = 8;

/// Selected ExposedPorts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Those of a namespace, or of all with an empty one, that have these labels.
    All {
        namespace: String,
        labels: Option<String>,
    },
    /// These names in a namespace.
    Named {
        namespace: String,
        names: Vec<String>,
    },
}

/// Objects that were read, and errors.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) data: ClusterData,
    pub(crate) errors: Vec<Error>,
    /// Objects that the user is not allowed to read.
    pub(crate) forbidden: Vec<Object>,
}

impl Found {
    /// Reads everything.
    ///
    /// # Errors
    /// The ExposedPorts cannot be listed, so there is nothing to show.
    pub(crate) async fn gather(cluster: &Cluster, selection: &Selection) -> Result<Self, Error> {
        let mut found = Self::default();
        found.read_exposures(cluster, selection).await?;
        found.read_secrets(cluster).await;
        Ok(found)
    }

    async fn read_exposures(
        &mut self,
        cluster: &Cluster,
        selection: &Selection,
    ) -> Result<(), Error> {
        let values: Vec<_> = match selection {
            Selection::All { namespace, labels } => {
                let collection = Object::exposed_ports(namespace);
                let values = cluster.list(&collection, labels.as_deref()).await?;
                values.into_iter().map(Ok).collect()
            }
            Selection::Named { namespace, names } => {
                let objects = names
                    .iter()
                    .map(|name| Object::exposed_port(namespace, name));
                let requests = objects.map(|object| async move { cluster.get(&object).await });
                stream::iter(requests).buffered(CONCURRENCY).collect().await
            }
        };
        for value in values {
            match value.and_then(Exposure::read) {
                Ok(exposure) => self.data.exposures.push(exposure),
                Err(error) => self.errors.push(error),
            }
        }
        Ok(())
    }

    async fn read_secrets(&mut self, cluster: &Cluster) {
        let needed = self.data.secrets_needed().into_iter();
        // The name of a Secret in an object is arbitrary, and becomes part of a path.
        let (valid, invalid): (Vec<_>, Vec<_>) = needed.partition(SecretId::can_exist);
        let requests = valid.into_iter().map(|secret| async move {
            let object = Object::secret(&secret.namespace, &secret.name);
            let result = cluster.get::<CertificateSecret>(&object).await;
            (secret, object, result)
        });
        let mut results = pin!(stream::iter(requests).buffered(CONCURRENCY));
        let mut secrets: BTreeMap<_, _> = invalid
            .into_iter()
            .map(|secret| (secret, Stored::NotFound))
            .collect();
        while let Some((secret, object, result)) = results.next().await {
            // Avoids one timeout per Secret.
            let is_unresponsive = result.as_ref().is_err_and(Error::is_unresponsive);
            let stored = match result {
                Ok(secret) => secret.into(),
                Err(Error::NotFound { .. }) => Stored::NotFound,
                Err(error) => self.cannot_read(object, error),
            };
            secrets.insert(secret, stored);
            if is_unresponsive {
                break;
            }
        }
        self.data.secrets = secrets;
    }

    fn cannot_read(&mut self, object: Object, error: Error) -> Stored {
        match error {
            Error::Forbidden { .. } => {
                self.forbidden.push(object);
                Stored::Forbidden
            }
            error => {
                self.errors.push(error);
                Stored::Failed
            }
        }
    }

    /// Returns a note about all objects that the user is not allowed to read.
    pub(crate) fn note(&self) -> Option<String> {
        let first = self.forbidden.first()?;
        let more = match self.forbidden.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        Some(format!(
            "{first}{more}: forbidden, so STORED is - and is not compared; grant get on secrets to compare it"
        ))
    }
}

impl SecretId {
    fn can_exist(&self) -> bool {
        object_name(&self.namespace).is_ok() && object_name(&self.name).is_ok()
    }
}
