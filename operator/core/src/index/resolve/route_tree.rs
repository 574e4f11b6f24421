//! Nodes of the tree of routes under a hostname: the roots that serve it, and the routes below them.

use crate::index::resolve::exposure::{Exposure, ResolvedRoot};
use crate::index::resolve::routing::Routing;
use crate::reason::Reason;
use crate::subject::Subject;
use crate::validate::RouteSpec;
use std::borrow::Cow;

/// An object that serves a hostname, beside others perhaps.
#[derive(Clone, Copy)]
pub(crate) struct Server<'a> {
    pub(crate) name: &'a Subject,
    pub(crate) object: &'a Exposure,
    pub(crate) link: &'a ResolvedRoot,
}

/// A route under a hostname, and whose it is.
#[derive(Clone)]
pub(crate) struct EffectiveRoute<'a> {
    pub(crate) name: &'a Subject,
    pub(crate) object: &'a Exposure,
    pub(crate) routing: &'a Routing,
    /// With what the routes above it ask for.
    pub(crate) route: Cow<'a, RouteSpec>,
    /// Why a delegation is not followed.
    pub(crate) closed: Option<Reason>,
}
