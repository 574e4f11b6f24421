//! What can go wrong with a request, by what follows from it.

use std::time::Duration;
use thiserror::Error;
use tokio::time::timeout;

/// A request that is not answered by then is given up. Watches have bounds of their own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a request did not do what it should.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Trouble {
    /// The API server understood and refused: quota, PodSecurity, an admission policy, RBAC, a schema.
    /// A person has to know, in the server's own words; trying again is only right because they may act.
    #[error("{0}")]
    Refused(String),
    /// What a cluster does every day: conflicts, throttling, restarts, time-outs. Trying again is the answer.
    #[error("{message}")]
    Passing {
        /// What happened.
        message: String,
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// This replica may not write (any longer).
    #[error("this replica does not hold the Lease")]
    NotLeading,
}

impl Trouble {
    /// How long the server asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Passing { retry_after, .. } => *retry_after,
            Self::Refused(_) | Self::NotLeading => None,
        }
    }

    fn passing(message: String) -> Self {
        Self::Passing {
            message,
            retry_after: None,
        }
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::passing(error.to_string());
        };
        let asked = status
            .details
            .as_ref()
            .map(|details| u64::from(details.retry_after_seconds))
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs);
        match status.code {
            // 401: a token that is just being replaced. 404: what we would change is gone; look again.
            401 | 404 | 408 | 409 | 410 | 429 | 500.. => Self::Passing {
                message: status.message,
                retry_after: asked,
            },
            _ => Self::Refused(status.message),
        }
    }
}

/// The answer to a request, or [`Trouble::Passing`] when there is none in time.
pub async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Trouble> {
    match timeout(PATIENCE, request).await {
        Ok(answer) => answer.map_err(Trouble::from),
        Err(_) => Err(Trouble::passing(format!(
            "the API server did not answer within {} s",
            PATIENCE.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use kube::core::response::StatusDetails;

    fn answered(code: u16, retry_after_seconds: u32) -> Trouble {
        let details: StatusDetails =
            serde_json::from_value(serde_json::json!({"retryAfterSeconds": retry_after_seconds}))
                .unwrap();
        let status = Status::failure("as the server says", "")
            .with_code(code)
            .with_details(details);
        kube::Error::Api(status.boxed()).into()
    }

    #[test]
    fn only_what_the_server_refuses_is_told_to_a_person_at_once() {
        for code in [400, 403, 413, 422] {
            let refused = Trouble::Refused("as the server says".into());
            assert_eq!(answered(code, 0), refused, "{code}");
        }
        for code in [401, 404, 409, 429, 500, 503, 504] {
            assert!(
                matches!(answered(code, 0), Trouble::Passing { .. }),
                "{code}"
            );
        }
    }

    #[test]
    fn retry_after_is_kept() {
        assert_eq!(answered(429, 7).retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(answered(429, 0).retry_after(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_answers_is_given_up() {
        let never = std::future::pending::<kube::Result<()>>();
        assert!(matches!(within(never).await, Err(Trouble::Passing { .. })));
    }
}
