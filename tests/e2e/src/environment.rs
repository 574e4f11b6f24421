//! Reads from the environment of `testbed env` where the cluster is.

use anyhow::{Context, Result};
use std::env;
use std::net::IpAddr;
use std::path::PathBuf;

/// Hint for a missing variable.
const HOW: &str = "these tests need the test cluster with the chart installed: run `ONLY=cluster \
    tests/run`, or `make demo` and then `eval \"$(testbed env --name portolan)\"`";

/// Values that `testbed env` exports.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The certificate of the ClusterIssuer `portolan-test-ca`, PEM.
    pub ca: PathBuf,
    /// The API server's audit log.
    pub audit_log: PathBuf,
    /// The addresses of the class `public`, as the host reaches them.
    pub public: [IpAddr; 2],
    /// The host's own address, as the cluster reaches it.
    pub host: IpAddr,
}

impl Environment {
    /// Reads the environment.
    ///
    /// # Errors
    /// When a variable is missing or makes no sense; the error says how to get it.
    pub fn read() -> Result<Self> {
        Ok(Self {
            kubeconfig: file("KUBECONFIG")?,
            ca: file("PORTOLAN_TEST_CA")?,
            audit_log: file("PORTOLAN_TEST_AUDIT")?,
            public: [address("PORTOLAN_TEST_LB")?, address("PORTOLAN_TEST_LB6")?],
            host: address("PORTOLAN_TEST_HOST")?,
        })
    }
}

fn address(variable: &str) -> Result<IpAddr> {
    let text = env::var(variable).with_context(|| format!("{variable} is not set; {HOW}"))?;
    text.parse()
        .with_context(|| format!("{variable}={text}: not an address; {HOW}"))
}

fn file(variable: &str) -> Result<PathBuf> {
    let path = env::var_os(variable).with_context(|| format!("{variable} is not set; {HOW}"))?;
    let path = PathBuf::from(path);
    anyhow::ensure!(
        path.is_file(),
        "{variable}={}: no such file; {HOW}",
        path.display()
    );
    Ok(path)
}
