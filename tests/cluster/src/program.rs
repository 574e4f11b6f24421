//! Runs other programs and turns their failure into an error that shows their output.

use anyhow::{Context, Result, bail};
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs a program to its end and returns what it wrote to standard output.
///
/// # Errors
/// When it cannot be started or does not exit with 0; the error carries the last lines of its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    output_with_input(command, "")
}

/// As [`output`], with text on standard input.
///
/// # Errors
/// As [`output`].
pub(crate) fn output_with_input(command: &mut Command, input: &str) -> Result<String> {
    let shown = show(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.stdin(if input.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    });
    let mut child = command.spawn().with_context(|| {
        format!("{shown}: cannot be started; `testbed setup` installs what is missing")
    })?;
    // The programs that get input here read all of it before they write more than a pipe holds.
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).or_else(|e| {
            if e.kind() == std::io::ErrorKind::BrokenPipe {
                Ok(())
            } else {
                Err(e)
            }
        })?;
    }
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output()?;
    if !status.success() {
        let output = String::from_utf8_lossy(&stderr);
        let output = if output.trim().is_empty() {
            String::from_utf8_lossy(&stdout)
        } else {
            output
        };
        bail!("{shown}: {status}\n{}", last_lines(&output, 15));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// Runs a program and says whether it exited with 0; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Finds a program, searched in PATH and in the folders of system programs.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path
        .split(':')
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"])
        .filter(|f| !f.is_empty());
    folders
        .map(|folder| std::path::Path::new(folder).join(program))
        .find(|file| file.is_file())
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let skip = lines.len().saturating_sub(count);
    lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}

fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(6) {
        shown.push(' ');
        shown.push_str(
            &argument
                .to_string_lossy()
                .chars()
                .take(80)
                .collect::<String>(),
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_shows_the_program_and_its_output() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 4"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("sh -c") && error.contains("broken") && error.contains('4'),
            "{error}"
        );
    }

    #[test]
    fn input_reaches_the_program() {
        assert_eq!(
            output_with_input(&mut Command::new("cat"), "hello").unwrap(),
            "hello"
        );
    }

    #[test]
    fn last_lines_keeps_the_end() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
