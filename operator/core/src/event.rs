//! Inputs of the index, and what each of them affects.

use crate::compile::TicketKey;
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::subject::Subject;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use portolan_crds::certmanager::{Certificate, Challenge, ClusterIssuer, Issuer};
use portolan_crds::gateway::ReferenceGrant;
use portolan_crds::{ExposeClass, ExposedPort, HostnameHold};
use portolan_discovery::table::ResourceName;
use std::collections::BTreeSet;

/// An object was stored, or is gone.
#[derive(Clone, Debug)]
pub enum Change<T> {
    /// It is stored like this now. Applying what is there already affects at most the object itself.
    Applied(Box<T>),
    /// It is there no more.
    Deleted(ObjectRef),
}

impl<T: kube::Resource> Change<T> {
    /// Reference of the object.
    pub fn reference(&self) -> ObjectRef {
        match self {
            Self::Applied(object) => ObjectRef::of(object.as_ref()),
            Self::Deleted(object) => object.clone(),
        }
    }
}

/// Something that was seen in the cluster.
#[derive(Clone, Debug)]
pub enum Event {
    /// An app team's object.
    ExposedPort(Change<ExposedPort>),
    /// A platform team's object.
    ExposeClass(Change<ExposeClass>),
    /// A hold of ours.
    HostnameHold(Change<HostnameHold>),
    /// Any Service: a target, a child, or the one before the proxies.
    Service(Change<Service>),
    /// The endpoints of a Service.
    EndpointSlice(Change<EndpointSlice>),
    /// Any pod, while [`crate::Index::needs_pods`].
    Pod(Change<Pod>),
    /// Every pod is listed; or pods are no longer watched, and are forgotten.
    PodsListed(bool),
    /// A Secret that holds a certificate: one of our Certificates', or one of [`crate::Index::referenced_secrets`].
    Secret(Change<Secret>),
    /// A Certificate of ours.
    Certificate(Change<Certificate>),
    /// Who issues certificates to objects of a namespace.
    Issuer(Change<Issuer>),
    /// Who issues certificates to objects of all namespaces.
    ClusterIssuer(Change<ClusterIssuer>),
    /// True if the cluster knows cert-manager's Issuers.
    Issuers(bool),
    /// True if the cluster knows cert-manager's ClusterIssuers.
    ClusterIssuers(bool),
    /// Challenge of an ACME server for a name, as cert-manager keeps it.
    Challenge(Change<Challenge>),
    /// Any Ingress: one that is to be served, or with the label [`crate::SOLVER`], by which cert-manager
    /// answers a challenge of ACME.
    Ingress(Change<Ingress>),
    /// Any IngressClass: it says which Ingresses are to be served.
    IngressClass(Change<IngressClass>),
    /// A Lease with the label [`crate::EXPOSED_PORT`], which keeps an object alive that asks for one.
    Lease(Change<Lease>),
    /// A namespace; its metadata alone is looked at.
    Namespace(Change<Namespace>),
    /// True if the cluster knows cert-manager's Certificates.
    CertManager(bool),
    /// A namespace's consent to references from others.
    ReferenceGrant(Change<ReferenceGrant>),
    /// True if the cluster knows ReferenceGrants.
    ReferenceGrants(bool),
    /// From which the keys of TLS session tickets are derived.
    TicketKey(TicketKey),
    /// Current time. Secrets are checked at the last one, so apply it before a batch of events.
    Now(Timestamp),
}

/// Everything that may differ after an event; nothing else can.
///
/// It may name more than really changed: compare what you derive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// ExposedPorts, and hostnames of Ingresses ([`Subject::IngressHost`]), whose children or status may differ.
    pub objects: BTreeSet<Subject>,
    /// Ingresses of which something may differ beside their hostnames, or that came, were stored or went.
    pub ingresses: BTreeSet<ObjectRef>,
    /// Hostnames whose hold may have to be created or deleted: ask [`crate::Index::hold_action`].
    pub holds: BTreeSet<Hostname>,
    /// Classes whose children, status or finalizers may differ.
    pub classes: BTreeSet<ClassName>,
    /// Resources of a class that may differ: ask [`crate::Index::resource`].
    pub resources: BTreeSet<(ClassName, ResourceName)>,
    /// True if [`crate::Index::referenced_secrets`] differs.
    pub secrets: bool,
}

impl Affected {
    /// Both together, for a batch of events.
    pub fn merge(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.ingresses.extend(other.ingresses);
        self.holds.extend(other.holds);
        self.classes.extend(other.classes);
        self.resources.extend(other.resources);
        self.secrets |= other.secrets;
    }

    /// Returns true if nothing has to be done.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
