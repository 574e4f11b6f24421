//! What stands in files, and what is in force of it.
//!
//! ```text
//! walk: files as bytes ──► yaml: documents ──► read: objects and faults ──► folder: what is in force
//! ```
//! Only `walk` and `watch` touch the disk. What cannot be read keeps the last good state of exactly the
//! objects that it may have changed; everything else goes on.

mod folder;
mod object;
mod read;
mod walk;
pub(crate) mod watch;
mod yaml;

pub(crate) use folder::{Folder, Trouble, Update};
pub(crate) use object::{Key, Kind, Object};
pub(crate) use read::bare_namespace;
pub(crate) use walk::{gather, walk};

/// The field that a sentence begins with: `spec.port: …` speaks of `spec.port`.
pub(crate) fn field_in(sentence: &str) -> &str {
    let field = sentence.split_once(": ").map_or("", |(field, _)| field);
    // A sentence may name two fields that exclude each other; the first one is as good.
    let field = field.split(", ").next().unwrap_or_default();
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
    fn a_sentence_may_begin_with_a_field() {
        assert_eq!(
            field_in("spec.hostnames[1]: \"-a\" is wrong"),
            "spec.hostnames[1]"
        );
        assert_eq!(
            field_in("spec.selector, spec.service: both are set"),
            "spec.selector"
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
