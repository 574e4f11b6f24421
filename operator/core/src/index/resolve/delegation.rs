//! Delegation: a route of one object is left to another one, which agrees to it in `allowedParents`.
//!
//! Hostnames, TLS and class are those of the root. A child's routes lie under the prefix that is left to
//! it, and take only requests that the delegating route takes; so a child can do less than its parent
//! with what it was given, never more.

use crate::index::Index;
use crate::index::resolve::exposure::{Child, Exposure, Link, ResolvedRoot};
use crate::index::resolve::route_tree::EffectiveRoute;
use crate::index::resolve::route_tree::Server;
use crate::index::resolve::routing::Routing;
use crate::names::ObjectRef;
use crate::reason::Reason;
use crate::subject::Subject;
use crate::validate::RouteSpec;
use portolan_discovery::table::{FieldMatch, PathMatch, RouteMatch};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// How many objects may stand below one another.
const DEPTH_MAX: usize = 16;
/// How many routes may come together below one root. Two routes each to the same child, level by level,
/// would double them without an end.
const EFFECTIVE_ROUTES_MAX: usize = 2048;

/// Reason why a delegation is not followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum DelegationError {
    #[error("Not found: ExposedPort \"{0}\" not found; create it or name an existing one")]
    NotFound(ObjectRef),
    #[error("Invalid value: ExposedPort \"{0}\" is not valid; see its status")]
    Invalid(ObjectRef),
    #[error(
        "Forbidden: ExposedPort \"{to}\" does not allow it; add {{namespace: {ns}, name: {name}}} to its spec.allowedParents", ns = from.namespace, name = from.name
    )]
    NoConsent { from: ObjectRef, to: ObjectRef },
    #[error("Forbidden: delegation cycle {0}; remove one of these delegations")]
    Cycle(String),
    #[error(
        "Forbidden: more than {DEPTH_MAX} levels of delegation; delegate to \"{0}\" further up"
    )]
    TooDeep(ObjectRef),
    #[error(
        "Too many: more than {EFFECTIVE_ROUTES_MAX} routes below this object, and those beyond take no requests; spread them over several hostnames"
    )]
    TooMany,
}

impl DelegationError {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::NotFound(_) | Self::Invalid(_) => Reason::DelegateNotFound,
            Self::NoConsent { .. } => Reason::DelegationNotPermitted,
            Self::Cycle(_) => Reason::DelegationCycle,
            Self::TooDeep(_) => Reason::DelegationTooDeep,
            Self::TooMany => Reason::TooManyRoutes,
        }
    }
}

/// Requests that a child's route takes of the delegated ones; `None` when there are none.
pub(crate) fn intersect(bounds: &RouteMatch, route: &RouteSpec) -> Option<RouteMatch> {
    let own = &route.matches;
    let path = match route.index {
        // An object without routes takes all that it is given.
        None => bounds.path.clone(),
        Some(_) => lies_under(&bounds.path, &own.path).then(|| own.path.clone())?,
    };
    let method = match (&bounds.method, &own.method) {
        (Some(above), Some(below)) if above != below => return None,
        (above, below) => below.clone().or_else(|| above.clone()),
    };
    Some(RouteMatch {
        path,
        method,
        headers: both(&bounds.headers, &own.headers),
        query: both(&bounds.query, &own.query),
    })
}

/// By whole segments. The paths that a regular expression matches are not known, so it lies under `/` alone.
fn lies_under(above: &PathMatch, below: &PathMatch) -> bool {
    let PathMatch::Prefix(above) = above else {
        return false;
    };
    let above = above.trim_end_matches('/');
    match below {
        _ if above.is_empty() => true,
        PathMatch::Regex(_) => false,
        PathMatch::Exact(path) | PathMatch::Prefix(path) => path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    }
}

fn both(above: &[FieldMatch], below: &[FieldMatch]) -> Vec<FieldMatch> {
    let added = below.iter().filter(|field| !above.contains(field));
    above.iter().chain(added).cloned().collect()
}

impl Index {
    /// Routing of a valid object, whether root or child.
    pub(crate) fn routing(&self, name: &Subject) -> Option<(&Exposure, &Routing)> {
        let entry = self.entry(name)?;
        Some((&entry.object, entry.link.as_ref().ok()?.routing()))
    }

