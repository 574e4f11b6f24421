//! Error in the value of one field, in the form of the Kubernetes API: cause, then detail and remedy.

use crate::names::HostnameError;
use portolan_crds::{HOSTNAME_MAX, messages};
use std::borrow::Cow;
use std::fmt;

/// Error in the value of one field; its detail says what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    cause: Cause,
    detail: Cow<'static, str>,
}

/// Kind of error, as `k8s.io/apimachinery/pkg/util/validation/field` has them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cause {
    Required,
    /// The value, where it is short enough to be repeated.
    Invalid(Option<Value>),
    Forbidden,
    NotFound(Value),
    TooMany(usize),
    TooLong,
    Unsupported(Value),
}

/// Value that is repeated in a message: text in quotes, numbers without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(i32),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl FieldError {
    fn new(cause: Cause, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { cause, detail }
    }

    pub(crate) fn required(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Required, detail)
    }

    pub(crate) fn invalid(value: impl Into<Value>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Invalid(Some(value.into())), detail)
    }

    /// Without the value: it is a list or an object, or the field itself is named in the detail.
    pub(crate) fn invalid_whole(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Invalid(None), detail)
    }

    pub(crate) fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Cause::Forbidden, detail)
    }

    pub(crate) fn not_found(value: &str, detail: &'static str) -> Self {
        Self::new(Cause::NotFound(value.into()), detail)
    }

    pub(crate) fn too_many(count: usize, max: usize) -> Self {
        Self::new(
            Cause::TooMany(count),
            format!("must have at most {max} items"),
        )
    }

    pub(crate) fn too_long(max: usize, unit: &str) -> Self {
        Self::new(Cause::TooLong, format!("may not be more than {max} {unit}"))
    }

    pub(crate) fn unsupported(value: impl Into<Value>, supported: &str) -> Self {
        let detail = format!("supported values: {supported}");
        Self::new(Cause::Unsupported(value.into()), detail)
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Cause::Required => f.write_str("Required value"),
            Cause::Invalid(Some(value)) => write!(f, "Invalid value: {value}"),
            Cause::Invalid(None) => f.write_str("Invalid value"),
            Cause::Forbidden => f.write_str("Forbidden"),
            Cause::NotFound(value) => write!(f, "Not found: {value}"),
            Cause::TooMany(count) => write!(f, "Too many: {count}"),
            Cause::TooLong => f.write_str("Too long"),
            Cause::Unsupported(value) => write!(f, "Unsupported value: {value}"),
        }?;
        write!(f, ": {}", self.detail)
    }
}

impl From<&HostnameError> for FieldError {
    fn from(error: &HostnameError) -> Self {
        match error {
            HostnameError::TooLong(_) => Self::too_long(HOSTNAME_MAX, "characters"),
            HostnameError::Label { host, label } => Self::invalid(
                host.as_str(),
                format!("label {label:?} must be 1 to 63 letters, digits or inner hyphens"),
            ),
            HostnameError::Address(host) => {
                Self::invalid(host.as_str(), messages::HOSTNAME_ADDRESS)
            }
        }
    }
}
