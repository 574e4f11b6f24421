//! The two ways of failing that a caller can tell apart by exit code.

use std::fmt;

/// Something did not become ready in time: exit code 3. Everything else that fails is exit code 1.
#[derive(Debug)]
pub(crate) struct NotReady(pub(crate) String);

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotReady {}

/// The exit code for an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<NotReady>()) {
        3
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn not_ready_is_found_below_its_context() {
        let error = Err::<(), _>(NotReady("late".into()))
            .context("starting etcd")
            .unwrap_err();
        assert_eq!(exit_code(&error), 3);
        assert_eq!(exit_code(&anyhow::anyhow!("other")), 1);
    }
}
