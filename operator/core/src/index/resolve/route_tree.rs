//! Nodes of the tree of routes under a hostname: the roots that serve it, and the routes below them.

use crate::index::resolve::exposure::{Linked, Object};
use crate::index::resolve::routing::Routing;
use crate::names::ObjectRef;
use crate::reason::Reason;
use crate::validate::RouteSpec;
use std::borrow::Cow;

/// An object that serves a hostname, beside others perhaps.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) name: &'a ObjectRef,
    pub(crate) object: &'a Object,
    pub(crate) link: &'a Linked,
}

/// A route under a hostname, and whose it is.
#[derive(Clone)]
pub(crate) struct Leaf<'a> {
    pub(crate) name: &'a ObjectRef,
    pub(crate) object: &'a Object,
    pub(crate) routing: &'a Routing,
    /// With what the routes above it ask for.
    pub(crate) route: Cow<'a, RouteSpec>,
    /// Why a delegation leads to nobody.
    pub(crate) closed: Option<Reason>,
}
