//! What a route does to the heads that pass it. Apart from its backends, so that whoever writes a
//! head need not know what those are.

use crate::edit::FieldSink;
use crate::head::Head;
use crate::route::compile::Fault;
use crate::route::cors::Cors;
use crate::route::edits::{Edits, RequestEdits};
use crate::route::rewrite::{PathParts, Rewrite};
use portolan_discovery::table;
use std::sync::Arc;

/// What a route does to requests.
#[derive(Debug)]
pub struct RequestRules {
    rewrite: Option<Rewrite>,
    edits: RequestEdits,
}

impl RequestRules {
    pub(crate) fn compile(route: &table::Route) -> Result<Self, Fault> {
        let rewrite = route.rewrite.as_ref();
        let compile = |it| Rewrite::compile(it, &route.matches.path);
        Ok(Self {
            rewrite: rewrite.map(compile).transpose()?,
            edits: RequestEdits::compile(&route.request_headers)?,
        })
    }

    /// The path that the endpoint is asked for.
    pub(crate) fn path<'a>(&'a self, path: &'a str) -> PathParts<'a> {
        match &self.rewrite {
            Some(rewrite) => rewrite.apply(path),
            None => path.into(),
        }
    }

    /// Whether the endpoint must be told what the path was before.
    pub(crate) fn rewrites(&self) -> bool {
        self.rewrite.is_some()
    }

    /// The host that the endpoint is asked for, when the route says which.
    pub(crate) fn host(&self) -> Option<&str> {
        self.edits.host.as_deref()
    }

    /// Whether a field of the client's is not passed on.
    pub(crate) fn drops(&self, name: &str) -> bool {
        self.edits.fields.drops(name)
    }

    /// What the route adds.
    pub(crate) fn put(&self, out: &mut impl FieldSink) {
        self.edits.fields.put(out);
    }
}

/// What a route does to responses.
#[derive(Debug)]
pub(crate) struct ResponseRules {
    edits: Edits,
    pub(crate) cors: Option<Cors>,
}

impl ResponseRules {
    /// Nothing for most routes.
    pub(crate) fn compile(route: &table::Route) -> Result<Option<Arc<Self>>, Fault> {
        let edits = Edits::compile(&route.response_headers)?;
        let cors = route.cors.as_ref().map(Cors::compile).transpose()?;
        let any = cors.is_some() || !edits.is_empty();
        Ok(any.then(|| Arc::new(Self { edits, cors })))
    }
}

/// What is done to every response to one request, whoever gives it: an endpoint, a route, or the
/// proxy for want of either. Empty for most, and then costs nothing.
#[derive(Clone, Debug, Default)]
pub struct ResponsePolicy {
    rules: Option<Arc<ResponseRules>>,
    /// The origin that may read the response.
    origin: Option<Box<str>>,
    /// `Strict-Transport-Security`, for a client that came over TLS.
    hsts: Option<Arc<str>>,
}

impl ResponsePolicy {
    pub(crate) fn new(
        head: &Head<'_>,
        rules: Option<&Arc<ResponseRules>>,
        hsts: Option<&Arc<str>>,
    ) -> Self {
        let cors = rules.and_then(|it| it.cors.as_ref());
        Self {
            origin: cors.and_then(|it| it.named(head)),
            rules: rules.cloned(),
            // RFC 6797 7.2: never on a connection that somebody may have changed.
            hsts: hsts.filter(|_| head.client.secure).cloned(),
        }
    }

    /// The origin that may read the response, when it is named in it.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether the route wants no such field.
    pub(crate) fn removes(&self, name: &str) -> bool {
        let rules = self.rules.as_ref();
        rules.is_some_and(|rules| rules.edits.drops(name))
    }

    /// Whether such a field of an endpoint's response is not passed on.
    pub(crate) fn drops(&self, name: &str) -> bool {
        let cors = self.rules.as_ref().and_then(|rules| rules.cors.as_ref());
        self.removes(name)
            || cors.is_some_and(|cors| cors.drops(name))
            || self.hsts.is_some() && name.eq_ignore_ascii_case(HSTS)
    }

    /// What is added to the response.
    pub(crate) fn put(&self, out: &mut impl FieldSink) {
        // What the route says of it counts, be it more or less.
        let hsts = self.hsts.as_deref().filter(|_| !self.removes(HSTS));
        if let Some(hsts) = hsts {
            out.field("Strict-Transport-Security", &[hsts.as_bytes()]);
        }
        if let Some(rules) = &self.rules {
            if let Some(cors) = &rules.cors {
                cors.put(self.origin(), out);
            }
            rules.edits.put(out);
        }
    }
}

const HSTS: &str = "strict-transport-security";
