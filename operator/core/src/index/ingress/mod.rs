//! Ingresses as input: rules of our classes become exposures, solver Ingresses of cert-manager become challenge routes.

pub(crate) mod acme_challenges;
pub(crate) mod acme_solvers;
pub(crate) mod ingresses;
