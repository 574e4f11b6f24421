//! What is done with a request: one pure function, whatever the codec it came through.

use crate::authority::{AuthorityError, HostPattern};
use crate::endpoint::{Backends, EndpointSet};
use crate::path::{PathError, PathPrefix};
use crate::reason::Reason;
use crate::retry::RetryPolicy;
use portolan_discovery::table;
use std::sync::Arc;
use thiserror::Error;

/// A virtual host, compiled: names parsed, endpoint sets found. Shared by all workers, never changed.
#[derive(Debug)]
pub struct VirtualHost {
    /// Which hosts it takes.
    pub pattern: HostPattern,
    /// How far TLS is.
    pub tls: TlsState,
    /// The first that takes the path is taken.
    pub routes: Vec<Arc<Route>>,
}

/// Whether a host is served on HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// Served in the clear.
    Off,
    /// Waits for its first certificate.
    Pending,
    /// Served on HTTPS; HTTP redirects there.
    On,
}

/// One row of a virtual host. A request holds the route it was given until it ends, whatever
/// the table says by then.
#[derive(Debug)]
pub struct Route {
    path: PathPrefix,
    action: Action,
    timeouts: table::Timeouts,
    retries: Option<RetryPolicy>,
}

impl Route {
    /// How long the steps of a request may take, where the route says so.
    pub fn timeouts(&self) -> &table::Timeouts {
        &self.timeouts
    }

    /// When a request may be sent more than once.
    pub fn retries(&self) -> Option<&RetryPolicy> {
        self.retries.as_ref()
    }

    /// The backend that the worker's next request on this route goes to; `None` when none takes any.
    pub fn next_backend(&self, worker: usize) -> Option<&Arc<EndpointSet>> {
        match &self.action {
            Action::Forward(backends) => backends.next(worker),
            Action::Unavailable(_) => None,
        }
    }
}

#[derive(Debug)]
enum Action {
    /// Sends the request to an endpoint.
    Forward(Backends),
    /// Answers 503 with this reason.
    Unavailable(Box<str>),
}

/// What a virtual host cannot be compiled for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompileError {
    /// Its name.
    #[error("hostname: {0}")]
    Hostname(#[from] AuthorityError),
    /// One of its paths.
    #[error("routes[{index}].path: {source}")]
    Path {
        /// Which route.
        index: usize,
        /// What is wrong.
        source: PathError,
    },
    /// A kind of path that this version does not know.
    #[error("routes[{index}].path: of a kind that this proxy does not know")]
    PathMatch {
        /// Which route.
        index: usize,
    },
    /// A kind of action that this version does not know.
    #[error("routes[{index}]: an action that this proxy does not know")]
    Action {
        /// Which route.
        index: usize,
    },
    /// It names endpoints that are not there.
    #[error("routes[{index}]: the endpoints {name} are absent")]
    Endpoints {
        /// Which route.
        index: usize,
        /// Their name.
        name: String,
    },
}

impl VirtualHost {
    /// Compiles a host for so many workers; `endpoints` finds a set by name, `seed` says where
    /// turns begin.
    ///
    /// # Errors
    /// The host cannot be served as it is told.
    pub fn compile(
        host: &table::VirtualHost,
        endpoints: impl Fn(&str) -> Option<Arc<EndpointSet>>,
        workers: usize,
        seed: u32,
    ) -> Result<Self, CompileError> {
        let pattern = HostPattern::parse(&host.hostname)?;
        let tls = match &host.tls {
            None => TlsState::Off,
            Some(tls) if tls.certificates.is_empty() => TlsState::Pending,
            Some(_) => TlsState::On,
        };
        let compile = |(index, route): (usize, &table::Route)| {
            let table::PathMatch::Prefix(prefix) = &route.matches.path else {
                return Err(CompileError::PathMatch { index });
            };
            let path =
                PathPrefix::parse(prefix).map_err(|source| CompileError::Path { index, source })?;
            let action = match &route.action {
                table::Action::Unavailable { reason } => {
                    Action::Unavailable(reason.as_str().into())
                }
                table::Action::Redirect(_) | table::Action::Respond(_) => {
                    return Err(CompileError::Action { index });
                }
                table::Action::Forward { backends } => {
                    let find = |backend: &table::Backend| match endpoints(&backend.endpoints) {
                        Some(set) => Ok((backend.weight, set)),
                        None => Err(CompileError::Endpoints {
                            index,
                            name: backend.endpoints.clone(),
                        }),
                    };
                    let found: Vec<_> = backends.iter().map(find).collect::<Result<_, _>>()?;
                    Action::Forward(Backends::new(found, workers, seed))
                }
            };
            Ok(Arc::new(Route {
                path,
                action,
                timeouts: route.timeouts,
                retries: route.retries.as_ref().map(RetryPolicy::from),
            }))
        };
        let routes = host.routes.iter().enumerate().map(compile);
        Ok(Self {
            pattern,
            tls,
            routes: routes.collect::<Result<_, CompileError>>()?,
        })
    }
}

