//! For how long an object is wanted.

use super::field_error::FieldError;
use super::{ValidationError, ValidationErrors, policy};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::{ExposedPortSpec, Lease, OnExpiry};
use std::time::Duration;

/// With less, any hiccup of the API server would end it.
const LEASE_MIN: Duration = Duration::from_secs(5);
/// A longer one is a date, not a sign of life.
const LEASE_MAX: Duration = Duration::from_secs(24 * 3600);

/// For how long an object is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    end: Option<End>,
    /// It lives for so long after a Lease was renewed.
    pub(crate) lease: Option<Duration>,
    pub(crate) on_expiry: OnExpiry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// So long after the object was made.
    After(Duration),
    At(Timestamp),
}

impl Lifetime {
    /// When an object that was made then ends; `None`: never.
    pub(crate) fn end(&self, created: Timestamp) -> Option<Timestamp> {
        match self.end? {
            End::At(end) => Some(end),
            End::After(age) => Some(later(created, age)),
        }
    }

    /// When it lapses without another renewal; `None`: it needs no Lease.
    pub(crate) fn lease_expiry(&self, renewed: Timestamp) -> Option<Timestamp> {
        Some(later(renewed, self.lease?))
    }

    /// The field that says so.
    pub(crate) fn field(&self) -> &'static str {
        match self.end {
            Some(End::At(_)) => "spec.expiresAt",
            Some(End::After(_)) | None => "spec.expiresAfter",
        }
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

pub(super) fn lifetime(spec: &ExposedPortSpec, problems: &mut ValidationErrors) -> Lifetime {
    const AFTER: &str = "spec.expiresAfter";
    let after = spec
        .expires_after
        .as_ref()
        .and_then(|text| policy::time(AFTER, text, problems));
    let end = match (after, &spec.expires_at) {
        (Some(_), Some(_)) => {
            problems.tell(ValidationError::TwoEnds);
            None
        }
        (Some(Duration::ZERO), None) => problems.at(AFTER, Err(FieldError::ExpiresAtOnce)),
        (Some(after), None) => Some(End::After(after)),
        (None, Some(Time(at))) => Some(End::At(*at)),
        (None, None) => None,
    };
    let ends = spec.expires_after.is_some() || spec.expires_at.is_some();
    if spec.on_expiry.is_some() && !ends {
        problems.at::<()>("spec.onExpiry", Err(FieldError::NeverExpires));
    }
    Lifetime {
        end,
        lease: spec.lease.as_ref().and_then(|it| lease(it, problems)),
        on_expiry: spec.on_expiry.unwrap_or_default(),
    }
}

fn lease(said: &Lease, problems: &mut ValidationErrors) -> Option<Duration> {
    const AT: &str = "spec.lease.duration";
    let text = &said.duration;
    let duration = policy::time(AT, text, problems)?;
    let within = (LEASE_MIN..=LEASE_MAX).contains(&duration);
    let bounded = within.then_some(duration);
    problems.at(
        AT,
        bounded.ok_or_else(|| FieldError::LeaseDuration(text.clone())),
    )
}
