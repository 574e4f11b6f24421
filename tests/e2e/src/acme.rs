//! Pebble, Let's Encrypt's own test server for ACME (RFC 8555): a certificate authority for one test, with
//! the behaviour that the test asks for. It runs beside the cluster, which reaches it at the host's address.

mod rate_limiter;

use crate::Cluster;
use crate::client::{Client, Scheme};
use crate::pki::Authority;
use crate::wait::{SOON, eventually};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rate_limiter::RateLimiter;
use serde_json::{Value, json};
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};
use tokio::process::{Child, Command};

/// Behaviour of the server towards its clients.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Percentage of nonces that are rejected. Pebble's own default is 5.
    pub bad_nonces: u8,
    /// Names for which it issues no certificate.
    pub blocked: Vec<String>,
    /// Validity of a certificate.
    pub validity: Duration,
    /// Rejects every order with `rateLimited`.
    pub limited: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            bad_nonces: 5,
            blocked: Vec::new(),
            validity: Duration::from_secs(90 * 24 * 3600),
            limited: false,
        }
    }
}

/// A running Pebble. Dropping it ends the process.
pub struct Pebble {
    /// Authority of the certificate of its own HTTPS.
    authority: Authority,
    acme: SocketAddr,
    management: SocketAddr,
    folder: PathBuf,
    rate_limiter: Option<RateLimiter>,
    _process: Child,
}

impl Pebble {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When the program is not on the PATH of `testbed env`, or does not answer; with its log.
    pub async fn start(cluster: &Cluster, behaviour: &Behaviour) -> Result<Self> {
        let at = cluster.environment.host;
        let dns = env::var("PORTOLAN_TEST_DNS").context("PORTOLAN_TEST_DNS is not set")?;
        let folder = env::temp_dir().join(format!("portolan-pebble-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder)?;
        let (acme, management) = (free(at)?, free(at)?);
        let authority = Authority::new()?;
        let pair = authority.issue(&[&at.to_string()])?;
        let write = |name: &str, text: &str| -> Result<String> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let profile = json!({"description": "", "validityPeriod": behaviour.validity.as_secs()});
        let config = json!({"pebble": {
            "listenAddress": acme.to_string(), "managementListenAddress": management.to_string(),
            "certificate": write("tls.crt", &pair.certificate)?, "privateKey": write("tls.key", &pair.key)?,
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "keyAlgorithm": "ecdsa", "retryAfter": {"authz": 1, "order": 1},
            "domainBlocklist": behaviour.blocked, "profiles": {"default": profile},
        }});
        let config = write("config.json", &config.to_string())?;
        let log = File::create(folder.join("log"))?;
        let process = Command::new("pebble")
            .args(["-config", &config, "-dnsserver", &format!("{dns}:53")])
            // It would else wait up to 15 s before it looks at a challenge.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", behaviour.bad_nonces.to_string())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("pebble, which `testbed build` makes")?;
        let client = authority.http_client()?;
        let rate_limiter = if behaviour.limited {
            Some(RateLimiter::start(acme, &pair, client.clone()).await?)
        } else {
            None
        };
        let pebble = Self {
            rate_limiter,
            authority,
            acme,
            management,
            folder,
            _process: process,
        };
        eventually("Pebble answers", SOON, async || {
            let host = at.to_string();
            // It takes no request without a User-Agent; a rejection is enough.
            let response = client.get(Scheme::Https, acme, &host, "/dir").await;
            response.map(drop).with_context(|| pebble.log())
        })
        .await?;
        Ok(pebble)
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A ClusterIssuer that asks it, whose challenges any Ingress controller may answer.
    pub fn issuer(&self, name: &str) -> Value {
        let ca = BASE64_STANDARD.encode(self.authority.pem());
        let rate_limiter = self.rate_limiter.as_ref();
        let at = rate_limiter.map_or(self.acme, |limiter| limiter.address);
        let solvers = json!([{"http01": {"ingress": {"serviceType": "ClusterIP"}}}]);
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name},
            "spec": {"acme": {
                "server": format!("https://{at}/dir"), "caBundle": ca,
                "privateKeySecretRef": {"name": name}, "solvers": solvers,
            }},
        })
    }

    /// Returns a client that trusts what it issues.
    ///
    /// # Errors
    /// When it does not return its root certificate.
    pub async fn http_client(&self) -> Result<Client> {
        let client = self.authority.http_client()?;
        let host = self.management.ip().to_string();
        let response = client
            .get(Scheme::Https, self.management, &host, "/roots/0")
            .await?;
        ensure!(response.status == 200, "{}", response.status);
        Client::with_roots(&response.body)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Finds a free port.
fn free(at: IpAddr) -> Result<SocketAddr> {
    Ok(TcpListener::bind((at, 0))?.local_addr()?)
}
