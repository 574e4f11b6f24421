//! Phases of a data plane from start to end.

/// Where a data plane is on its way. It only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Takes connections and keeps them.
    Serving,
    /// Reports unready, so that load balancers send no new clients; still takes connections, as
    /// they need time to hear of it, and asks each client to come back on another.
    Draining,
    /// Takes no connections, closes those without a request, ends the requests under way.
    Closing,
    /// Drops what is left.
    Stopped,
}
