//! Support for the tests on a real cluster: the cluster, an environment of its own for each test, an
//! application to expose, a client that verifies certificates, and waiting for conditions.
//!
//! Objects are plain JSON here, on purpose: the tests see what `kubectl` and other programs see, and
//! a mistake in our own types cannot hide in both the product and its test.
//!
//! The tests need the environment of `testbed env` for a cluster on which `demo/install` has
//! installed the chart; without it each of them fails and says so ([`environment`]).

pub mod accounts;
pub mod acme;
pub mod audit;
pub mod client;
pub mod cluster;
pub mod echo;
pub mod environment;
pub mod exposed;
pub mod http2;
pub mod kubectl;
pub mod load;
pub mod pki;
pub mod plugin;
pub mod proxies;
pub mod test_env;
pub mod wait;

pub use cluster::Cluster;
pub use test_env::{TestEnv, test_env};

/// The namespace of the release.
pub const SYSTEM: &str = "portolan-system";
/// The class that the chart installs.
pub const CLASS: &str = "public";
/// The ClusterIssuer that every certificate of the tests comes from.
pub const ISSUER: &str = "portolan-test-ca";
/// The domain of that class.
pub const DOMAIN: &str = "portolan.test";
