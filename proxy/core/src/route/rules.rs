//! Changes of a route to requests and responses. Separate from its backends, so that code that writes
//! a head needs no backend type.

use crate::head::Head;
use crate::headers::FieldSink;
use crate::route::compile::RouteError;
use crate::route::cors::Cors;
use crate::route::edits::{Edits, RequestEdits};
use crate::route::rewrite::{PathParts, Rewrite};
use portolan_discovery::table;
use std::sync::Arc;

/// Changes of a route to requests.
#[derive(Debug)]
pub struct RequestRules {
    rewrite: Option<Rewrite>,
    edits: RequestEdits,
}

impl RequestRules {
    pub(crate) fn compile(route: &table::Route) -> Result<Self, RouteError> {
        let rewrite = route.rewrite.as_ref();
        let compile = |rewrite| Rewrite::compile(rewrite, &route.matches.path);
        Ok(Self {
            rewrite: rewrite.map(compile).transpose()?,
            edits: RequestEdits::compile(&route.request_headers)?,
        })
    }

    /// Returns the path that is sent to the endpoint.
    pub(crate) fn path<'a>(&'a self, path: &'a str) -> PathParts<'a> {
        match &self.rewrite {
            Some(rewrite) => rewrite.apply(path),
            None => path.into(),
        }
    }

    /// Returns true if the path changes, so that the original is sent too.
    pub(crate) fn rewrites(&self) -> bool {
        self.rewrite.is_some()
    }

    /// Returns the host that is sent to the endpoint, if the route sets one.
    pub(crate) fn host(&self) -> Option<&str> {
        self.edits.host.as_deref()
    }

    /// Returns true if a field of the client is not passed on.
    pub(crate) fn drops(&self, name: &str) -> bool {
        self.edits.fields.drops(name)
    }

    /// Writes the fields that the route adds.
    pub(crate) fn put(&self, out: &mut impl FieldSink) {
        self.edits.fields.put(out);
    }
}

/// Changes of a route to responses.
#[derive(Debug)]
pub(crate) struct ResponseRules {
    edits: Edits,
    pub(crate) cors: Option<Cors>,
}

impl ResponseRules {
    /// Compiles the changes; `None` for most routes.
    pub(crate) fn compile(route: &table::Route) -> Result<Option<Arc<Self>>, RouteError> {
        let edits = Edits::compile(&route.response_headers)?;
        let cors = route.cors.as_ref().map(Cors::compile).transpose()?;
        let any = cors.is_some() || !edits.is_empty();
        Ok(any.then(|| Arc::new(Self { edits, cors })))
    }
}

/// Changes to the response to one request, whether it comes from an endpoint or is local. Usually
/// empty, and then costs nothing.
#[derive(Clone, Debug, Default)]
pub struct ResponsePolicy {
    rules: Option<Arc<ResponseRules>>,
    /// Origin that may read the response.
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
        let cors = rules.and_then(|rules| rules.cors.as_ref());
        Self {
            origin: cors.and_then(|cors| cors.named(head)),
            rules: rules.cloned(),
            // RFC 6797 7.2: never over plain HTTP.
            hsts: hsts.filter(|_| head.client.secure).cloned(),
        }
    }

    /// Returns the origin to name in the response.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Returns true if the route removes this field.
    pub(crate) fn removes(&self, name: &str) -> bool {
        let rules = self.rules.as_ref();
        rules.is_some_and(|rules| rules.edits.drops(name))
    }

    /// Returns true if this field of an endpoint's response is not passed on.
    pub(crate) fn drops(&self, name: &str) -> bool {
        let cors = self.rules.as_ref().and_then(|rules| rules.cors.as_ref());
        self.removes(name)
            || cors.is_some_and(|cors| cors.drops(name))
            || self.hsts.is_some() && name.eq_ignore_ascii_case(HSTS)
    }

    /// Writes the fields that are added to the response.
    pub(crate) fn put(&self, out: &mut impl FieldSink) {
        // The route's own setting takes precedence.
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
