//! Wire format of the contract: generated messages and service ([`generated`]), their conversion
//! to the plain types and back ([`wire`]), and transactions of bounded size ([`batch`]). Messages go
//! no further than the module that sends or receives them.

pub mod batch;
/// Generated from `proto/discovery.proto`, which names the command.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
#[rustfmt::skip]
pub mod generated;
mod table;
pub mod wire;

/// Maximum size of a message that either side accepts. A batch has at most a megabyte, or one resource
/// above it (a Secret has at most one, a set of endpoints far less); a `Hello` that names a hundred
/// thousand resources stays below it too.
pub const MESSAGE_BYTES: usize = 16 * 1024 * 1024;

impl std::fmt::Debug for generated::ClassSettings {
    /// Omits the seeds of tickets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClassSettings")
            .field("denied_cidrs", &self.denied_cidrs)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for generated::Certificate {
    /// Omits the key; the generated implementation, which would print it, is disabled.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
