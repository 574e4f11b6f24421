//! Decides how a request is handled: one pure function for every protocol.

use crate::authority::{AuthorityError, HostPattern};
use crate::head::Head;
use crate::local_response::LocalResponse;
use crate::reason::{Reason, redirect_status};
use crate::route::cors::Preflight;
use crate::route::redirect::on_https;
use crate::route::{Action, Conditions, ResponsePolicy, Route, RouteError, RouteIndex};
use portolan_discovery::table;
use std::sync::Arc;
use thiserror::Error;

/// Compiled virtual host: names parsed, expressions built, endpoint sets resolved. Immutable, shared
/// by all workers.
#[derive(Debug)]
pub struct VirtualHost<B> {
    /// Hosts that it serves.
    pub pattern: HostPattern,
    plain_http: PlainHttp,
    /// Port at which clients reach HTTPS.
    https_port: u16,
    hsts: Option<Arc<str>>,
    routes: RouteIndex<B>,
}

/// Handling of requests over plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlainHttp {
    /// Serves them.
    Served,
    /// Redirects them to HTTPS, except on routes that permit plain HTTP.
    Redirected,
    /// As before, but there is no certificate for HTTPS yet.
    Pending,
}

/// Reason why a virtual host cannot be compiled.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CompileError {
    /// The hostname is invalid.
    #[error("hostname: {0}")]
    Hostname(#[from] AuthorityError),
    /// A route is invalid.
    #[error("routes[{index}]: {error}")]
    Route {
        /// Index of the route.
        index: usize,
        /// Reason why it is invalid.
        error: RouteError,
    },
}

/// Properties of the proxy that a virtual host is compiled for.
#[derive(Clone, Copy, Debug)]
pub struct CompileContext {
    /// Number of workers.
    pub workers: usize,
    /// Random start of round-robin, so that not every proxy begins with the same endpoint.
    pub seed: u32,
    /// Port at which clients reach HTTPS, which may differ from the listener's own.
    pub https_port: u16,
}

impl<B> VirtualHost<B> {
    /// Compiles a host; `backend` resolves a backend of the table, or returns `None` if its endpoints
    /// are missing.
    ///
    /// # Errors
    /// The host is invalid.
    pub fn compile(
        host: &table::VirtualHost,
        backend: impl Fn(&table::Backend) -> Option<B>,
        context: CompileContext,
    ) -> Result<Self, CompileError> {
        let mut routes = RouteIndex::default();
        for (index, route) in host.routes.iter().enumerate() {
            let conditions = Conditions::compile(&route.matches);
            conditions
                .and_then(|conditions| {
                    let compiled = Route::compile(route, &backend, context)?;
                    routes.push(&route.matches.path, conditions, compiled)
                })
                .map_err(|error| CompileError::Route { index, error })?;
        }
        routes.finish();
        let plain_http = match &host.tls {
            Some(tls) if tls.redirect && tls.certificates.is_empty() => PlainHttp::Pending,
            Some(tls) if tls.redirect => PlainHttp::Redirected,
            Some(_) | None => PlainHttp::Served,
        };
        let hsts = host.tls.as_ref().and_then(|tls| tls.hsts.as_ref());
        Ok(Self {
            pattern: HostPattern::parse(&host.hostname)?,
            plain_http,
            https_port: context.https_port,
            hsts: hsts.map(hsts_value),
            routes,
        })
    }
}

/// Formats `Strict-Transport-Security` (RFC 6797 6.1).
fn hsts_value(hsts: &table::Hsts) -> Arc<str> {
    let seconds = hsts.max_age.as_secs();
    if hsts.include_sub_domains {
        format!("max-age={seconds}; includeSubDomains").into()
    } else {
        format!("max-age={seconds}").into()
    }
}

/// Handling of a request.
#[derive(Debug)]
pub enum Decision<'t, B> {
    /// Forwards it to one of the route's backends.
    Forward {
        /// The route, which the request holds until it ends.
        route: &'t Arc<Route<B>>,
        /// Changes to the response.
        response: ResponsePolicy,
    },
    /// Sends a local response.
    LocalResponse(LocalResponse),
}

