//! State of the cluster as last seen, one module per kind of object. Nothing here knows another object than its own.

pub(crate) mod app_protocol;
pub(crate) mod by_namespace;
pub(crate) mod classes;
pub(crate) mod grants;
pub(crate) mod hostnames;
pub(crate) mod issuance;
pub(crate) mod issuers;
pub(crate) mod leases;
pub(crate) mod namespaces;
pub(crate) mod pods;
pub(crate) mod secrets;
pub(crate) mod served_certificates;
pub(crate) mod service_facts;
pub(crate) mod services;
pub(crate) mod truncate;
