//! Completion of `kubectl portolan`: kubectl runs `kubectl_complete-portolan` with the words so far and
//! reads the candidates in the format of cobra's `__complete`: a line for each candidate, optionally
//! with a tab and a description, and a last line with a colon and a directive.

use clap::{Arg, ArgAction, Command};
use std::io::{self, Write};

/// Hidden command that `kubectl_complete-portolan` runs.
pub(crate) const COMMAND: &str = "__complete";

/// Cobra's ShellCompDirectiveNoFileComp: no completion of file names.
const NO_FILES: &str = ":4";

/// Writes the candidates for the last word.
///
/// # Errors
/// Writing failed.
pub(crate) fn write(program: &Command, words: &[String], out: &mut impl Write) -> io::Result<()> {
    let (last, before) = match words {
        [before @ .., last] => (last.as_str(), before),
        [] => ("", words),
    };
    for (word, description) in candidates(program, before, last) {
        match description.as_str() {
            "" => writeln!(out, "{word}")?,
            description => writeln!(out, "{word}\t{description}")?,
        }
    }
    writeln!(out, "{NO_FILES}")?;
    out.flush()
}

fn candidates(program: &Command, before: &[String], last: &str) -> Vec<(String, String)> {
    let command = before.iter().fold(program, |command, word| {
        match command.find_subcommand(word) {
            Some(deeper) => deeper,
            None => command,
        }
    });
    let option = before.last().and_then(|word| option(command, word));
    let mut all = match option {
        Some(option) => values(option),
        None if last.starts_with('-') => options(command),
        None => subcommands(command)
            .chain(command.get_positionals().flat_map(values))
            .collect(),
    };
    all.retain(|(word, _)| word.starts_with(last));
    all
}

/// Returns the option whose value follows this word.
fn option<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let is_meant = |arg: &&Arg| {
        let long = word.strip_prefix("--");
        let short = word
            .strip_prefix('-')
            .and_then(|letter| letter.parse().ok());
        (long.is_some() && arg.get_long() == long) || (short.is_some() && arg.get_short() == short)
    };
    let takes_value = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    command.get_opts().filter(takes_value).find(is_meant)
}

fn values(arg: &Arg) -> Vec<(String, String)> {
    let values = arg.get_possible_values().into_iter();
    let shown = values.filter(|value| !value.is_hide_set());
    shown
        .map(|value| (value.get_name().to_owned(), plain(value.get_help())))
        .collect()
}

fn options(command: &Command) -> Vec<(String, String)> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), plain(arg.get_help()))))
        .collect()
}

fn subcommands(command: &Command) -> impl Iterator<Item = (String, String)> + '_ {
    let shown = command
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    shown.map(|command| (command.get_name().to_owned(), plain(command.get_about())))
}

/// Returns the first line of a help text, as the format requires.
fn plain(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn completed(line: &[&str]) -> Vec<String> {
        let words: Vec<_> = line.iter().map(|word| (*word).to_owned()).collect();
        let mut out = Vec::new();
        write(&crate::Program::command(), &words, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        assert_eq!(lines.pop().as_deref(), Some(":4"));
        let word = |line: String| line.split('\t').next().unwrap_or_default().to_owned();
        lines.into_iter().map(word).collect()
    }

    #[test]
    fn completes_commands_options_and_values() {
        assert_eq!(completed(&[""]), ["certs", "completion"]);
        assert_eq!(completed(&["ce"]), ["certs"]);
        assert_eq!(completed(&["certs", "-o", ""]), ["table", "json", "yaml"]);
        assert_eq!(completed(&["certs", "--output", "y"]), ["yaml"]);
        assert_eq!(completed(&["certs", "--no-h"]), ["--no-headers"]);
        assert_eq!(completed(&["completion", "z"]), ["zsh"]);
    }

    #[test]
    fn offers_nothing_for_free_text() {
        assert!(completed(&["certs", ""]).is_empty());
        assert!(completed(&["certs", "--namespace", ""]).is_empty());
        assert!(completed(&["certs", "--check", ""]).is_empty());
    }
}
