//! The contract on the wire: generated messages and service ([`generated`]), and their conversion to
//! the plain types and back ([`wire`]). Messages go no further than the module that sends or
//! receives them.

/// Made from `proto/discovery.proto`, which says how to make it anew.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
pub mod generated;
mod table;
pub mod wire;

/// The longest message that either side accepts. A batch has at most a megabyte, or one resource
/// above it (a Secret has at most one, a set of endpoints far less); a `Hello` that names a hundred
/// thousand resources stays below it too.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

impl std::fmt::Debug for generated::ClassSettings {
    /// Never shows the seeds of tickets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClassSettings")
            .field("denied_cidrs", &self.denied_cidrs)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for generated::Certificate {
    /// Never shows the key: the generated implementation, which would, is left out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
