//! Messages of other programs, as far as they fit into a status.

/// A message of an issuer or of a server may be a whole page; a status holds a sentence.
const MESSAGE_MAX: usize = 512;

pub(in crate::index) fn truncate(message: &str) -> String {
    message.chars().take(MESSAGE_MAX).collect()
}
