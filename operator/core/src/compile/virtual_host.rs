//! A hostname: how TLS is spoken for it, and its routes.

use crate::index::Index;
use crate::index::link::{Linked, Object};
use crate::index::services::Unresolved;
use crate::index::serving::Slot;
use crate::names::{ClassName, Hostname};
use crate::validate::{ActionSpec, RouteSpec};
use portolan_discovery::table::{Action, ClientCa, HostTls, Resource, Route, VirtualHost};

impl Index {
    /// What the proxies of a class are told of a hostname, and the object that serves it.
    pub(super) fn virtual_host(
        &self,
        class: &ClassName,
        name: &str,
    ) -> Option<(Resource, &Object)> {
        let host = Hostname::parse(name).ok()?;
        let me = self.hostnames.server(class, &host)?;
        let (object, link) = self.linked(me)?;
        let (tls, closed) = match link.terminates_tls() {
            false => (None, None),
            true => match self.client_ca(link) {
                Ok(client_ca) => (Some(self.host_tls(link, &host, client_ca)), None),
                // Nobody can show a certificate of authorities that are not known, so nobody gets in.
                Err(unresolved) => (Some(self.host_tls(link, &host, None)), Some(unresolved)),
            },
        };
        let routes = link.routes.iter().map(|route| match &closed {
            None => self.route(object, link, route),
            Some(unresolved) => route.row(unavailable(unresolved)),
        });
        let host = VirtualHost {
            tls,
            routes: routes.collect(),
            hostname: host.as_str().to_owned(),
        };
        Some((Resource::VirtualHost(host), object))
    }

    /// Whose certificates clients must show, when they must.
    pub(crate) fn client_ca(&self, link: &Linked) -> Result<Option<ClientCa>, Unresolved> {
        let Some((secret, mode)) = &link.tls.client_ca else {
            return Ok(None);
        };
        self.authorities(secret, "spec.tls.clientCA.secret")?;
        Ok(Some(ClientCa {
            trust: secret.to_string(),
            mode: *mode,
        }))
    }

    fn host_tls(&self, link: &Linked, host: &Hostname, client_ca: Option<ClientCa>) -> HostTls {
        let slot = Slot::of_host(&link.class, host);
        let certificates = self.serving.certificates(&slot);
        HostTls {
            certificates: certificates.map(|(name, _)| name.name).collect(),
            min_version: link.tls.min_version,
            max_version: link.tls.max_version,
            client_ca,
            redirect: link.tls.redirect,
            hsts: link.tls.hsts,
        }
    }

    fn route(&self, object: &Object, link: &Linked, route: &RouteSpec) -> Route {
        route.row(match &route.action {
            ActionSpec::Redirect(redirect) => Action::Redirect(redirect.clone()),
            ActionSpec::Respond(respond) => Action::Respond(respond.clone()),
            ActionSpec::Forward(_) => self.forward(object, link, route),
        })
    }

    /// A backend that would get requests and cannot be found closes its route: its share would be
    /// answered with errors, and nobody could tell which requests those are.
    fn forward(&self, object: &Object, link: &Linked, route: &RouteSpec) -> Action {
        let mut backends = Vec::with_capacity(route.backends().len());
        let resolved = self.backends_of(object, link, route);
        for (spec, resolved) in route.backends().iter().zip(resolved) {
            match resolved {
                Ok(resolved) => backends.push(resolved.row()),
                Err(_) if spec.weight == 0 => {}
                Err(unresolved) => return unavailable(&unresolved),
            }
        }
        Action::Forward { backends }
    }
}

fn unavailable(unresolved: &Unresolved) -> Action {
    Action::Unavailable {
        reason: unresolved.reason.to_string(),
    }
}