/// Decides how a request is handled. The caller has checked that the host is the one that TLS was
/// negotiated for.
pub fn decide<'t, B>(head: &Head<'_>, host: &'t VirtualHost<B>) -> Decision<'t, B> {
    let preflight = Preflight::of(head);
    // A preflight is handled by the route that matches the announced request.
    let announced = preflight.and_then(|preflight| {
        let method = preflight.method;
        let route = host.routes.find(&Head { method, ..*head });
        route.filter(|route| route.cors().is_some())
    });
    let route = announced.or_else(|| host.routes.find(head));
    let rules = route.and_then(|route| route.response.as_ref());
    let response = ResponsePolicy::new(head, rules, host.hsts.as_ref());
    if !head.client.secure && !route.is_some_and(|route| route.permit_insecure) {
        match host.plain_http {
            PlainHttp::Served => {}
            PlainHttp::Redirected => {
                let location = on_https(head, host.https_port);
                let status = redirect_status(head.method);
                let reason = Reason::RedirectToHttps;
                return Decision::LocalResponse(LocalResponse::redirect(
                    reason, status, location, response,
                ));
            }
            PlainHttp::Pending => {
                return Decision::LocalResponse(LocalResponse::new(
                    Reason::CertificatePending,
                    response,
                ));
            }
        }
    }
    let Some(route) = route else {
        return Decision::LocalResponse(LocalResponse::new(Reason::NoRoute, response));
    };
    if let (Some(preflight), Some(cors)) = (&preflight, route.cors()) {
        return Decision::LocalResponse(LocalResponse::preflight(cors, preflight, response));
    }
    let local_response = match &route.action {
        Action::Forward(_) if head.websocket && !route.websockets => {
            LocalResponse::new(Reason::WebSocketRefused, response)
        }
        Action::Forward(_) => return Decision::Forward { route, response },
        Action::Redirect(redirect) => {
            let location = redirect.location(head, host.https_port);
            LocalResponse::redirect(Reason::Redirect, redirect.status(), location, response)
        }
        Action::Respond(respond) => {
            LocalResponse::content(respond.status, &respond.content, response)
        }
        Action::Reject(reason) => LocalResponse::new(*reason, response),
        Action::Unavailable(reason) => LocalResponse::unavailable(reason, response),
    };
    Decision::LocalResponse(local_response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{head_of, secure_head_of};
    use portolan_discovery::table::{
        Action, AllowedOrigins, Backend, Cors, HostTls, Hsts, PathMatch, Redirect, Respond,
        UpstreamProtocol,
    };
    use std::time::Duration;

    fn route(path: PathMatch, action: Action) -> table::Route {
        table::Route::new(path.into(), action)
    }

    fn unavailable(prefix: &str, reason: &str) -> table::Route {
        let reason = reason.into();
        route(
            PathMatch::Prefix(prefix.into()),
            Action::Unavailable { reason },
        )
    }

    fn to(backends: &[(&str, u32)]) -> Action {
        let backend = |(endpoints, weight): &(&str, u32)| Backend {
            endpoints: (*endpoints).into(),
            weight: *weight,
            protocol: UpstreamProtocol::Http1,
            tls: None,
        };
        Action::Forward {
            backends: backends.iter().map(backend).collect(),
        }
    }

    fn forward(prefix: &str) -> table::Route {
        route(PathMatch::Prefix(prefix.into()), to(&[("known", 1)]))
    }

    fn compile(
        tls: Option<HostTls>,
        routes: Vec<table::Route>,
    ) -> Result<VirtualHost<()>, CompileError> {
        let host = table::VirtualHost {
            hostname: "shop.test".into(),
            tls,
            routes,
        };
        let find = |backend: &Backend| (backend.endpoints == "known").then_some(());
        let context = CompileContext {
            workers: 1,
            seed: 0,
            https_port: 443,
        };
        VirtualHost::compile(&host, find, context)
    }

    fn tls(certificate: Option<&str>) -> HostTls {
        HostTls {
            certificates: certificate.into_iter().map(Into::into).collect(),
            ..HostTls::default()
        }
    }

    /// `forward`, or status and reason of the local response.
    fn outcome(head: &Head<'_>, host: &VirtualHost<()>) -> String {
        match decide(head, host) {
            Decision::Forward { .. } => "forward".into(),
            Decision::LocalResponse(local) => format!("{} {}", local.status, local.reason.as_str()),
        }
    }

    fn get(host: &VirtualHost<()>, path: &str) -> String {
        let text = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        head_of(&text, |head| outcome(head, host))
    }

    fn secure_get(host: &VirtualHost<()>, path: &str) -> String {
        let text = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
        secure_head_of(&text, |head| outcome(head, host))
    }

    /// The fields of the local response to a request, or of every response on its route.
    fn fields(text: &str, host: &VirtualHost<()>, secure: bool) -> String {
        let decided = |head: &Head<'_>| {
            let mut out = Vec::new();
            match decide(head, host) {
                Decision::Forward { response, .. } => response.put(&mut out),
                Decision::LocalResponse(local) => local.put_fields(&mut out, "id", "now"),
            }
            String::from_utf8(out).unwrap()
        };
        if secure {
            secure_head_of(text, decided)
        } else {
            head_of(text, decided)
        }
    }

    #[test]
    fn the_first_matching_route_wins() {
        let routes = vec![
            unavailable("/a", "First"),
            forward("/b"),
            unavailable("/a/b", "Never"),
        ];
        let host = compile(None, routes).unwrap();
        assert_eq!(get(&host, "/a/b"), "503 First");
        assert_eq!(get(&host, "/b"), "forward");
        assert_eq!(get(&host, "/c"), "404 NoRoute");
    }

    #[test]
    fn plain_http_depends_on_tls_and_its_certificate() {
        let with = |tls| {
            let open = table::Route {
                permit_insecure: true,
                ..forward("/open")
            };
            compile(tls, vec![open, forward("/")]).unwrap()
        };
        assert_eq!(get(&with(None), "/"), "forward");
        let pending = with(Some(tls(None)));
        assert_eq!(get(&pending, "/"), "503 CertificatePending");
        assert_eq!(get(&pending, "/open"), "forward");
        let on = with(Some(tls(Some("c"))));
        assert_eq!(get(&on, "/"), "301 RedirectToHttps");
        assert_eq!(get(&on, "/open/x"), "forward");
        assert_eq!(secure_get(&on, "/"), "forward");
        let both = |certificate| HostTls {
            redirect: false,
            ..tls(certificate)
        };
        assert_eq!(get(&with(Some(both(Some("c")))), "/"), "forward");
        assert_eq!(get(&with(Some(both(None))), "/"), "forward");
    }

    #[test]
    fn unknown_paths_are_redirected_to_https_too() {
        let host = compile(Some(tls(Some("c"))), vec![forward("/a")]).unwrap();
        assert_eq!(get(&host, "/b"), "301 RedirectToHttps");
        assert_eq!(secure_get(&host, "/b"), "404 NoRoute");
        let post = "POST /a HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        assert_eq!(
            head_of(post, |head| outcome(head, &host)),
            "308 RedirectToHttps"
        );
    }

    #[test]
    fn routes_respond_and_redirect() {
        let redirect = Action::Redirect(Redirect {
            scheme: None,
            hostname: Some("new.test".into()),
            port: None,
            path: None,
            status: 308,
        });
        let respond = Action::Respond(Respond {
            status: 418,
            body: "tea".into(),
            content_type: "text/plain".into(),
        });
        let routes = vec![
            route(PathMatch::Exact("/old".into()), redirect),
            route(PathMatch::Regex("/t.*".into()), respond),
            route(
                PathMatch::Prefix("/zero".into()),
                to(&[("known", 0), ("known", 0)]),
            ),
        ];
        let host = compile(None, routes).unwrap();
        assert_eq!(get(&host, "/old"), "308 Redirect");
        let old = "GET /old HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        assert!(fields(old, &host, false).contains("Location: http://new.test/old\r\n"));
        assert_eq!(get(&host, "/tea"), "418 DirectResponse");
        assert_eq!(get(&host, "/zero"), "503 AllWeightsZero");
    }

    #[test]
    fn a_route_may_reject_websockets_alone() {
        let refusing = table::Route {
            websockets: false,
            ..forward("/")
        };
        let host = compile(None, vec![refusing]).unwrap();
        let upgrade = "GET / HTTP/1.1\r\nHost: shop.test\r\nUpgrade: websocket\r\n\
            Connection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert_eq!(
            head_of(upgrade, |head| outcome(head, &host)),
            "403 WebSocketRefused"
        );
        assert_eq!(get(&host, "/"), "forward");
    }

    #[test]
    fn sends_hsts_over_tls_only() {
        let with_hsts = HostTls {
            hsts: Some(Hsts {
                max_age: Duration::from_secs(31_536_000),
                include_sub_domains: true,
            }),
            redirect: false,
            ..tls(Some("c"))
        };
        let host = compile(Some(with_hsts), vec![forward("/a")]).unwrap();
        let expected = "Strict-Transport-Security: max-age=31536000; includeSubDomains\r\n";
        for (path, secure, sent) in [("/a", true, true), ("/b", true, true), ("/a", false, false)] {
            let text = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n\r\n");
            assert_eq!(
                fields(&text, &host, secure).contains(expected),
                sent,
                "{path}"
            );
        }
    }

    #[test]
    fn a_preflight_follows_the_announced_request() {
        let cors = Cors {
            allow_origins: AllowedOrigins::These(vec!["https://app.test".into()]),
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            allow_credentials: false,
            max_age: None,
        };
        let mut posts = forward("/");
        posts.matches.method = Some("POST".into());
        posts.cors = Some(cors);
        let mut others = forward("/");
        others.matches.method = Some("OPTIONS".into());
        let host = compile(None, vec![posts, others]).unwrap();
        let preflight = |method: &str, origin: &str| {
            format!(
                "OPTIONS / HTTP/1.1\r\nHost: shop.test\r\nOrigin: {origin}\r\n\
                 Access-Control-Request-Method: {method}\r\n\r\n"
            )
        };
        let allowed = preflight("POST", "https://app.test");
        assert_eq!(
            head_of(&allowed, |head| outcome(head, &host)),
            "204 CorsPreflight"
        );
        let response = fields(&allowed, &host, false);
        assert!(
            response.contains("Access-Control-Allow-Origin: https://app.test\r\n"),
            "{response}"
        );
        assert!(
            response.contains("Access-Control-Allow-Methods: POST\r\n"),
            "{response}"
        );
        let stranger = fields(&preflight("POST", "https://evil.test"), &host, false);
        assert!(!stranger.contains("Access-Control-Allow"), "{stranger}");
        // Without CORS rules, the endpoint responds.
        let put = preflight("PUT", "https://app.test");
        assert_eq!(head_of(&put, |head| outcome(head, &host)), "forward");
        let post = "POST / HTTP/1.1\r\nHost: shop.test\r\nOrigin: https://app.test\r\n\r\n";
        let response = fields(post, &host, false);
        assert_eq!(
            response,
            "Vary: Origin\r\nAccess-Control-Allow-Origin: https://app.test\r\n"
        );
    }

    #[test]
    fn compile_errors_name_the_route() {
        let gone = route(PathMatch::Prefix("/".into()), to(&[("gone", 1)]));
        let absent = compile(None, vec![gone]).unwrap_err();
        assert_eq!(
            absent.to_string(),
            "routes[0]: endpoints \"gone\" not found"
        );
        let path = compile(None, vec![forward("/"), forward("x")]).unwrap_err();
        assert!(path.to_string().starts_with("routes[1]: path: "), "{path}");
        let regex = route(PathMatch::Regex("/(".into()), to(&[]));
        let regex = compile(None, vec![regex]).unwrap_err();
        assert_eq!(regex.to_string(), "routes[0]: regex: unclosed group");
    }
}
