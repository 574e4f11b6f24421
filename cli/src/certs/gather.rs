//! Reads what the rows are made of: ExposedPorts first, then the classes and Secrets that they lead to.
//! What may not be read, or fails, costs only itself.

use super::exposure::{Exposure, SecretId};
use super::row::World;
use super::source::{Class, Classes, StoredClass, classes_needed};
use super::stored::{CertificateSecret, Stored};
use crate::cluster::{Cluster, Object, Trouble, object_name};
use futures::{StreamExt as _, stream};
use std::collections::BTreeMap;
use std::pin::pin;

/// How many requests wait for answers at the same time: a person's question is no load for the API server.
const AT_ONCE: usize = 8;

/// Which ExposedPorts are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Those of a namespace, or with an empty one of all, that have these labels.
    All {
        namespace: String,
        labels: Option<String>,
    },
    /// These of a namespace.
    Named {
        namespace: String,
        names: Vec<String>,
    },
}

/// What was read, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) world: World,
    pub(crate) troubles: Vec<Trouble>,
    /// Objects that this user may not read.
    pub(crate) forbidden: Vec<Object>,
}

impl Found {
    /// Reads everything.
    ///
    /// # Errors
    /// When the ExposedPorts cannot be listed: there is nothing to show.
    pub(crate) async fn gather(cluster: &Cluster, selection: &Selection) -> Result<Self, Trouble> {
        let mut found = Self::default();
        found.read_exposures(cluster, selection).await?;
        found.read_classes(cluster).await;
        found.read_secrets(cluster).await;
        Ok(found)
    }

    async fn read_exposures(
        &mut self,
        cluster: &Cluster,
        selection: &Selection,
    ) -> Result<(), Trouble> {
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
                let answers = objects.map(|object| async move { cluster.get(&object).await });
                stream::iter(answers).buffered(AT_ONCE).collect().await
            }
        };
        for value in values {
            match value.and_then(Exposure::read) {
                Ok(exposure) => self.world.exposures.push(exposure),
                Err(trouble) => self.troubles.push(trouble),
            }
        }
        Ok(())
    }

    async fn read_classes(&mut self, cluster: &Cluster) {
        let names = classes_needed(&self.world.exposures).into_iter();
        let answers = names.map(|name| async move {
            let object = Object::expose_class(&name);
            let answer = cluster.get::<StoredClass>(&object).await;
            (name, object, answer)
        });
        let answers: Vec<_> = stream::iter(answers).buffered(AT_ONCE).collect().await;
        let mut classes = Classes::new();
        for (name, object, answer) in answers {
            let class = match answer {
                Ok(class) => class.into(),
                Err(Trouble::NotFound { .. }) => Class::Known(Vec::new()),
                Err(trouble) => {
                    self.cannot_read(object, trouble);
                    Class::Unknown
                }
            };
            classes.insert(name, class);
        }
        self.world.classes = classes;
    }

    async fn read_secrets(&mut self, cluster: &Cluster) {
        let needed = self.world.secrets_needed().into_iter();
        // An object may name its Secret as it likes, and the name becomes a part of a path.
        let (right, wrong): (Vec<_>, Vec<_>) = needed.partition(SecretId::can_exist);
        let answers = right.into_iter().map(|secret| async move {
            let object = Object::secret(&secret.namespace, &secret.name);
            let answer = cluster.get::<CertificateSecret>(&object).await;
            (secret, object, answer)
        });
        let mut answers = pin!(stream::iter(answers).buffered(AT_ONCE));
        let mut secrets: BTreeMap<_, _> =
            wrong.into_iter().map(|it| (it, Stored::NotFound)).collect();
        while let Some((secret, object, answer)) = answers.next().await {
            // Nobody waits for as many time-outs as there are Secrets.
            let is_lost = answer.as_ref().is_err_and(Trouble::is_silence);
            let stored = match answer {
                Ok(secret) => secret.into(),
                Err(Trouble::NotFound { .. }) => Stored::NotFound,
                Err(trouble) => self.cannot_read(object, trouble),
            };
            secrets.insert(secret, stored);
            if is_lost {
                break;
            }
        }
        self.world.secrets = secrets;
    }

    fn cannot_read(&mut self, object: Object, trouble: Trouble) -> Stored {
        match trouble {
            Trouble::Forbidden { .. } => {
                self.forbidden.push(object);
                Stored::Forbidden
            }
            trouble => {
                self.troubles.push(trouble);
                Stored::Failed
            }
        }
    }

    /// One sentence for everything that may not be read.
    pub(crate) fn note(&self) -> Option<String> {
        let first = self.forbidden.first()?;
        let more = match self.forbidden.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        Some(format!(
            "{first}{more}: may not be read, so STORED is - and not compared; have get on it granted (docs/reference/cli.md)"
        ))
    }
}

impl SecretId {
    fn can_exist(&self) -> bool {
        object_name(&self.namespace).is_ok() && object_name(&self.name).is_ok()
    }
}
