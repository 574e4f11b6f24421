//! Which cluster, and as whom: the flags of kubectl by the names that kubectl gives them.

use super::{Cluster, Trouble};
use clap::Args;
use http::{HeaderValue, header};
use jiff::SignedDuration;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

/// The longest name of an object (RFC 1123).
const NAME_MAX: usize = 253;

/// Which cluster, and as whom.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which cluster")]
pub(crate) struct Connection {
    /// The kubeconfig; else KUBECONFIG, else ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; else its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The cluster of the kubeconfig; else that of the context
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// The user of the kubeconfig; else that of the context
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Ask as somebody else, such as system:serviceaccount:team-a:ci
    #[arg(long = "as", value_name = "USER")]
    impersonated: Option<String>,
    /// A group of that somebody; as often as you like
    #[arg(long = "as-group", value_name = "GROUP", requires = "impersonated")]
    impersonated_groups: Vec<String>,
    /// How long each request may take, such as 5s or 1m; a number is seconds, 0 is for ever
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = patience)]
    request_timeout: Patience,
}

/// How long a request may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Patience(Option<Duration>);

impl Connection {
    /// The cluster, and the namespace of its context.
    ///
    /// # Errors
    /// When kubeconfig and flags lead to none.
    pub(crate) async fn open(&self) -> Result<(Cluster, String), Trouble> {
        let mut config = self.config().await?;
        if config.proxy_url.is_some() {
            return Err(Trouble::Proxy);
        }
        if let Some(user) = &self.impersonated {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.impersonated_groups.clone());
        }
        // So that an audit log tells whose request it was.
        let name =
            HeaderValue::from_static(concat!("kubectl-portolan/", env!("CARGO_PKG_VERSION")));
        config.headers.push((header::USER_AGENT, name));
        let namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(Trouble::kubeconfig)?;
        Ok((Cluster::new(client, self.request_timeout.0), namespace))
    }

    async fn config(&self) -> Result<Config, Trouble> {
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
            // As kubectl does in a pod, where nobody asks for another cluster.
            Err(error) if self.asks_for_nothing() => {
                Config::incluster().map_err(|_| Trouble::kubeconfig(error))
            }
            Err(error) => Err(Trouble::kubeconfig(error)),
        }
    }

    fn asks_for_nothing(&self) -> bool {
        let names = [&self.context, &self.cluster, &self.user];
        self.kubeconfig.is_none() && names.iter().all(|name| name.is_none())
    }
}

/// A time as kubectl takes it.
fn patience(text: &str) -> Result<Patience, String> {
    let wrong =
        || format!("{text:?} is no time; write 5s, 1m30s, a number of seconds, or 0 for ever");
    let time = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let time: SignedDuration = text.parse().map_err(|_| wrong())?;
            Duration::try_from(time).map_err(|_| wrong())?
        }
    };
    Ok(Patience(Some(time).filter(|time| !time.is_zero())))
}

/// The name of an object or namespace: it becomes a part of a path, so nothing else may stand there.
pub(crate) fn object_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let starts = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    match starts && text.len() <= NAME_MAX && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} is no name; write lower-case letters, digits, hyphens and dots, and the namespace with -n"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_kubectl_reads_them() {
        let seconds = |seconds| Ok(Patience(Some(Duration::from_secs(seconds))));
        assert_eq!(patience("5s"), seconds(5));
        assert_eq!(patience("1m30s"), seconds(90));
        assert_eq!(patience("7"), seconds(7));
        assert_eq!(
            patience("250ms"),
            Ok(Patience(Some(Duration::from_millis(250))))
        );
        assert_eq!(patience("0"), Ok(Patience(None)));
        assert_eq!(patience("0s"), Ok(Patience(None)));
        for wrong in ["", "-5s", "soon", "1mo"] {
            assert!(patience(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_cannot_lead_elsewhere() {
        for right in ["shop", "a.b-c.9", "0"] {
            assert_eq!(object_name(right).as_deref(), Ok(right));
        }
        let long = "a".repeat(NAME_MAX + 1);
        for wrong in ["", "Shop", "a/b", "..", "-a", "a?b", "a%2fb", &long] {
            assert!(object_name(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_named_must_be_there() {
        let connection = Connection {
            kubeconfig: Some("/nonexistent/kubeconfig".into()),
            ..Connection::default()
        };
        let refused = connection.open().await.map(|_| ());
        assert!(
            matches!(refused, Err(Trouble::Kubeconfig { .. })),
            "{refused:?}"
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
