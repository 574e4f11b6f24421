//! From start to end: what a data plane does at which time.

/// Where a data plane is on its way. It only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Takes connections and keeps them.
    Serving,
    /// Said to be unready, so that others send no new clients here; still takes connections, as
    /// they need time to hear of it, and asks each client to come back on another.
    Draining,
    /// Takes no connections, closes those without a request, ends the requests under way.
    Closing,
    /// Drops what is left.
    Stopped,
}
