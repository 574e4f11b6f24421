//! Connection flags, named as those of kubectl.

use super::{Cluster, Error};
use clap::Args;
use http::{HeaderValue, header};
use jiff::SignedDuration;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

/// Maximum length of the name of an object (RFC 1123).
const NAME_MAX: usize = 253;

/// Cluster and user of requests.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Path to the kubeconfig. Defaults to KUBECONFIG, then ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Defaults to its current context
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Cluster of the kubeconfig. Defaults to that of the context
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// User of the kubeconfig. Defaults to that of the context
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// User to impersonate, such as system:serviceaccount:team-a:ci
    #[arg(long = "as", value_name = "USER")]
    impersonated: Option<String>,
    /// Group to impersonate. May be repeated
    #[arg(long = "as-group", value_name = "GROUP", requires = "impersonated")]
    impersonated_groups: Vec<String>,
    /// Timeout of each request, such as 5s or 1m. A number is seconds, 0 is no timeout
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = request_timeout)]
    request_timeout: RequestTimeout,
}

/// Timeout of a request; `None` is no timeout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct RequestTimeout(Option<Duration>);

impl Connection {
    /// Connects to the cluster and returns the namespace of its context.
    ///
    /// # Errors
    /// Kubeconfig and flags do not select a cluster.
    pub(crate) async fn open(&self) -> Result<(Cluster, String), Error> {
        let mut config = self.config().await?;
        if config.proxy_url.is_some() {
            return Err(Error::Proxy);
        }
        if let Some(user) = &self.impersonated {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.impersonated_groups.clone());
        }
        // Identifies requests in audit logs.
        let name =
            HeaderValue::from_static(concat!("kubectl-portolan/", env!("CARGO_PKG_VERSION")));
        config.headers.push((header::USER_AGENT, name));
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(Error::kubeconfig)?;
        Ok((Cluster::new(client, self.request_timeout.0), namespace))
    }

    async fn config(&self) -> Result<Config, Error> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
        };
        let from_file = match &self.kubeconfig {
            Some(path) => match Kubeconfig::read_from(path) {
                Ok(file) => Config::from_custom_kubeconfig(file, &options).await,
                Err(error) => Err(error),
            },
            None => Config::from_kubeconfig(&options).await,
        };
        match from_file {
            Ok(config) => Ok(config),
            // Like kubectl in a pod, unless another cluster is requested.
            Err(error) if self.uses_defaults() => {
                Config::incluster().map_err(|_| Error::kubeconfig(error))
            }
            Err(error) => Err(Error::kubeconfig(error)),
        }
    }

    fn uses_defaults(&self) -> bool {
        let names = [&self.context, &self.cluster, &self.user];
        self.kubeconfig.is_none() && names.iter().all(|name| name.is_none())
    }
}

/// Parses a timeout like kubectl.
fn request_timeout(text: &str) -> Result<RequestTimeout, String> {
    let invalid = || {
        format!(
            "must be a duration such as 5s or 1m30s, a number of seconds, or 0 for no timeout, not {text:?}"
        )
    };
    let time = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let time: SignedDuration = text.parse().map_err(|_| invalid())?;
            Duration::try_from(time).map_err(|_| invalid())?
        }
    };
    Ok(RequestTimeout(Some(time).filter(|time| !time.is_zero())))
}

/// Parses the name of an object or namespace. It becomes part of a path, so nothing else is allowed.
pub(crate) fn object_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && text.len() <= NAME_MAX && text.chars().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(
            "must consist of lower-case letters, digits, hyphens and dots; set the namespace with -n"
                .to_owned(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_timeouts_like_kubectl() {
        let seconds = |seconds| Ok(RequestTimeout(Some(Duration::from_secs(seconds))));
        assert_eq!(request_timeout("5s"), seconds(5));
        assert_eq!(request_timeout("1m30s"), seconds(90));
        assert_eq!(request_timeout("7"), seconds(7));
        assert_eq!(
            request_timeout("250ms"),
            Ok(RequestTimeout(Some(Duration::from_millis(250))))
        );
        assert_eq!(request_timeout("0"), Ok(RequestTimeout(None)));
        assert_eq!(request_timeout("0s"), Ok(RequestTimeout(None)));
        for invalid in ["", "-5s", "soon", "1mo"] {
            assert!(request_timeout(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn names_cannot_change_the_path() {
        for valid in ["shop", "a.b-c.9", "0"] {
            assert_eq!(object_name(valid).as_deref(), Ok(valid));
        }
        let long = "a".repeat(NAME_MAX + 1);
        for invalid in ["", "Shop", "a/b", "..", "-a", "a?b", "a%2fb", &long] {
            assert!(object_name(invalid).is_err(), "{invalid}");
        }
    }

    #[tokio::test]
    async fn a_given_kubeconfig_must_exist() {
        let connection = Connection {
            kubeconfig: Some("/nonexistent/kubeconfig".into()),
            ..Connection::default()
        };
        let result = connection.open().await.map(|_| ());
        assert!(
            matches!(result, Err(Error::Kubeconfig { .. })),
            "{result:?}"
        );
    }

    #[tokio::test]
    async fn context_and_namespace_come_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        let file = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "one",
            "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [
                {"name": "one", "context": {"cluster": "c", "user": "u"}},
                {"name": "two", "context": {"cluster": "c", "user": "u", "namespace": "team-b"}},
            ],
        });
        std::fs::write(&path, file.to_string()).unwrap();
        let namespace = async |context: Option<&str>| {
            let connection = Connection {
                kubeconfig: Some(path.clone()),
                context: context.map(str::to_owned),
                ..Connection::default()
            };
            connection.open().await.map(|(_, namespace)| namespace)
        };
        assert_eq!(namespace(None).await.as_deref(), Ok("default"));
        assert_eq!(namespace(Some("two")).await.as_deref(), Ok("team-b"));
        assert!(namespace(Some("three")).await.is_err());
    }
}
