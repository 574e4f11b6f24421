//! Classes: what they settle for their objects, and which one is the default.

use crate::event::Change;
use crate::index::store::namespaces::Home;
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::validate::{Policy, ValidationError, is_never_allowed};
use jiff::Timestamp;
use portolan_crds::{
    AllowedEndpoints, AllowedIssuer, CertificateMode, ExposeClass, ExposeClassSpec,
    ExposeClassStatus, HostnameRule, IssuerRef, MinTlsVersion, NetworkPolicyMode,
    SharedCertificate,
};
use portolan_discovery::table::TlsVersion;
use std::collections::{BTreeMap, BTreeSet};

/// ExposeClass, as far as it concerns the index.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Class {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    created: Timestamp,
    /// It is being deleted: it serves the objects that it has, and takes no others.
    pub(crate) leaving: bool,
    pub(crate) finalizers: Vec<String>,
    pub(crate) spec: ExposeClassSpec,
    /// For routes of its objects, where these say nothing.
    pub(crate) defaults: Policy,
    /// Errors in its spec; such fields count as absent.
    pub(crate) mistakes: Vec<ValidationError>,
    /// As it is stored: conditions keep their times.
    pub(crate) status: ExposeClassStatus,
}

impl Class {
    /// Domain in place of `*` at the end of a hostname of a namespace.
    pub(crate) fn domain(&self, namespace: &str) -> Option<String> {
        let domain = self
            .spec
            .domain
            .as_ref()
            .filter(|domain| !domain.is_empty())?;
        Some(domain.replace("{namespace}", namespace))
    }

    /// Returns true if objects of a namespace may have hostnames.
    pub(crate) fn admits_roots_of(&self, home: Home<'_>) -> bool {
        let spec = &self.spec;
        home.is_meant(
            spec.root_namespaces.as_deref(),
            spec.root_namespace_selector.as_ref(),
        )
    }

    /// Returns true if objects of a namespace may have a hostname.
    pub(crate) fn admits_hostname(&self, host: &Hostname, home: Home<'_>) -> bool {
        let Some(rules) = &self.spec.hostnames else {
            return true;
        };
        let admits = |rule: &HostnameRule| {
            home.is_meant(rule.namespaces.as_deref(), rule.namespace_selector.as_ref())
                && rule.domains.iter().any(|domain| {
                    let domain = domain.replace("{namespace}", home.name);
                    host.is_within(&domain.to_ascii_lowercase())
                })
        };
        rules.iter().any(admits)
    }

    /// The Secret with the certificate for a hostname that several objects share.
    pub(crate) fn shared_certificate(&self, host: &Hostname) -> Option<ObjectRef> {
        let shared = &self.spec.certificates.as_ref()?.shared;
        let serves = |shared: &&SharedCertificate| {
            let mut hostnames = shared.hostnames.iter();
            hostnames.any(|name| Hostname::parse(name).is_ok_and(|name| name.covers(host)))
        };
        let secret = &shared.iter().find(serves)?.secret;
        Some(ObjectRef::new(&secret.namespace, &secret.name))
    }

    /// How many hostnames a certificate from an issuer is for.
    pub(crate) fn certificate_mode(&self) -> CertificateMode {
        let certificates = self.spec.certificates.as_ref();
        certificates
            .and_then(|certificates| certificates.mode)
            .unwrap_or_default()
    }

    pub(crate) fn issuer(&self) -> Option<&IssuerRef> {
        self.spec
            .issuer_ref
            .as_ref()
            .filter(|issuer| !issuer.name.is_empty())
    }

    /// Returns true if objects of a namespace may name an issuer.
    pub(crate) fn admits_issuer(&self, issuer: &IssuerRef, home: Home<'_>) -> bool {
        let allowed = self.spec.tls.as_ref();
        let Some(allowed) = allowed.and_then(|tls| tls.allowed_issuers.as_ref()) else {
            return true;
        };
        let admits = |allowed: &AllowedIssuer| {
            allowed.issuer == *issuer
                && home.is_meant(
                    allowed.namespaces.as_deref(),
                    allowed.namespace_selector.as_ref(),
                )
        };
        self.issuer() == Some(issuer) || allowed.iter().any(admits)
    }

    /// Returns true if objects of a namespace may bring certificates of their own.
    pub(crate) fn admits_secrets_of(&self, home: Home<'_>) -> bool {
        let allowed = self.spec.tls.as_ref();
        let allowed = allowed.and_then(|tls| tls.allow_own_secrets.as_ref());
        allowed.is_none_or(|allowed| {
            home.is_meant(
                Some(&allowed.namespaces),
                allowed.namespace_selector.as_ref(),
            )
        })
    }

    /// Returns true if the pods of a namespace are private until they are exposed. In one that is going nothing can be made.
    pub(crate) fn restricts(&self, home: Home<'_>) -> bool {
        let policy = self.spec.network_policy.as_ref();
        let policy = policy.filter(|policy| policy.mode == Some(NetworkPolicyMode::Restrict));
        let selector = policy.and_then(|policy| policy.namespace_selector.as_ref());
        selector.is_some_and(|selector| home.is_chosen(selector)) && !home.is_going()
    }

    /// Returns true if objects may have an annotation on their Ingress.
    pub(crate) fn admits_annotation(&self, key: &str) -> bool {
        let allowed = self.spec.annotations.as_ref();
        allowed.is_some_and(|annotations| annotations.allow.iter().any(|allowed| allowed == key))
            && !is_never_allowed(key)
    }