/// What a decision is made from: a view that every codec can give.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Normalised.
    pub path: &'a str,
    /// It came over TLS.
    pub secure: bool,
}

/// What is to be done.
#[derive(Debug)]
pub enum Decision<'t> {
    /// Send it to one of the route's backends.
    Forward(&'t Arc<Route>),
    /// Send the client to the same URL on HTTPS.
    RedirectToHttps,
    /// Answer with a reason of ours.
    Refuse(Reason),
    /// Answer 503 with the operator's reason.
    Unavailable(&'t str),
}

/// Decides. That the host is the one that TLS was negotiated for has been checked before.
pub fn decide<'t>(request: Request<'_>, host: &'t VirtualHost) -> Decision<'t> {
    match host.tls {
        TlsState::On if !request.secure => return Decision::RedirectToHttps,
        TlsState::Pending if !request.secure => {
            return Decision::Refuse(Reason::CertificatePending);
        }
        TlsState::Off | TlsState::Pending | TlsState::On => {}
    }
    match host
        .routes
        .iter()
        .find(|route| route.path.takes(request.path))
    {
        None => Decision::Refuse(Reason::NoRoute),
        Some(route) => match &route.action {
            Action::Forward(_) => Decision::Forward(route),
            Action::Unavailable(reason) => Decision::Unavailable(reason),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, reason: &str) -> table::Route {
        let action = table::Action::Unavailable {
            reason: reason.into(),
        };
        table::Route::new(table::PathMatch::Prefix(prefix.into()).into(), action)
    }

    fn forward(prefix: &str, endpoints: &str) -> table::Route {
        let backends = vec![table::Backend {
            endpoints: endpoints.into(),
            weight: 1,
            tls: None,
        }];
        let action = table::Action::Forward { backends };
        table::Route::new(table::PathMatch::Prefix(prefix.into()).into(), action)
    }

    fn compile(
        tls: Option<Option<&str>>,
        routes: Vec<table::Route>,
    ) -> Result<VirtualHost, CompileError> {
        let host = table::VirtualHost {
            hostname: "shop.example.com".into(),
            tls: tls.map(|certificate| table::HostTls {
                certificates: certificate.into_iter().map(Into::into).collect(),
                ..table::HostTls::default()
            }),
            routes,
        };
        let known = Arc::new(EndpointSet::new(1, 0));
        let find = |name: &str| (name == "known").then(|| Arc::clone(&known));
        VirtualHost::compile(&host, find, 1, 0)
    }

    fn decided(host: &VirtualHost, path: &str, secure: bool) -> String {
        match decide(Request { path, secure }, host) {
            Decision::Forward(..) => "forward".into(),
            Decision::RedirectToHttps => "redirect".into(),
            Decision::Refuse(reason) => reason.as_str().into(),
            Decision::Unavailable(reason) => reason.into(),
        }
    }

    #[test]
    fn the_first_route_that_takes_the_path_is_taken() {
        let routes = vec![
            route("/a", "First"),
            forward("/b", "known"),
            route("/a/b", "Never"),
        ];
        let host = compile(None, routes).unwrap();
        assert_eq!(decided(&host, "/a/b", false), "First");
        assert_eq!(decided(&host, "/b", false), "forward");
        assert_eq!(decided(&host, "/c", false), "NoRoute");
    }

    #[test]
    fn plain_http_depends_on_how_far_tls_is() {
        let with = |tls| compile(tls, vec![forward("/", "known")]).unwrap();
        assert_eq!(decided(&with(None), "/", false), "forward");
        assert_eq!(decided(&with(Some(None)), "/", false), "CertificatePending");
        assert_eq!(decided(&with(Some(Some("c"))), "/", false), "redirect");
        assert_eq!(decided(&with(Some(Some("c"))), "/", true), "forward");
    }

    #[test]
    fn what_cannot_be_compiled_is_named() {
        let absent = compile(None, vec![forward("/", "gone")]).unwrap_err();
        assert_eq!(
            absent.to_string(),
            "routes[0]: the endpoints gone are absent"
        );
        let path = compile(None, vec![route("/", "A"), route("x", "B")]).unwrap_err();
        assert!(path.to_string().starts_with("routes[1].path: "), "{path}");
    }
}
