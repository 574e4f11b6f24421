//! Errors of requests to the API server, classified by how to handle them.

use std::time::Duration;
use thiserror::Error;
use tokio::time::timeout;

/// Timeout of a request. Watches have timeouts of their own.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Error of a request to the API server.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApiError {
    /// The API server rejected the request: quota, PodSecurity, an admission policy, RBAC, a schema.
    /// Reported at once with the message of the server; retried only because someone may fix the cause.
    #[error("{0}")]
    Rejected(String),
    /// Expected in any cluster: conflicts, throttling, restarts, timeouts. Retried.
    #[error("{message}")]
    Transient {
        /// Description of the error.
        message: String,
        /// Delay before the next attempt, as requested by the server (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// This replica does not hold the Lease, or no longer, so it may not write.
    #[error("this replica does not hold the Lease")]
    NotLeader,
}

impl ApiError {
    /// Delay before the next attempt, as requested by the server (`Retry-After`).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            Self::Rejected(_) | Self::NotLeader => None,
        }
    }

    fn transient(message: String) -> Self {
        Self::Transient {
            message,
            retry_after: None,
        }
    }
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::transient(error.to_string());
        };
        let retry_after = status
            .details
            .as_ref()
            .map(|details| u64::from(details.retry_after_seconds))
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs);
        match status.code {
            // 401: a token that is being rotated. 404: the object to change is gone, so observe again.
            401 | 404 | 408 | 409 | 410 | 429 | 500.. => Self::Transient {
                message: status.message,
                retry_after,
            },
            _ => Self::Rejected(status.message),
        }
    }
}

/// Awaits a request; returns [`ApiError::Transient`] if it does not complete within [`REQUEST_TIMEOUT`].
pub async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, ApiError> {
    match timeout(REQUEST_TIMEOUT, request).await {
        Ok(answer) => answer.map_err(ApiError::from),
        Err(_) => Err(ApiError::transient(format!(
            "the API server did not answer within {} s",
            REQUEST_TIMEOUT.as_secs()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use kube::core::response::StatusDetails;

    fn api_error(code: u16, retry_after_seconds: u32) -> ApiError {
        let details: StatusDetails =
            serde_json::from_value(serde_json::json!({"retryAfterSeconds": retry_after_seconds}))
                .unwrap();
        let status = Status::failure("message of the server", "")
            .with_code(code)
            .with_details(details);
        kube::Error::Api(status.boxed()).into()
    }

    #[test]
    fn only_rejections_are_not_transient() {
        for code in [400, 403, 413, 422] {
            let refused = ApiError::Rejected("message of the server".into());
            assert_eq!(api_error(code, 0), refused, "{code}");
        }
        for code in [401, 404, 409, 429, 500, 503, 504] {
            assert!(
                matches!(api_error(code, 0), ApiError::Transient { .. }),
                "{code}"
            );
        }
    }

    #[test]
    fn retry_after_is_kept() {
        assert_eq!(
            api_error(429, 7).retry_after(),
            Some(Duration::from_secs(7))
        );
        assert_eq!(api_error(429, 0).retry_after(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_response_times_out() {
        let never = std::future::pending::<kube::Result<()>>();
        assert!(matches!(
            within(never).await,
            Err(ApiError::Transient { .. })
        ));
    }
}
