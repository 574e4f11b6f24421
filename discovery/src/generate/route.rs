//! Random routes: every field takes every form.

use super::Named;
use crate::table::{
    Action, AllowedOrigins, Backend, BackendTls, Cors, FieldMatch, HeaderEdits, PathMatch,
    PathRewrite, Redirect, Respond, Retries, RetryOn, Route, RouteMatch, Timeouts,
    UpstreamProtocol, ValueMatch,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::time::Duration;

/// A route before its backends are chosen from the existing resources.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Replaces the action.
    backends: Option<Vec<BackendPlan>>,
    route: Route,
}

#[derive(Clone, Debug)]
struct BackendPlan {
    set: Index,
    weight: u32,
    protocol: UpstreamProtocol,
    tls: Option<(Option<Index>, BackendTls)>,
}

impl Plan {
    pub(super) fn build(self, named: &Named) -> Route {
        let Some(backends) = self.backends else {
            return self.route;
        };
        let backend = |plan: BackendPlan| Backend {
            endpoints: plan.set.get(&named.sets).name.clone(),
            weight: plan.weight,
            protocol: plan.protocol,
            tls: plan.tls.map(|(trust, tls)| BackendTls {
                trust: trust.map(|index| index.get(&named.trust).name.clone()),
                ..tls
            }),
        };
        let action = Action::Forward {
            backends: backends.into_iter().map(backend).collect(),
        };
        Route {
            action,
            ..self.route
        }
    }
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let backends = prop::option::weighted(0.7, vec(backend(), 0..3));
    let switches = (any::<bool>(), any::<bool>());
    let edits = (edits(), edits(), of(cors()));
    let rest = (of(rewrite()), timeouts(), of(retries()));
    (backends, matches(), action(), switches, edits, rest).prop_map(
        |(backends, matches, action, switches, edits, rest)| Plan {
            backends,
            route: Route {
                matches,
                action,
                permit_insecure: switches.0,
                websockets: switches.1,
                request_headers: edits.0,
                response_headers: edits.1,
                cors: edits.2,
                rewrite: rest.0,
                timeouts: rest.1,
                retries: rest.2,
            },
        },
    )
}

fn backend() -> impl Strategy<Value = BackendPlan> {
    let tls =
        ("[a-z.]{1,9}", of("[a-z.]{1,9}")).prop_map(|(server_name, subject_name)| BackendTls {
            server_name,
            trust: None,
            subject_name,
        });
    let tls = of((of(any::<Index>()), tls));
    let protocol = select(&[UpstreamProtocol::Http1, UpstreamProtocol::Http2]);
    let parts = (any::<Index>(), 0u32..1000, protocol, tls);
    parts.prop_map(|(set, weight, protocol, tls)| BackendPlan {
        set,
        weight,
        protocol,
        tls,
    })
}

fn path() -> &'static str {
    "/[ -~]{0,20}"
}

fn matches() -> impl Strategy<Value = RouteMatch> {
    let path = prop_oneof![
        path().prop_map(PathMatch::Exact),
        path().prop_map(PathMatch::Prefix),
        path().prop_map(PathMatch::Regex),
    ];
    let method = of(select(&["GET", "POST"]).prop_map(str::to_owned));
    let parts = (
        path,
        method,
        vec(field_match(), 0..3),
        vec(field_match(), 0..3),
    );
    parts.prop_map(|(path, method, headers, query)| RouteMatch {
        path,
        method,
        headers,
        query,
    })
}

fn field_match() -> impl Strategy<Value = FieldMatch> {
    let value = prop_oneof![
        "[ -~]{0,9}".prop_map(ValueMatch::Exact),
        "[ -~]{0,9}".prop_map(ValueMatch::Regex),
        Just(ValueMatch::Present),
    ];
    ("[a-z-]{1,9}", value).prop_map(|(name, value)| FieldMatch { name, value })
}

fn action() -> impl Strategy<Value = Action> {
    let respond = (200u16..600, "[ -~]{0,20}", "[a-z/]{1,20}");
    let respond = respond.prop_map(|(status, body, content_type)| Respond {
        status,
        body,
        content_type,
    });
    prop_oneof![
        redirect().prop_map(Action::Redirect),
        respond.prop_map(Action::Respond),
        "[A-Z][A-Za-z]{0,20}".prop_map(|reason| Action::Unavailable { reason }),
    ]
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let scheme = of(select(&["http", "https"]).prop_map(str::to_owned));
    let target = (scheme, of("[a-z.]{1,20}"), of(any::<u16>()));
    let status = select(&[301u16, 302, 303, 307, 308]);
    (target, of(rewrite()), status).prop_map(|((scheme, hostname, port), path, status)| Redirect {
        scheme,
        hostname,
        port,
        path,
        status,
    })
}

fn rewrite() -> impl Strategy<Value = PathRewrite> {
    prop_oneof![
        path().prop_map(PathRewrite::Prefix),
        path().prop_map(PathRewrite::Full),
    ]
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let time = || of(any::<u32>().prop_map(|millis| Duration::from_millis(millis.into())));
    (time(), time(), time(), time()).prop_map(|(connect, response, request, idle)| Timeouts {
        connect,
        response,
        request,
        idle,
    })
}

fn retries() -> impl Strategy<Value = Retries> {
    let per_try = of(any::<u32>().prop_map(|millis| Duration::from_millis(millis.into())));
    let every = [
        RetryOn::ConnectFailure,
        RetryOn::Reset,
        RetryOn::ServerError,
    ];
    let retry_on = proptest::sample::subsequence(every.to_vec(), 0..=3);
    (1u32..10, per_try, retry_on).prop_map(|(count, per_try_timeout, retry_on)| Retries {
        count,
        per_try_timeout,
        retry_on,
    })
}

fn edits() -> impl Strategy<Value = HeaderEdits> {
    let fields = || vec(("[a-z-]{1,9}", "[ -~]{0,9}"), 0..2);
    (fields(), fields(), vec("[a-z-]{1,9}", 0..2)).prop_map(|(set, add, remove)| HeaderEdits {
        set,
        add,
        remove,
    })
}

fn cors() -> impl Strategy<Value = Cors> {
    let origins = prop_oneof![
        Just(AllowedOrigins::Any),
        vec("https://[a-z.*]{1,9}", 0..3).prop_map(AllowedOrigins::These),
    ];
    let names = || vec("[a-z-]{1,9}", 0..2);
    let max_age = of(any::<u32>().prop_map(|seconds| Duration::from_secs(seconds.into())));
    let rest = (any::<bool>(), max_age);
    (origins, names(), names(), names(), rest).prop_map(
        |(allow_origins, allow_methods, allow_headers, expose_headers, rest)| Cors {
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            allow_credentials: rest.0,
            max_age: rest.1,
        },
    )
}
