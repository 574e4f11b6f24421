//! How many bytes things take on the wire, at most: what decides where a batch is cut.
//!
//! Strings count as they are, and everything else, set or not, as one [`FRAME`]. A test holds
//! the wire format to it.

use crate::delta::Update;
use crate::table::{
    Action, AllowedOrigins, Backend, FieldMatch, HeaderEdits, PathMatch, PathRewrite, Resource,
    ResourceName, Route, ValueMatch, VirtualHost,
};

/// Framing of one message or field in its parent (tags, lengths, numbers): more than protobuf ever needs.
const FRAME: usize = 32;

/// An upper bound of the bytes that an update takes.
pub(crate) fn weight(update: &Update) -> usize {
    let origins: usize = update.origins.iter().map(|it| it.uid.len() + FRAME).sum();
    let content: usize = match &update.resource {
        Resource::Endpoints(set) => {
            // An address is at most `[8 groups]:port`, 47 characters; with a scope 58.
            let pods = set.endpoints.iter().map(|it| it.uid.len() + 64 + FRAME);
            let external = set.external.iter().map(|it| it.host.len() + 2 * FRAME);
            pods.chain(external).sum()
        }
        Resource::Certificate(it) => it.chain_pem.len() + it.key_pem.len() + 2 * FRAME,
        Resource::TrustAnchors(it) => it.ca_pem.len() + FRAME,
        Resource::ClassSettings(it) => {
            let default = text(it.default_certificate.as_ref());
            default + it.ticket_seeds.len() * 2 * FRAME + texts(&it.denied_cidrs)
        }
        Resource::VirtualHost(it) => host(it),
        Resource::Listener(_) => FRAME,
    };
    name(&update.resource.name()) + origins + content + 2 * FRAME
}

/// An upper bound of the bytes that a name takes.
pub(crate) fn name(name: &ResourceName) -> usize {
    name.name.len() + FRAME
}

fn host(host: &VirtualHost) -> usize {
    let tls = host.tls.as_ref().map_or(0, |tls| {
        texts(&tls.certificates) + text(tls.client_ca.as_ref().map(|it| &it.trust)) + 4 * FRAME
    });
    tls + host.routes.iter().map(route).sum::<usize>()
}

fn route(route: &Route) -> usize {
    let path = match &route.matches.path {
        PathMatch::Exact(path) | PathMatch::Prefix(path) | PathMatch::Regex(path) => path.len(),
    };
    let matches = path
        + text(route.matches.method.as_ref())
        + field_matches(&route.matches.headers)
        + field_matches(&route.matches.query);
    let action = match &route.action {
        Action::Forward { backends } => backends.iter().map(backend).sum(),
        Action::Redirect(it) => {
            text(it.scheme.as_ref()) + text(it.hostname.as_ref()) + rewrite(it.path.as_ref())
        }
        Action::Respond(it) => it.body.len() + it.content_type.len(),
        Action::Unavailable { reason } => reason.len(),
    };
    let cors = route.cors.as_ref().map_or(0, |cors| {
        let origins = match &cors.allow_origins {
            AllowedOrigins::Any => 0,
            AllowedOrigins::These(origins) => texts(origins),
        };
        origins
            + texts(&cors.allow_methods)
            + texts(&cors.allow_headers)
            + texts(&cors.expose_headers)
    });
    let edits = edits(&route.request_headers) + edits(&route.response_headers);
    // Messages, switches, durations and numbers of a route: less than 20.
    matches + action + rewrite(route.rewrite.as_ref()) + edits + cors + 20 * FRAME
}

fn backend(backend: &Backend) -> usize {
    let tls = backend.tls.as_ref().map_or(0, |tls| {
        text(Some(&tls.server_name)) + text(tls.trust.as_ref()) + text(tls.subject_name.as_ref())
    });
    backend.endpoints.len() + tls + 4 * FRAME
}

fn field_matches(matches: &[FieldMatch]) -> usize {
    let one = |it: &FieldMatch| {
        let value = match &it.value {
            ValueMatch::Exact(value) | ValueMatch::Regex(value) => value.len(),
            ValueMatch::Present => 0,
        };
        it.name.len() + value + 2 * FRAME
    };
    matches.iter().map(one).sum()
}

fn edits(edits: &HeaderEdits) -> usize {
    let fields = edits.set.iter().chain(&edits.add);
    let fields = fields.map(|(name, value)| name.len() + value.len() + 2 * FRAME);
    fields.sum::<usize>() + texts(&edits.remove)
}

fn rewrite(rewrite: Option<&PathRewrite>) -> usize {
    rewrite.map_or(0, |it| match it {
        PathRewrite::Prefix(path) | PathRewrite::Full(path) => path.len() + FRAME,
    })
}

fn text(text: Option<&String>) -> usize {
    text.map_or(0, |text| text.len() + FRAME)
}

fn texts(texts: &[String]) -> usize {
    texts.iter().map(|it| it.len() + FRAME).sum()
}
