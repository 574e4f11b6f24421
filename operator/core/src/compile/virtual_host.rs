//! Compiles a virtual host: TLS of a hostname, and its routes.

use crate::index::Index;
use crate::index::requirements::BackendRequirements;
use crate::index::resolve::exposure::ResolvedRoot;
use crate::index::resolve::route_tree::EffectiveRoute;
use crate::index::resolve::route_tree::Server;
use crate::index::store::served_certificates::Slot;
use crate::index::unresolved::Unresolved;
use crate::names::Hostname;
use crate::reason::Reason;
use crate::validate::{ActionSpec, Policy};
use portolan_discovery::table::{Action, ClientCa, HostTls, Resource, VirtualHost};

impl Index {
    /// Compiles a hostname for the proxies of a class.
    pub(super) fn virtual_host(
        &self,
        host: &Hostname,
        served: Vec<(Server<'_>, Vec<EffectiveRoute<'_>>)>,
    ) -> Option<Resource> {
        let link = served.first()?.0.link;
        let (tls, closed) = match link.terminates_tls() {
            false => (None, None),
            true => match self.client_ca(link) {
                Ok(client_ca) => (Some(self.host_tls(link, host, client_ca)), None),
                // No client certificate can be verified without the authorities, so every request is rejected.
                Err(unresolved) => (Some(self.host_tls(link, host, None)), Some(unresolved)),
            },
        };
        let defaults = self.defaults(link);
        let challenges = self.challenge_routes(&link.class, host);
        let routes = Self::merged(served).into_iter();
        let routes = routes.map(|route| {
            let action = match (&closed, route.closed) {
                (Some(unresolved), _) => unavailable(unresolved.reason),
                (None, Some(reason)) => unavailable(reason),
                (None, None) => self.action(&route, &link.requirements),
            };
            route.route.row(action, &defaults)
        });
        Some(Resource::VirtualHost(VirtualHost {
            tls,
            routes: challenges.chain(routes).collect(),
            hostname: host.as_str().to_owned(),
        }))
    }

    /// Whose certificates clients must show, when they must.
    pub(crate) fn client_ca(&self, link: &ResolvedRoot) -> Result<Option<ClientCa>, Unresolved> {
        let Some((secret, mode)) = &link.tls.client_ca else {
            return Ok(None);
        };
        let from = &link.routing.namespace;
        self.authorities(from, secret, "spec.tls.clientCA.secret")?;
        Ok(Some(ClientCa {
            trust: secret.to_string(),
            mode: *mode,
        }))
    }

    fn host_tls(
        &self,
        link: &ResolvedRoot,
        host: &Hostname,
        client_ca: Option<ClientCa>,
    ) -> HostTls {
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

    /// Policy of the class for the routes of a hostname. An object that requires client certificates is asked
    /// before anything is served without one: what a class says for all does not count there.
    fn defaults(&self, link: &ResolvedRoot) -> Policy {
        let class = self.classes.get(&link.class);
        let mut defaults = class
            .map(|class| class.defaults.clone())
            .unwrap_or_default();
        if link.tls.client_ca.is_some() {
            defaults.forbid_insecure();
        }
        defaults
    }

    fn action(&self, route: &EffectiveRoute<'_>, requirements: &BackendRequirements) -> Action {
        match &route.route.action {
            ActionSpec::Redirect(redirect) => Action::Redirect(redirect.clone()),
            ActionSpec::Respond(respond) => Action::Respond(respond.clone()),
            ActionSpec::Forward(_) => self.forward(route, requirements),
            // Where a delegation leads stands in its place, or why it leads nowhere.
            ActionSpec::Delegate(_) => unavailable(Reason::DelegateNotFound),
        }
    }

    /// A backend that would get requests and cannot be found closes its route: its share would be
    /// answered with errors, with nothing to show which requests those are.
    fn forward(
        &self,
        effective: &EffectiveRoute<'_>,
        requirements: &BackendRequirements,
    ) -> Action {
        let route = effective.route.as_ref();
        let mut backends = Vec::with_capacity(route.backends().len());
        let resolved = self.backends_of(
            effective.object,
            effective.routing,
            route,
            Some(requirements),
        );
        for (spec, resolved) in route.backends().iter().zip(resolved) {
            match resolved {
                Ok(resolved) => backends.push(resolved.row()),
                Err(_) if spec.weight == 0 => {}
                Err(unresolved) => return unavailable(unresolved.reason),
            }
        }
        Action::Forward { backends }
    }
}

fn unavailable(reason: Reason) -> Action {
    Action::Unavailable {
        reason: reason.to_string(),
    }
}
