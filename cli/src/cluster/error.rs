//! Errors of requests to the API server, worded as kubectl words them.

use super::Object;
use kube::core::Status;
use std::fmt::Display;
use std::time::Duration;
use thiserror::Error as ThisError;

/// Reason why a request has no result.
#[derive(Clone, Debug, ThisError, PartialEq, Eq)]
pub(crate) enum Error {
    /// No kubeconfig, or one without the requested context, cluster or user.
    #[error(
        "invalid kubeconfig: {detail}; choose another file with --kubeconfig or another context with --context"
    )]
    Kubeconfig { detail: String },
    /// The cluster is behind a proxy. Its URL may contain a password, so it is not printed.
    #[error(
        "kubeconfig: proxies (proxy-url, HTTPS_PROXY) are not supported; unset HTTPS_PROXY or choose another --context"
    )]
    Proxy,
    /// The object does not exist.
    #[error("{} \"{}\" not found", .object.resource(), .object.name())]
    NotFound { object: Box<Object> },
    /// The kind does not exist.
    #[error(
        "the server doesn't have a resource type \"{}\"; install the CRDs of the Portolan chart or choose another --context",
        .object.resource()
    )]
    UnknownKind { object: Box<Object> },
    /// Denied by RBAC or an admission policy.
    #[error("forbidden: {message}")]
    Forbidden { message: String },
    /// The continuation of a list has expired.
    #[error("{object}: list expired: {message}; try again")]
    Expired {
        object: Box<Object>,
        message: String,
    },
    /// Any other error of the server.
    #[error("{object}: error from server: {message}")]
    Server {
        object: Box<Object>,
        message: String,
    },
    /// No response in time.
    #[error(
        "{object}: the server did not respond within {timeout:?}; try again or raise --request-timeout"
    )]
    Timeout {
        object: Box<Object>,
        timeout: Duration,
    },
    /// No connection.
    #[error(
        "{object}: unable to connect to the server: {detail}; check the cluster of this context"
    )]
    Unreachable { object: Box<Object>, detail: String },
    /// A response of another form.
    #[error(
        "{object}: unexpected response: {detail}; use the kubectl-portolan of the installed version"
    )]
    Malformed { object: Box<Object>, detail: String },
}

impl Error {
    pub(super) fn kubeconfig(error: impl Into<anyhow::Error>) -> Self {
        let detail = format!("{:#}", error.into());
        Self::Kubeconfig { detail }
    }

    pub(super) fn timeout(object: &Object, timeout: Duration) -> Self {
        let object = Box::new(object.clone());
        Self::Timeout { object, timeout }
    }

    /// Builds the error for an object of an unknown form. `detail` must not quote it.
    pub(crate) fn malformed(object: &Object, detail: &impl Display) -> Self {
        Self::Malformed {
            object: Box::new(object.clone()),
            detail: detail.to_string(),
        }
    }

    pub(super) fn request(object: &Object, error: kube::Error) -> Self {
        let object = Box::new(object.clone());
        match error {
            kube::Error::Api(status) => Self::status(object, *status),
            error => {
                let detail = format!("{:#}", anyhow::Error::from(error));
                Self::Unreachable { object, detail }
            }
        }
    }

    /// Returns true if the server does not respond, so that further requests are pointless.
    pub(crate) fn is_unresponsive(&self) -> bool {
        matches!(self, Self::Timeout { .. } | Self::Unreachable { .. })
    }

    fn status(object: Box<Object>, status: Status) -> Self {
        // The status for a missing object has its name; the one for a missing path has none.
        let has_name = status
            .details
            .is_some_and(|details| !details.name.is_empty());
        let message = status.message;
        match status.code {
            403 => Self::Forbidden { message },
            404 if has_name => Self::NotFound { object },
            404 => Self::UnknownKind { object },
            410 => Self::Expired { object, message },
            _ => Self::Server { object, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::StatusDetails;

    fn shop() -> Object {
        Object::exposed_port("team-a", "shop")
    }

    fn from_status(code: u16, name: &str) -> String {
        let details: StatusDetails =
            serde_json::from_value(serde_json::json!({"name": name})).unwrap();
        let status = Status::failure("message of the server", "")
            .with_code(code)
            .with_details(details);
        Error::request(&shop(), kube::Error::Api(status.boxed())).to_string()
    }

    #[test]
    fn statuses_are_worded_as_kubectl_words_them() {
        assert_eq!(from_status(403, ""), "forbidden: message of the server");
        assert_eq!(
            from_status(404, "shop"),
            "exposedports.portolan.dev \"shop\" not found"
        );
        let unknown = "the server doesn't have a resource type \"exposedports.portolan.dev\"; ";
        assert!(from_status(404, "").starts_with(unknown));
        assert_eq!(
            from_status(410, ""),
            "ExposedPort team-a/shop: list expired: message of the server; try again"
        );
        assert_eq!(
            from_status(500, ""),
            "ExposedPort team-a/shop: error from server: message of the server"
        );
    }

    #[test]
    fn connection_errors_have_their_cause() {
        let broken = kube::Error::Service("connection refused".into());
        let message = Error::request(&shop(), broken).to_string();
        assert!(message.contains("connection refused"), "{message}");
        let message = Error::timeout(&shop(), Duration::from_secs(30)).to_string();
        assert!(message.contains("within 30s"), "{message}");
    }

    #[test]
    fn local_errors_name_the_remedy() {
        let all = [
            Error::kubeconfig(anyhow::anyhow!("no such file")),
            Error::Proxy,
            Error::timeout(&shop(), Duration::from_secs(1)),
            Error::request(&shop(), kube::Error::TlsRequired),
            Error::malformed(&shop(), &"missing field"),
        ];
        for error in all {
            let message = error.to_string();
            assert!(
                message.contains(": ") && message.contains("; "),
                "{message}"
            );
        }
    }
}
