//! Clients of the API server: limited in rate and in time, with every request counted.
//!
//! Two clients of the same cluster: one for everything, behind a rate limit, and one for the Lease,
//! because a renewal must not queue behind a cold start of five thousand objects.

mod error;

pub use error::{ApiError, within};

use crate::metrics::{Metrics, RequestLabels};
use http::{HeaderValue, Method, Request, header};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use std::time::Duration;
use tower::limit::RateLimitLayer;
use tower::util::MapRequestLayer;

/// Above the watcher's own idle bound (290 s asked of the server and 5 s on top), so that it is the
/// one that speaks first; what it does not cover, a list or a watch that is never answered, ends here.
const READ_TIMEOUT: Duration = Duration::from_secs(298);

/// Rate limit of requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Requests a second, on average.
    pub per_second: f64,
    /// Requests that may be sent at once after an idle time.
    pub burst: u32,
}

impl Rate {
    /// `burst` requests in the time that so many take on average.
    fn layer(self) -> RateLimitLayer {
        let burst = self.burst.max(1);
        let window = Duration::try_from_secs_f64(f64::from(burst) / self.per_second)
            .unwrap_or(Duration::from_secs(1));
        RateLimitLayer::new(burst.into(), window)
    }
}

/// The clients of one cluster.
#[derive(Clone)]
pub struct Clients {
    /// For everything but the Lease.
    pub work: Client,
    /// For the Lease.
    pub lease: Client,
}

impl Clients {
    /// Connects to the cluster of the environment: `KUBECONFIG`, `~/.kube/config`, or the one we run in.
    pub async fn infer(rate: Rate, metrics: &Metrics) -> anyhow::Result<Self> {
        let mut config = Config::infer().await?;
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        // The queue and the watches have their own back-off; a second one beneath would hide for
        // minutes that something is wrong, and retry requests whose result is no longer needed.
        config.default_retry = false;
        // Identifies the client in audit logs.
        let name = HeaderValue::from_static(concat!("portolan/", env!("CARGO_PKG_VERSION")));
        config.headers.push((header::USER_AGENT, name));
        let work = ClientBuilder::try_from(config.clone())?
            .with_layer(&counted(metrics))
            .with_layer(&rate.layer())
            .build();
        let lease = ClientBuilder::try_from(config)?
            .with_layer(&counted(metrics))
            .build();
        Ok(Self { work, lease })
    }
}

fn counted(
    metrics: &Metrics,
) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + Send + 'static> {
    let requests = metrics.requests.clone();
    MapRequestLayer::new(move |request: Request<Body>| {
        let verb = verb(request.method(), request.uri().query());
        requests.get_or_create(&RequestLabels { verb }).inc();
        request
    })
}

/// Returns the verb in the sense of RBAC, as far as it follows from method and query.
fn verb(method: &Method, query: Option<&str>) -> &'static str {
    let watching = query.is_some_and(|query| query.contains("watch=true"));
    match *method {
        Method::GET if watching => "watch",
        Method::GET => "read",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_verb() {
        assert_eq!(verb(&Method::GET, Some("limit=500")), "read");
        assert_eq!(
            verb(&Method::GET, Some("watch=true&timeoutSeconds=290")),
            "watch"
        );
        assert_eq!(verb(&Method::PATCH, None), "patch");
    }
}
