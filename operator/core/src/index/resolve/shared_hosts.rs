//! Several objects of one namespace under one hostname: the oldest says how TLS is done, and the routes
//! of all are one list. Of two routes for the same requests the older object's counts.
//!
//! An object that says something else about TLS than the oldest serves nothing under that hostname: its
//! requests would be let in under rules that it did not ask for.

use crate::index::Index;
use crate::index::resolve::exposure::Linked;
use crate::index::resolve::route_tree::Leaf;
use crate::index::resolve::route_tree::Server;
use crate::names::{ClassName, Hostname, ObjectRef};
use crate::precedence;
use crate::validate::RouteSpec;
use portolan_discovery::table::{FieldMatch, PathMatch, RouteMatch};
use std::collections::{BTreeMap, BTreeSet};

/// How an object stands among those that share a hostname with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of its routes are tried.
    Whole,
    /// An older object has a route for the same requests as one of its own.
    Outdone {
        /// Where that route stands: a field of the object, or of one that it delegates to.
        route: String,
        by: ObjectRef,
        /// Whether none of its routes is left.
        wholly: bool,
    },
    /// It says something else about TLS than the oldest object, and serves nothing.
    OtherTls { than: ObjectRef },
}

impl Index {
    /// Those who serve a hostname on the proxies of a class, the oldest first.
    pub(crate) fn servers<'a>(
        &'a self,
        class: &'a ClassName,
        host: &Hostname,
    ) -> impl Iterator<Item = Server<'a>> + use<'a> {
        let mut eldest = None;
        let of = host.clone();
        self.hostnames.holders(class, host).filter_map(move |name| {
            let (object, link) = self.linked(name)?;
            let eldest = *eldest.get_or_insert(link);
            link.tls_agrees(eldest, &of)
                .then_some(Server { name, object, link })
        })
    }

    /// The one whose word on TLS counts for a hostname that an object serves; `None` when it does not
    /// serve it.
    pub(crate) fn rule<'a>(
        &'a self,
        me: &ObjectRef,
        link: &'a Linked,
        host: &Hostname,
    ) -> Option<Server<'a>> {
        let eldest = self.eldest(&link.class, host)?;
        let serves = eldest.name.namespace == me.namespace && link.tls_agrees(eldest.link, host);
        serves.then_some(eldest)
    }

    /// The oldest of those who serve a hostname.
    pub(crate) fn eldest<'a>(
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
    ) -> Vec<(Server<'a>, Vec<Leaf<'a>>)> {
        let mut rule = None;
        let servers = self.servers(class, host);
        servers
            .map(|it| (it, self.leaves(it, rule.get_or_insert(it.link))))
            .collect()
    }

    /// The routes of a hostname in the order in which they are tried.
    pub(crate) fn merged<'a>(served: Vec<(Server<'a>, Vec<Leaf<'a>>)>) -> Vec<Leaf<'a>> {
        let mut taken = BTreeMap::new();
        let mut routes = Vec::new();
        for (server, leaves) in served {
            for leaf in leaves {
                let by = taken.entry(requests(&leaf.route)).or_insert(server.name);
                if *by == server.name {
                    routes.push(leaf);
                }
            }
        }
        precedence::sort(&mut routes, |leaf| &leaf.route.matches);
        routes
    }

    /// How an object whose namespace holds a hostname shares it.
    pub(crate) fn share(&self, me: &ObjectRef, link: &Linked, host: &Hostname) -> Share {
        let Some(eldest) = self.eldest(&link.class, host) else {
            return Share::Whole;
        };
        if !link.tls_agrees(eldest.link, host) {
            return Share::OtherTls {
                than: eldest.name.clone(),
            };
        }
        let mut taken = BTreeMap::new();
        let mut own = Vec::new();
        for server in self.servers(&link.class, host) {
            if server.name == me {
                own = self.leaves(server, eldest.link);
                break;
            }
            for leaf in self.leaves(server, eldest.link) {
                taken.entry(requests(&leaf.route)).or_insert(server.name);
            }
        }
        let outdone: Vec<_> = own
            .iter()
            .filter_map(|leaf| Some((leaf, *taken.get(&requests(&leaf.route))?)))
            .collect();
        match outdone.first() {
            None => Share::Whole,
            Some((leaf, by)) => Share::Outdone {
                route: place(leaf, me),
                by: (*by).clone(),
                wholly: outdone.len() == own.len(),
            },
        }
    }

    /// The younger objects under the hostnames of an object that have a route for the same requests as
    /// one of its own: whether theirs counts depends on it.
    pub(crate) fn outdone_by(&self, me: &ObjectRef) -> BTreeSet<ObjectRef> {
        let mut found = BTreeSet::new();
        let Some(server) = self.server(me) else {
            return found;
        };
        let mut own = None;
        for host in &server.link.hostnames {
            let holders = self.hostnames.holders(&server.link.class, host);
            for other in holders.skip_while(|other| *other != me).skip(1) {
                let own = own.get_or_insert_with(|| self.taken_by(server));
                let other = self
                    .server(other)
                    .filter(|it| !self.taken_by(*it).is_disjoint(own));
                found.extend(other.map(|it| it.name.clone()));
            }
        }
        found
    }

    fn server(&self, name: &ObjectRef) -> Option<Server<'_>> {
        let name = self.name_of(name)?;
        let (object, link) = self.linked(name)?;
        Some(Server { name, object, link })
    }

    fn taken_by(&self, server: Server<'_>) -> BTreeSet<Requests> {
        let leaves = self.leaves(server, server.link);
        leaves.iter().map(|leaf| requests(&leaf.route)).collect()
    }

    /// Those who serve a hostname under the word of one of these objects, and these objects themselves.
    pub(crate) fn with_company(&self, objects: BTreeSet<ObjectRef>) -> BTreeSet<ObjectRef> {
        let mut all = BTreeSet::new();
        for me in &objects {
            let Some((_, link)) = self.linked(me) else {
                continue;
            };
            for host in &link.hostnames {
                let mut holders = self.hostnames.holders(&link.class, host);
                if holders.next() == Some(me) {
                    all.extend(holders.cloned());
                }
            }
        }
        all.extend(objects);
        all
    }
}

/// Where a route stands, for the author of an object.
fn place(leaf: &Leaf<'_>, me: &ObjectRef) -> String {
    let route = match leaf.route.index {
        Some(index) => format!("spec.routes[{index}]"),
        None => "the route /".to_owned(),
    };
    match leaf.name == me {
        true => route,
        false => format!("{route} of ExposedPort {}", leaf.name),
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