    /// The routes of an object that serves a hostname, and of every object below it. `rule` is the
    /// object whose TLS settings count there.
    pub(crate) fn effective_routes<'a>(
        &'a self,
        root: Server<'a>,
        rule: &ResolvedRoot,
    ) -> Vec<EffectiveRoute<'a>> {
        self.walk(root, rule).effective_routes
    }

    /// Why not everything below a root takes requests, and in which object that shows.
    pub(crate) fn limit_exceeded<'a>(
        &'a self,
        root: Server<'a>,
    ) -> Option<(&'a Subject, DelegationError)> {
        self.walk(root, root.link).cut
    }

    fn walk<'a>(&'a self, root: Server<'a>, rule: &ResolvedRoot) -> Walk<'a> {
        let mut walk = Walk {
            index: self,
            // What was let in with a certificate is not to be had without one.
            secure: rule.tls.client_ca.is_some(),
            path: vec![root.name],
            visits: 0,
            effective_routes: Vec::new(),
            cut: None,
        };
        walk.visit(root.name, root.object, &root.link.routing, None);
        walk
    }

    /// Returns true if every root above a child is too far above it.
    pub(crate) fn is_too_deep(&self, subject: &Subject) -> bool {
        let mut seen = BTreeSet::from([subject.clone()]);
        let mut level = vec![subject.clone()];
        for _ in 0..DEPTH_MAX {
            if level.iter().any(|subject| self.linked(subject).is_some()) {
                return false;
            }
            let above = level.iter().flat_map(|subject| self.parents(subject));
            level = above
                .filter(|subject| seen.insert(subject.clone()))
                .collect();
        }
        !level.is_empty()
    }

    /// Checks one delegation by itself.
    pub(crate) fn delegation(
        &self,
        from: &Subject,
        to: &Subject,
    ) -> Result<(&Exposure, &Child), DelegationError> {
        let found = self.permitted(from, to)?;
        match self.path_to(to, from) {
            Some(path) => Err(DelegationError::Cycle(cycle_path(from, &path))),
            None => Ok(found),
        }
    }

    fn permitted(
        &self,
        from: &Subject,
        to: &Subject,
    ) -> Result<(&Exposure, &Child), DelegationError> {
        let Some(entry) = self.entry(to) else {
            return Err(DelegationError::NotFound(to.object().clone()));
        };
        match &entry.link {
            Ok(Link::Child(child)) if child.parents.allow(from.object()) => {
                Ok((&entry.object, child))
            }
            Ok(_) => Err(DelegationError::NoConsent {
                from: from.object().clone(),
                to: to.object().clone(),
            }),
            Err(_) => Err(DelegationError::Invalid(to.object().clone())),
        }
    }

    /// The objects that one may delegate to and does, in order of name.
    fn delegates(&self, subject: &Subject) -> BTreeSet<Subject> {
        let routing = self.routing(subject).map(|(_, routing)| routing);
        let named = routing.into_iter().flat_map(Routing::delegates);
        named
            .filter(|to| self.permitted(subject, to).is_ok())
            .collect()
    }

    /// The objects that delegate to one and may.
    pub(crate) fn parents(&self, subject: &Subject) -> BTreeSet<Subject> {
        let parents = self.users.delegating_to(subject);
        let permitted = parents.filter(|from| self.permitted(from, subject).is_ok());
        permitted.cloned().collect()
    }

    /// Every object below one, nearest first.
    pub(crate) fn descendants(&self, subject: &Subject) -> Vec<Subject> {
        reached(subject, |from| self.delegates(from))
    }

    /// The roots above a child, or the object itself when it is one.
    pub(crate) fn roots_of(&self, subject: &Subject) -> BTreeSet<Subject> {
        let all = reached(subject, |from| self.parents(from)).into_iter();
        all.chain([subject.clone()])
            .filter(|subject| self.linked(subject).is_some())
            .collect()
    }

    /// An object and all above it, permitted or not: the status of those that serve it may report why not.
    pub(crate) fn delegating_to(&self, subject: &Subject) -> BTreeSet<Subject> {
        let above = reached(subject, |from| {
            self.users.delegating_to(from).cloned().collect()
        });
        above.into_iter().chain([subject.clone()]).collect()
    }

    /// Every object below one, permitted or not: their status reports who delegates to them.
    pub(crate) fn delegated_to_by(&self, subject: &Subject) -> Vec<Subject> {
        reached(subject, |from| {
            let routing = self.routing(from).map(|(_, routing)| routing);
            routing.into_iter().flat_map(Routing::delegates).collect()
        })
    }

    /// The objects from one down to another, both included, along delegations that are permitted.
    fn path_to(&self, from: &Subject, to: &Subject) -> Option<Vec<Subject>> {
        let mut came_from: BTreeMap<Subject, Subject> = BTreeMap::new();
        let mut queue = vec![from.clone()];
        let mut next = 0;
        while let Some(at) = queue.get(next).cloned() {
            next += 1;
            if at == *to {
                let mut path = vec![at];
                while let Some(before) = path.last().and_then(|subject| came_from.get(subject)) {
                    path.push(before.clone());
                }
                path.reverse();
                return Some(path);
            }
            for child in self.delegates(&at) {
                if child != *from && !came_from.contains_key(&child) {
                    came_from.insert(child.clone(), at.clone());
                    queue.push(child);
                }
            }
        }
        None
    }
}

