//! The changes that are measured.

use super::fixture::{Fixture, applied, gone};
use portolan_core::Event;

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Route,
    SharedRoute,
    DelegatedRoute,
    Ingress,
    Endpoints,
    Service,
    Grant,
    Secret,
    New,
    Deletion,
}

/// In the order in which they are played: what is new is deleted after it.
pub(super) const CHANGES: &[Change] = &[
    Change::Route,
    Change::SharedRoute,
    Change::DelegatedRoute,
    Change::Ingress,
    Change::Endpoints,
    Change::Service,
    Change::Grant,
    Change::Secret,
    Change::New,
    Change::Deletion,
];

impl Change {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::SharedRoute => "shared-route",
            Self::DelegatedRoute => "delegated-route",
            Self::Ingress => "ingress",
            Self::Endpoints => "endpoints",
            Self::Service => "service",
            Self::Grant => "grant",
            Self::Secret => "secret",
            Self::New => "new",
            Self::Deletion => "deletion",
        }
    }

    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Route => "a route of an object with a hostname of its own",
            Self::SharedRoute => "a route of one of three objects that share a hostname",
            Self::DelegatedRoute => "a route of an object that another delegates to",
            Self::Ingress => "a path of an Ingress",
            Self::Endpoints => "an endpoint becomes ready or unready",
            Self::Service => "a Service says that its pods speak another protocol",
            Self::Grant => "a namespace consents to other references from another one",
            Self::Secret => "a certificate of ten objects is renewed",
            Self::New => "a new object with a new hostname",
            Self::Deletion => "an object is deleted",
        }
    }

    /// The change of one of the tens. Two rounds later it is another one, and none is what is there to begin
    /// with: a ten of the small world has its turn again then, those of the large one have it once.
    pub(super) fn event(
        self,
        fixture: &Fixture,
        ten: usize,
        round: usize,
    ) -> anyhow::Result<Event> {
        let variant = 1 + round / 2 % 2;
        Ok(match self {
            Self::Route => Event::ExposedPort(applied(fixture.exposure(ten, 0, variant)?)),
            Self::SharedRoute => Event::ExposedPort(applied(fixture.exposure(ten, 5, variant)?)),
            Self::DelegatedRoute => Event::ExposedPort(applied(fixture.exposure(ten, 8, variant)?)),
            Self::Ingress => Event::Ingress(applied(fixture.ingress(ten, variant)?)),
            Self::Endpoints => Event::EndpointSlice(applied(fixture.slice(ten, 0, variant)?)),
            Self::Service => Event::Service(applied(fixture.service(ten, 0, variant)?)),
            Self::Grant => Event::ReferenceGrant(applied(fixture.grant(ten, variant)?)),
            Self::Secret => Event::Secret(applied(fixture.secret(ten, variant)?)),
            Self::New => Event::ExposedPort(applied(fixture.newcomer(ten)?)),
            Self::Deletion => Event::ExposedPort(gone(ten, Fixture::NEWCOMER)),
        })
    }
}
