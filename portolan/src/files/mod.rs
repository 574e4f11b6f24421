//! Reads objects from files, and determines the effective ones.
//!
//! ```text
//! walk: files as bytes ──► yaml: documents ──► read: objects and errors ──► folder: effective objects
//! ```
//! Only `walk` and `watch` access the disk. A file or document that cannot be read keeps the last valid
//! state of exactly the objects that it may have changed; everything else is updated.

mod folder;
mod object;
mod read;
mod walk;
pub(crate) mod watch;
mod yaml;

pub(crate) use folder::{Diagnostic, Folder, Update};
pub(crate) use object::{Key, Kind, Object};
pub(crate) use read::bare_namespace;
pub(crate) use walk::{walk, walk_paths};

/// Returns the field that a message begins with: `spec.port` of `spec.port: …`.
pub(crate) fn field_in(message: &str) -> &str {
    let field = message.split_once(": ").map_or("", |(field, _)| field);
    let is_path = |text: &str| {
        let begins = text.starts_with("spec") || text.starts_with("metadata.");
        begins && !text.contains(' ')
    };
    if is_path(field) { field } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_field_of_a_message() {
        assert_eq!(
            field_in("spec.hostnames[1]: Invalid value: \"-a\": must be a DNS name"),
            "spec.hostnames[1]"
        );
        assert_eq!(
            field_in("metadata.annotations: a/b and 1 more: not read"),
            "metadata.annotations"
        );
        assert_eq!(
            field_in("hostname \"shop.test\" is already in use by namespace \"a\""),
            ""
        );
    }
}
