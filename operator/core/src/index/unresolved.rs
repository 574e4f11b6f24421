//! Why requests of a route cannot be sent anywhere.

use crate::reason::Reason;

/// Why requests cannot be sent anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}
