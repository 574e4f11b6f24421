//! Several objects of one namespace under one hostname: the oldest says how TLS is done, and the routes
//! of all are one list. Of two routes for the same requests the older object's counts.
//!
//! An object that says something else about TLS than the oldest serves nothing under that hostname: its
//! requests would be let in under rules that it did not ask for.

use crate::index::Index;
use crate::index::resolve::exposure::ResolvedRoot;
use crate::index::resolve::route_tree::EffectiveRoute;
use crate::index::resolve::route_tree::Server;
use crate::names::{ClassName, Hostname};
use crate::precedence;
use crate::subject::Subject;
use crate::validate::RouteSpec;
use portolan_discovery::table::{FieldMatch, PathMatch, RouteMatch};
use std::collections::{BTreeMap, BTreeSet};

/// How an object stands among those that share a hostname with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostShare {
    /// All of its routes are tried.
    Full,
    /// An older object has a route for the same requests as one of its own.
    RouteConflict {
        /// Where that route stands: a field of the object, or of one that it delegates to.
        route: String,
        by: Subject,
        /// None of its routes is left.
        wholly: bool,
    },
    /// It says something else about TLS than the oldest object, and serves nothing.
    TlsConflict { than: Subject },
}

impl Index {
    /// Those who serve a hostname on the proxies of a class, the oldest first.
    pub(crate) fn servers<'a>(
        &'a self,
        class: &'a ClassName,
        host: &Hostname,
    ) -> impl Iterator<Item = Server<'a>> + use<'a> {
        let mut oldest = None;
        let of = host.clone();
        self.hostnames.holders(class, host).filter_map(move |name| {
            let (object, link) = self.linked(name)?;
            let oldest = *oldest.get_or_insert(link);
            link.tls_agrees(oldest, &of)
                .then_some(Server { name, object, link })
        })
    }

    /// The one whose word on TLS counts for a hostname that an object serves; `None` when it does not
    /// serve it.
    pub(crate) fn tls_owner<'a>(
        &'a self,
        subject: &Subject,
        link: &'a ResolvedRoot,
        host: &Hostname,
    ) -> Option<Server<'a>> {
        let oldest = self.oldest(&link.class, host)?;
        let serves =
            oldest.name.namespace() == subject.namespace() && link.tls_agrees(oldest.link, host);
        serves.then_some(oldest)
    }

    /// The oldest of those who serve a hostname.
    pub(crate) fn oldest<'a>(
        &'a self,
        class: &'a ClassName,
        host: &Hostname,
    ) -> Option<Server<'a>> {
        self.servers(class, host).next()
    }

    /// Those who serve a hostname, each with its routes and those that it leaves to others.
    pub(crate) fn served_by<'a>(
        &'a self,
        class: &'a ClassName,
        host: &Hostname,
    ) -> Vec<(Server<'a>, Vec<EffectiveRoute<'a>>)> {
        let mut rule = None;
        let servers = self.servers(class, host);
        servers
            .map(|server| {
                (
                    server,
                    self.effective_routes(server, rule.get_or_insert(server.link)),
                )
            })
            .collect()
    }

    /// The routes of a hostname in the order in which they are tried.
    pub(crate) fn merged<'a>(
        served: Vec<(Server<'a>, Vec<EffectiveRoute<'a>>)>,
    ) -> Vec<EffectiveRoute<'a>> {
        let mut taken = BTreeMap::new();
        let mut routes = Vec::new();
        for (server, effective_routes) in served {
            for route in effective_routes {
                let by = taken.entry(requests(&route.route)).or_insert(server.name);
                if *by == server.name {
                    routes.push(route);
                }
            }
        }
        precedence::sort(&mut routes, |route| &route.route.matches);
        routes
    }

    /// How an object whose namespace holds a hostname shares it.
    pub(crate) fn share(
        &self,
        subject: &Subject,
        link: &ResolvedRoot,
        host: &Hostname,
    ) -> HostShare {
        let Some(oldest) = self.oldest(&link.class, host) else {
            return HostShare::Full;
        };
        if !link.tls_agrees(oldest.link, host) {
            return HostShare::TlsConflict {
                than: oldest.name.clone(),
            };
        }
        let mut taken = BTreeMap::new();
        let mut own = Vec::new();
        for server in self.servers(&link.class, host) {
            if server.name == subject {
                own = self.effective_routes(server, oldest.link);
                break;
            }
            for route in self.effective_routes(server, oldest.link) {
                taken.entry(requests(&route.route)).or_insert(server.name);
            }
        }
        let outdone: Vec<_> = own
            .iter()
            .filter_map(|route| Some((route, *taken.get(&requests(&route.route))?)))
            .collect();
        match outdone.first() {
            None => HostShare::Full,
            Some((route, by)) => HostShare::RouteConflict {
                route: place(route, subject),
                by: (*by).clone(),
                wholly: outdone.len() == own.len(),
            },
        }
    }

    /// The younger objects under the hostnames of an object that have a route for the same requests as
    /// one of its own: whether theirs counts depends on it.
    pub(crate) fn overridden_by(&self, subject: &Subject) -> BTreeSet<Subject> {
        let mut found = BTreeSet::new();
        let Some(server) = self.server(subject) else {
            return found;
        };
        let mut own = None;
        for host in &server.link.hostnames {
            let holders = self.hostnames.holders(&server.link.class, host);
            for other in holders.skip_while(|other| *other != subject).skip(1) {
                let own = own.get_or_insert_with(|| self.taken_by(server));
                let other = self
                    .server(other)
                    .filter(|other| !self.taken_by(*other).is_disjoint(own));
                found.extend(other.map(|other| other.name.clone()));
            }
        }
        found
    }

    fn server(&self, name: &Subject) -> Option<Server<'_>> {
        let name = self.name_of(name)?;
        let (object, link) = self.linked(name)?;
        Some(Server { name, object, link })
    }

    fn taken_by(&self, server: Server<'_>) -> BTreeSet<Requests> {
        let effective_routes = self.effective_routes(server, server.link);
        effective_routes
            .iter()
            .map(|route| requests(&route.route))
            .collect()
    }

    /// Those who serve a hostname under the word of one of these objects, and these objects themselves.
    pub(crate) fn with_cohosted(&self, objects: BTreeSet<Subject>) -> BTreeSet<Subject> {
        let mut all = BTreeSet::new();
        for subject in &objects {
            let Some((_, link)) = self.linked(subject) else {
                continue;
            };
            for host in &link.hostnames {
                let mut holders = self.hostnames.holders(&link.class, host);
                if holders.next() == Some(subject) {
                    all.extend(holders.cloned());
                }
            }
        }
        all.extend(objects);
        all
    }
}

/// Where a route stands, for the author of an object.
fn place(effective: &EffectiveRoute<'_>, subject: &Subject) -> String {
    let route = match effective.route.index {
        Some(index) => format!("spec.routes[{index}]"),
        None => "the route /".to_owned(),
    };
    if effective.name == subject {
        route
    } else {
        format!("{route} of ExposedPort {}", effective.name)
    }
}

/// Which requests a route takes, whatever the order in which its conditions were written.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Requests {
    path: PathMatch,
    method: Option<String>,
    headers: BTreeSet<FieldMatch>,
    query: BTreeSet<FieldMatch>,
}

fn requests(route: &RouteSpec) -> Requests {
    let RouteMatch {
        path,
        method,
        headers,
        query,
    } = route.matches.clone();
    Requests {
        path,
        method,
        headers: headers.into_iter().collect(),
        query: query.into_iter().collect(),
    }
}