    /// The oldest version of TLS that any of its hosts may speak.
    pub(crate) fn min_tls_version(&self) -> Option<TlsVersion> {
        let version = self.spec.tls.as_ref()?.min_version?;
        Some(match version {
            MinTlsVersion::V1_1 | MinTlsVersion::V1_2 => TlsVersion::V1_2,
            MinTlsVersion::V1_3 => TlsVersion::V1_3,
        })
    }

    /// The Secret with the certificate for clients that ask for no server name.
    pub(crate) fn default_certificate(&self) -> Option<ObjectRef> {
        let secret = self.spec.tls.as_ref()?.default_certificate.as_ref()?;
        Some(ObjectRef::new(&secret.namespace, &secret.name))
    }

    /// Returns true if requests go to pods only.
    pub(crate) fn pods_only(&self) -> bool {
        self.spec.endpoints == Some(AllowedEndpoints::PodsOnly)
    }

    /// Networks in which no endpoint is ever contacted.
    pub(crate) fn denied_cidrs(&self) -> Vec<String> {
        let proxy = self.spec.proxy.as_ref();
        proxy
            .map(|proxy| proxy.denied_cidrs.clone())
            .unwrap_or_default()
    }

    /// How many proxies there should be.
    pub(crate) fn replicas(&self) -> i32 {
        let proxy = self.spec.proxy.as_ref();
        proxy.and_then(|proxy| proxy.replicas).unwrap_or(2)
    }
}

/// Every class.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    classes: BTreeMap<ClassName, Class>,
    /// Those that want to be the default, the oldest first; without those that are being deleted.
    defaults: BTreeSet<(Timestamp, ClassName)>,
}

/// Change of a class.
pub(crate) struct ClassChange {
    pub(crate) class: ClassName,
    /// Objects may differ now, not only the class itself.
    pub(crate) matters: bool,
    /// As it was before, if it was there.
    pub(crate) before: Option<Class>,
    /// Another class is the default now.
    pub(crate) new_default: bool,
    /// Every class that is marked as the default, before or after: each reports whether it is.
    pub(crate) defaults: BTreeSet<ClassName>,
}

impl Classes {
    pub(crate) fn get(&self, name: &ClassName) -> Option<&Class> {
        self.classes.get(name)
    }

    /// Those that send requests to pods only.
    pub(crate) fn asking_for_pods(&self) -> impl Iterator<Item = &ClassName> {
        let asking = self.classes.iter().filter(|(_, class)| class.pods_only());
        asking.map(|(name, _)| name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &ClassName> {
        self.classes.keys()
    }

    /// The oldest of those that say so.
    pub(crate) fn default_class(&self) -> Option<&ClassName> {
        self.defaults().next()
    }

    /// All that say so, the oldest first.
    pub(crate) fn defaults(&self) -> impl Iterator<Item = &ClassName> {
        self.defaults.iter().map(|(_, name)| name)
    }

    /// Returns true if an object may have the class that did not have it before.
    pub(crate) fn takes(&self, name: &ClassName) -> bool {
        self.get(name).is_some_and(|class| !class.leaving)
    }

    /// `None` when nothing is concerned. A class that is being deleted still serves its objects until it is gone.
    pub(crate) fn apply(&mut self, change: Change<ExposeClass>) -> Option<ClassChange> {
        let (name, class) = match change {
            Change::Deleted(name) => (name, None),
            Change::Applied(class) => (ObjectRef::of(class.as_ref()), Some(facts(*class))),
        };
        // A class whose name is no DNS label cannot be named by any object; the schema refuses it.
        let name = ClassName::parse(&name.name)?;
        let default = self.default_class().cloned();
        let mut defaults = self.claiming();
        let before = self.classes.remove(&name);
        if let Some(before) = &before {
            self.defaults.remove(&(before.created, name.clone()));
        }
        let matters = match (&before, &class) {
            (None, None) => return None,
            (Some(before), Some(class)) => {
                let same = Class {
                    status: before.status.clone(),
                    finalizers: before.finalizers.clone(),
                    ..class.clone()
                };
                *before != same
            }
            _ => true,
        };
        if let Some(class) = class {
            if class.spec.default && !class.leaving {
                self.defaults.insert((class.created, name.clone()));
            }
            self.classes.insert(name.clone(), class);
        }
        defaults.extend(self.claiming());
        Some(ClassChange {
            new_default: default.as_ref() != self.default_class(),
            class: name,
            matters,
            before,
            defaults,
        })
    }

    fn claiming(&self) -> BTreeSet<ClassName> {
        self.defaults().cloned().collect()
    }
}

fn facts(class: ExposeClass) -> Class {
    let metadata = class.metadata;
    let (defaults, mistakes) = Policy::of_class(&class.spec);
    Class {
        uid: metadata.uid.unwrap_or_default(),
        generation: metadata.generation.unwrap_or_default(),
        created: metadata
            .creation_timestamp
            .map(|time| time.0)
            .unwrap_or_default(),
        leaving: metadata.deletion_timestamp.is_some(),
        finalizers: metadata.finalizers.unwrap_or_default(),
        spec: class.spec,
        defaults,
        mistakes,
        status: class.status.unwrap_or_default(),
    }
}
