//! For how long an object is wanted.

use super::mistake::Mistake;
use super::{Problem, Problems, policy};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use portolan_crds::{ExposedPortSpec, OnExpiry};
use std::time::Duration;

/// For how long an object is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lifetime {
    end: Option<End>,
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
            End::After(age) => Some(created.saturating_add(age).unwrap_or(Timestamp::MAX)),
        }
    }

    /// The field that says so.
    pub(crate) fn field(&self) -> &'static str {
        match self.end {
            Some(End::At(_)) => "spec.expiresAt",
            Some(End::After(_)) | None => "spec.expiresAfter",
        }
    }
}

pub(super) fn lifetime(spec: &ExposedPortSpec, problems: &mut Problems) -> Lifetime {
    const AFTER: &str = "spec.expiresAfter";
    let after = spec
        .expires_after
        .as_ref()
        .and_then(|text| policy::time(AFTER, text, problems));
    let end = match (after, &spec.expires_at) {
        (Some(_), Some(_)) => {
            problems.tell(Problem::TwoEnds);
            None
        }
        (Some(Duration::ZERO), None) => problems.at(AFTER, Err(Mistake::ExpiresAtOnce)),
        (Some(after), None) => Some(End::After(after)),
        (None, Some(Time(at))) => Some(End::At(*at)),
        (None, None) => None,
    };
    let ends = spec.expires_after.is_some() || spec.expires_at.is_some();
    if spec.on_expiry.is_some() && !ends {
        problems.at::<()>("spec.onExpiry", Err(Mistake::NeverExpires));
    }
    Lifetime {
        end,
        on_expiry: spec.on_expiry.unwrap_or_default(),
    }
}
