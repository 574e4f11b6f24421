//! Desired objects, and holds to create or delete.

use crate::names::Hostname;
use crate::observed::ChildKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::{ChildRef, HostnameHold, HostnameHoldSpec};
use serde_json::Value;

/// An object that should be stored exactly like this, by server-side apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Group and version.
    pub api_version: &'static str,
    /// Kind of the object.
    pub kind: &'static str,
    /// Empty for an object outside namespaces.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// The `metadata.uid` of the object that it belongs to; also in its ownerReference, and in the
    /// annotation [`crate::OWNER_UID`] for when that was stripped.
    pub owner_uid: String,
    /// The whole object, `apiVersion`, `kind` and `metadata` included.
    pub value: Value,
}

impl Child {
    /// How [`crate::Observed`] names it.
    pub fn key(&self) -> ChildKey {
        ChildKey {
            kind: self.kind.to_owned(),
            name: self.name.clone(),
        }
    }

    /// How a status names it.
    pub fn reference(&self) -> ChildRef {
        ChildRef {
            api_version: self.api_version.to_owned(),
            kind: self.kind.to_owned(),
            name: self.name.clone(),
        }
    }
}

/// Action on a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldAction {
    /// The hostname is not held and may be. That the hold exists by then is no failure: its event names the holder.
    Create {
        /// The hostname.
        hostname: Hostname,
        /// The namespace that gets it.
        namespace: String,
    },
    /// Its namespace has no more use for it. Delete exactly this one: a newer one may be needed.
    Delete {
        /// `metadata.name` of the hold.
        name: String,
        /// Precondition.
        uid: String,
        /// Precondition.
        resource_version: String,
    },
}

impl HoldAction {
    /// The hold to create, for [`HoldAction::Create`].
    pub fn hold(&self, now: Timestamp) -> Option<HostnameHold> {
        let Self::Create {
            hostname,
            namespace,
        } = self
        else {
            return None;
        };
        let mut hold = HostnameHold::new(
            &hostname.hold_name(),
            HostnameHoldSpec {
                hostname: hostname.as_str().to_owned(),
                namespace: namespace.clone(),
                since: Time(now),
            },
        );
        hold.metadata.labels = Some(
            [(
                crate::MANAGED_BY.0.to_owned(),
                crate::MANAGED_BY.1.to_owned(),
            )]
            .into(),
        );
        Some(hold)
    }
}

/// Settings of the installation that every proxy pod gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// The namespace of the release; the same that [`crate::Index::new`] was given.
    pub namespace: String,
    /// The image of the proxy, with its tag.
    pub image: String,
    /// `IfNotPresent`, `Always` or `Never`.
    pub image_pull_policy: String,
    /// The version of this program.
    pub version: String,
}
