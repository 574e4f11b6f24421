//! Pebble, Let's Encrypt's own test server for ACME (RFC 8555): a certificate authority for one test, with
//! the manners that the test asks for. It runs beside the cluster, which reaches it at the host's address.

mod turnstile;

use crate::Cluster;
use crate::pki::Authority;
use crate::visitor::{Scheme, Visitor};
use crate::wait::{SOON, eventually};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};
use tokio::process::{Child, Command};
use turnstile::Turnstile;

/// How it treats its customers.
#[derive(Clone, Debug)]
pub struct Manners {
    /// Of a hundred nonces, so many are refused; Pebble's own measure is 5.
    pub bad_nonces: u8,
    /// Names that it issues no certificate for.
    pub blocked: Vec<String>,
    /// How long a certificate is good.
    pub validity: Duration,
    /// Whether whoever orders a certificate is told that there were too many.
    pub limited: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            bad_nonces: 5,
            blocked: Vec::new(),
            validity: Duration::from_secs(90 * 24 * 3600),
            limited: false,
        }
    }
}

/// A running one; it ends with this value.
pub struct Pebble {
    /// Who vouches for its own HTTPS.
    authority: Authority,
    acme: SocketAddr,
    management: SocketAddr,
    folder: PathBuf,
    turnstile: Option<Turnstile>,
    _process: Child,
}

impl Pebble {
    /// Starts one and waits until it answers.
    ///
    /// # Errors
    /// When the program is not on the PATH of `testbed env`, or does not answer; with what it said.
    pub async fn start(cluster: &Cluster, manners: &Manners) -> Result<Self> {
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
        let profile = json!({"description": "", "validityPeriod": manners.validity.as_secs()});
        let config = json!({"pebble": {
            "listenAddress": acme.to_string(), "managementListenAddress": management.to_string(),
            "certificate": write("tls.crt", &pair.certificate)?, "privateKey": write("tls.key", &pair.key)?,
            "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "keyAlgorithm": "ecdsa", "retryAfter": {"authz": 1, "order": 1},
            "domainBlocklist": manners.blocked, "profiles": {"default": profile},
        }});
        let config = write("config.json", &config.to_string())?;
        let log = File::create(folder.join("log"))?;
        let process = Command::new("pebble")
            .args(["-config", &config, "-dnsserver", &format!("{dns}:53")])
            // It would else wait up to 15 s before it looks at a challenge.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", manners.bad_nonces.to_string())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("pebble, which `testbed build` makes")?;
        let visitor = authority.visitor()?;
        let turnstile = match manners.limited {
            true => Some(Turnstile::before(acme, &pair, visitor.clone()).await?),
            false => None,
        };
        let pebble = Self {
            turnstile,
            authority,
            acme,
            management,
            folder,
            _process: process,
        };
        eventually("Pebble answers", SOON, async || {
            let host = at.to_string();
            // It takes no request without a User-Agent; that it says so is enough.
            let answer = visitor.get(Scheme::Https, acme, &host, "/dir").await;
            answer.map(drop).with_context(|| pebble.log())
        })
        .await?;
        Ok(pebble)
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A ClusterIssuer that asks it, whose challenges any Ingress controller may answer.
    pub fn issuer(&self, name: &str) -> Value {
        let ca = BASE64_STANDARD.encode(self.authority.pem());
        let turnstile = self.turnstile.as_ref();
        let at = turnstile.map_or(self.acme, |it| it.address);
        let solvers = json!([{"http01": {"ingress": {"serviceType": "ClusterIP"}}}]);
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name},
            "spec": {"acme": {
                "server": format!("https://{at}/dir"), "caBundle": ca,
                "privateKeySecretRef": {"name": name}, "solvers": solvers,
            }},
        })
    }

    /// A visitor who trusts what it issues.
    ///
    /// # Errors
    /// When it does not tell its root.
    pub async fn visitor(&self) -> Result<Visitor> {
        let asking = self.authority.visitor()?;
        let host = self.management.ip().to_string();
        let answer = asking
            .get(Scheme::Https, self.management, &host, "/roots/0")
            .await?;
        ensure!(answer.status == 200, "{}", answer.status);
        Visitor::trusting(&answer.body)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A port that nobody listens on.
fn free(at: IpAddr) -> Result<SocketAddr> {
    Ok(TcpListener::bind((at, 0))?.local_addr()?)
}
