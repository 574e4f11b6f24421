//! Validates the lifetime of an object: expiry and lease.

use super::field_error::FieldError;
use super::field_path::FieldPath;
use super::{ValidationErrors, policy};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::{ExposedPortSpec, Lease, OnExpiry, messages};
use std::time::Duration;

/// Shortest lease; with less, a short outage of the API server would end the object.
const LEASE_MIN: Duration = Duration::from_secs(5);
/// Longest lease; use an expiry for more.
const LEASE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Lifetime of an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    end: Option<End>,
    /// How long a renewal of the Lease keeps the object alive.
    pub(crate) lease: Option<Duration>,
    pub(crate) on_expiry: OnExpiry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// This long after the creation of the object.
    After(Duration),
    At(Timestamp),
}

impl Lifetime {
    /// Returns the expiry of an object of this creation time; `None` is never.
    pub(crate) fn end(&self, created: Timestamp) -> Option<Timestamp> {
        match self.end? {
            End::At(end) => Some(end),
            End::After(age) => Some(later(created, age)),
        }
    }

    /// Returns the end of a lease that was renewed at this time; `None` without `spec.lease`.
    pub(crate) fn lease_expiry(&self, renewed: Timestamp) -> Option<Timestamp> {
        Some(later(renewed, self.lease?))
    }

    /// Returns the name of the field with the expiry.
    pub(crate) fn field(&self) -> &'static str {
        match self.end {
            Some(End::At(_)) => "expiresAt",
            Some(End::After(_)) | None => AFTER,
        }
    }
}

const AFTER: &str = "expiresAfter";

fn later(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_add(by).unwrap_or(Timestamp::MAX)
}

pub(super) fn lifetime(spec: &ExposedPortSpec, errors: &mut ValidationErrors) -> Lifetime {
    let field = FieldPath::spec();
    let after_field = field.child(AFTER);
    let after = spec
        .expires_after
        .as_ref()
        .and_then(|text| policy::time(&after_field, text, errors));
    let end = match (after, &spec.expires_at) {
        (Some(_), Some(_)) => {
            errors.push(
                &field.child("expiresAt"),
                FieldError::forbidden(messages::EXPIRES_TWICE),
            );
            None
        }
        (Some(Duration::ZERO), None) => {
            let value = spec.expires_after.as_deref().unwrap_or_default();
            errors.at(
                &after_field,
                Err(FieldError::invalid(value, messages::LIFETIME)),
            )
        }
        (Some(after), None) => Some(End::After(after)),
        (None, Some(Time(at))) => Some(End::At(*at)),
        (None, None) => None,
    };
    let ends = spec.expires_after.is_some() || spec.expires_at.is_some();
    if spec.on_expiry.is_some() && !ends {
        errors.push(
            &field.child("onExpiry"),
            FieldError::forbidden(messages::ON_EXPIRY),
        );
    }
    Lifetime {
        end,
        lease: spec.lease.as_ref().and_then(|value| lease(value, errors)),
        on_expiry: spec.on_expiry.unwrap_or_default(),
    }
}

fn lease(spec: &Lease, errors: &mut ValidationErrors) -> Option<Duration> {
    let field = FieldPath::spec().child("lease").child("duration");
    let text = &spec.duration;
    let duration = policy::time(&field, text, errors)?;
    let within = (LEASE_MIN..=LEASE_MAX).contains(&duration);
    let bounded = within.then_some(duration);
    errors.at(
        &field,
        bounded.ok_or_else(|| FieldError::invalid(text.as_str(), messages::LEASE)),
    )
}
