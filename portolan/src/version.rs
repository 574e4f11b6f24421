//! `portolan version`.

use clap::ValueEnum;

/// How the version is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// One line.
    #[default]
    Text,
    /// An object with `version` and `api`.
    Json,
}

/// The version of this program and of the API that it speaks.
pub(crate) fn render(output: Output) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let api = "portolan.dev/v1alpha1";
    match output {
        Output::Text => format!("portolan {version} ({api})"),
        // Neither has a character that JSON would escape.
        Output::Json => format!(r#"{{"version":"{version}","api":"{api}"}}"#),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_version() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            render(Output::Text),
            format!("portolan {version} (portolan.dev/v1alpha1)")
        );
        let json = format!(r#"{{"version":"{version}","api":"portolan.dev/v1alpha1"}}"#);
        assert_eq!(render(Output::Json), json);
    }
}
