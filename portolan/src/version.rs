//! `portolan version`.

use clap::ValueEnum;

/// Output format of the version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One line.
    #[default]
    Text,
    /// An object with `version` and `api`.
    Json,
}

/// Returns the version of this program and of its API.
pub(crate) fn render(output: Output) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let api = "portolan.dev/v1alpha1";
    match output {
        Output::Text => format!("portolan {version} ({api})"),
        // Neither needs escaping in JSON.
        Output::Json => format!(r#"{{"version":"{version}","api":"{api}"}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_have_the_version() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            render(Output::Text),
            format!("portolan {version} (portolan.dev/v1alpha1)")
        );
        let json = format!(r#"{{"version":"{version}","api":"portolan.dev/v1alpha1"}}"#);
        assert_eq!(render(Output::Json), json);
    }
}
