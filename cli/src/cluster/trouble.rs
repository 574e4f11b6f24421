//! What can go wrong on the way to an answer, in a sentence for the person who asked.

use kube::core::Status;
use std::fmt::Display;
use std::time::Duration;
use thiserror::Error;

/// Why there is no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No kubeconfig, or one that does not have what was asked for.
    #[error("kubeconfig: {detail}; name another file with --kubeconfig, or another --context")]
    Kubeconfig { detail: String },
    /// The way leads through a proxy. Its URL may hold a password, so it is not told.
    #[error(
        "kubeconfig: proxy-url: leads through a proxy (or HTTPS_PROXY does), which this plugin cannot; take the way without it: unset HTTPS_PROXY, or name another --context"
    )]
    Proxy,
    /// There is no such object.
    #[error("{what}: metadata.name: there is none; `kubectl get xp` lists those that there are")]
    NotFound { what: String },
    /// There is no such kind.
    #[error(
        "{what}: apiVersion: the cluster does not know this kind; install the CRDs of Portolan's chart, or choose another --context"
    )]
    UnknownKind { what: String },
    /// RBAC, or an admission policy.
    #[error("{what}: may not be read: {said}; have the right granted, or choose another --context")]
    Forbidden { what: String, said: String },
    /// The continuation of a list is no longer possible.
    #[error("{what}: {said}; try again")]
    TooOld { what: String, said: String },
    /// Anything else that the server says.
    #[error("{what}: the API server refuses: {said}; put that right, and try again")]
    Refused { what: String, said: String },
    /// No answer in time.
    #[error(
        "{what}: the API server did not answer within {patience:?}; try again, or allow more with --request-timeout"
    )]
    Late { what: String, patience: Duration },
    /// No answer at all.
    #[error("{what}: the API server is not reached: {detail}; look at the cluster of this context")]
    Unreachable { what: String, detail: String },
    /// An answer that is not what it should be.
    #[error(
        "{what}: cannot be read ({detail}); use the kubectl-portolan of the version that is installed"
    )]
    Garbled { what: String, detail: String },
}

impl Trouble {
    pub(super) fn kubeconfig(error: impl Into<anyhow::Error>) -> Self {
        let detail = format!("{:#}", error.into());
        Self::Kubeconfig { detail }
    }

    pub(super) fn late(what: &str, patience: Duration) -> Self {
        let what = what.to_owned();
        Self::Late { what, patience }
    }

    /// Of an object that has another form than this program knows. `detail` must not quote it.
    pub(crate) fn garbled(what: &str, detail: &impl Display) -> Self {
        Self::Garbled {
            what: what.to_owned(),
            detail: detail.to_string(),
        }
    }

    pub(super) fn of(what: &str, error: kube::Error) -> Self {
        let what = what.to_owned();
        match error {
            kube::Error::Api(status) => Self::answered(what, *status),
            error => {
                let detail = format!("{:#}", anyhow::Error::from(error));
                Self::Unreachable { what, detail }
            }
        }
    }

    /// Whether the server says nothing (any longer), so that there is no point in asking it more.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(self, Self::Late { .. } | Self::Unreachable { .. })
    }

    fn answered(what: String, status: Status) -> Self {
        // Of an object that is not there the server says the name; of a path that is not there, nothing.
        let named = status
            .details
            .is_some_and(|details| !details.name.is_empty());
        let said = status.message;
        match status.code {
            403 => Self::Forbidden { what, said },
            404 if named => Self::NotFound { what },
            404 => Self::UnknownKind { what },
            410 => Self::TooOld { what, said },
            _ => Self::Refused { what, said },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::StatusDetails;

    fn answered(code: u16, name: &str) -> Trouble {
        let details: StatusDetails =
            serde_json::from_value(serde_json::json!({"name": name})).unwrap();
        let status = Status::failure("as the server says", "")
            .with_code(code)
            .with_details(details);
        Trouble::of("ExposedPort a/b", kube::Error::Api(status.boxed()))
    }

    #[test]
    fn each_answer_has_its_sentence() {
        let what = || "ExposedPort a/b".to_owned();
        let said = || "as the server says".to_owned();
        let (one, two) = (what(), said());
        assert_eq!(
            answered(403, ""),
            Trouble::Forbidden {
                what: one,
                said: two
            }
        );
        assert_eq!(answered(404, "b"), Trouble::NotFound { what: what() });
        assert_eq!(answered(404, ""), Trouble::UnknownKind { what: what() });
        let (one, two) = (what(), said());
        assert_eq!(
            answered(410, ""),
            Trouble::TooOld {
                what: one,
                said: two
            }
        );
        let (one, two) = (what(), said());
        assert_eq!(
            answered(500, ""),
            Trouble::Refused {
                what: one,
                said: two
            }
        );
    }

    #[test]
    fn what_never_came_is_told_with_its_cause() {
        let broken = kube::Error::Service("connection refused".into());
        let told = Trouble::of("ExposedPort a/b", broken).to_string();
        assert!(told.contains("connection refused"), "{told}");
        let late = Trouble::late("ExposedPort a/b", Duration::from_secs(30)).to_string();
        assert!(late.contains("within 30s"), "{late}");
    }

    #[test]
    fn every_sentence_says_what_would_be_right() {
        let all = [
            Trouble::kubeconfig(anyhow::anyhow!("no such file")),
            Trouble::Proxy,
            answered(403, ""),
            answered(404, "b"),
            answered(404, ""),
            answered(410, ""),
            answered(500, ""),
            Trouble::late("x", Duration::from_secs(1)),
            Trouble::of("x", kube::Error::TlsRequired),
            Trouble::garbled("x", &"no object"),
        ];
        for trouble in all {
            let told = trouble.to_string();
            assert!(told.contains(": ") && told.contains("; "), "{told}");
        }
    }
}