/// `a/x -> b/y -> a/x`.
fn cycle_path(from: &Subject, path: &[Subject]) -> String {
    let names: Vec<_> = std::iter::once(from)
        .chain(path)
        .map(ToString::to_string)
        .collect();
    names.join(" -> ")
}

/// Every object that is reached by steps, without the one where it begins; nearest first.
fn reached(from: &Subject, step: impl Fn(&Subject) -> BTreeSet<Subject>) -> Vec<Subject> {
    let mut seen = BTreeSet::from([from.clone()]);
    let mut found = Vec::new();
    let mut at = from.clone();
    let mut next = 0;
    loop {
        for name in step(&at) {
            if seen.insert(name.clone()) {
                found.push(name);
            }
        }
        let Some(name) = found.get(next) else {
            return found;
        };
        at = name.clone();
        next += 1;
    }
}

/// From a root down to every route.
struct Walk<'a> {
    index: &'a Index,
    secure: bool,
    path: Vec<&'a Subject>,
    visits: usize,
    effective_routes: Vec<EffectiveRoute<'a>>,
    /// Where a bound was met, and which.
    cut: Option<(&'a Subject, DelegationError)>,
}

impl<'a> Walk<'a> {
    fn visit(
        &mut self,
        name: &'a Subject,
        object: &'a Exposure,
        routing: &'a Routing,
        bounds: Option<&RouteMatch>,
    ) {
        self.visits += 1;
        for route in routing.routes.iter() {
            if self.effective_routes.len() + self.visits > EFFECTIVE_ROUTES_MAX {
                self.cut.get_or_insert((name, DelegationError::TooMany));
                return;
            }
            let route = match bounds {
                None => Cow::Borrowed(route),
                Some(bounds) => match intersect(bounds, route) {
                    Some(matches) => Cow::Owned(route.narrowed(matches, self.secure)),
                    None => continue,
                },
            };
            let closed = match route.delegate(&routing.namespace) {
                None => None,
                Some(to) => match self.step(name, &to) {
                    Ok((name, object, child)) => {
                        self.path.push(name);
                        self.visit(name, object, &child.routing, Some(&route.matches));
                        self.path.pop();
                        continue;
                    }
                    Err(broken) => {
                        let reason = broken.reason();
                        if reason == Reason::DelegationTooDeep {
                            self.cut.get_or_insert((name, broken));
                        }
                        Some(reason)
                    }
                },
            };
            self.effective_routes.push(EffectiveRoute {
                name,
                object,
                routing,
                route,
                closed,
            });
        }
    }

    fn step(
        &self,
        from: &Subject,
        to: &Subject,
    ) -> Result<(&'a Subject, &'a Exposure, &'a Child), DelegationError> {
        let (object, child) = self.index.permitted(from, to)?;
        if let Some(at) = self.path.iter().position(|subject| *subject == to) {
            let path: Vec<_> = self
                .path
                .iter()
                .skip(at)
                .map(|subject| (*subject).clone())
                .collect();
            return Err(DelegationError::Cycle(cycle_path(from, &path)));
        }
        let target = self
            .index
            .name_of(to)
            .filter(|_| self.path.len() < DEPTH_MAX);
        match target {
            Some(name) => Ok((name, object, child)),
            None => Err(DelegationError::TooDeep(to.object().clone())),
        }
    }
}
