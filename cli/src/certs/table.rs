//! Rows for a person: aligned columns, as kubectl has them.

use super::row::{Row, short};
use super::state::{Evidence, State};
use super::stored::Stored;
use jiff::{SignedDuration, Timestamp};
use std::io::{self, Write};

/// How a table looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// A column for the namespace: rows come from several.
    pub(crate) namespaces: bool,
    pub(crate) headers: bool,
    pub(crate) colours: bool,
}

const HEADERS: [&str; COLUMNS] = [
    "NAMESPACE",
    "NAME",
    "HOSTNAME",
    "STATE",
    "STORED",
    "SERVED",
    "EXPIRES",
    "LEFT",
    "RENEWS",
    "ISSUER",
];
const COLUMNS: usize = 10;
/// Where the state stands.
const STATE: usize = 3;
/// What kubectl puts between columns.
const GAP: usize = 3;
/// Nothing to say, or nothing known.
const NOTHING: &str = "-";

/// Writes the table.
///
/// # Errors
/// When nobody reads it.
pub(crate) fn write(
    rows: &[Row],
    look: Look,
    now: Timestamp,
    out: &mut impl Write,
) -> io::Result<()> {
    let headers = look.headers.then(|| (None, HEADERS.map(str::to_owned)));
    let cells = rows.iter().map(|row| (Some(row.state), cells(row, now)));
    let lines: Vec<_> = headers.into_iter().chain(cells).collect();
    let mut widths = [0; COLUMNS];
    for (_, cells) in &lines {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (state, cells) in &lines {
        let mut text = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if column == 0 && !look.namespaces {
                continue;
            }
            let paint = state.filter(|_| column == STATE && look.colours);
            match paint.map(colour) {
                Some(colour) => text.push_str(&format!("\u{1b}[{colour}m{cell}\u{1b}[0m")),
                None => text.push_str(cell),
            }
            let padding = (width + GAP).saturating_sub(cell.chars().count());
            text.extend(std::iter::repeat_n(' ', padding));
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn colour(state: State) -> &'static str {
    match state {
        State::Ok => "32",
        State::NoTls => "0",
        State::Overdue | State::Pending => "33",
        _ => "31",
    }
}

fn cells(row: &Row, now: Timestamp) -> [String; COLUMNS] {
    let evidence = row.evidence.as_ref();
    let not_after = row.not_after();
    let until = |at: Option<Timestamp>| at.map(|at| duration(at.duration_since(now)));
    let renews = until(evidence.and_then(|it| it.renewal_time));
    let issuer = evidence.map(|it| it.issuer.clone());
    let issuer = issuer.filter(|issuer| !issuer.is_empty());
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    [
        row.namespace.clone(),
        row.name.clone(),
        row.hostname.clone(),
        row.state.as_str().to_owned(),
        or_nothing(evidence.map(stored)),
        or_nothing(evidence.map(served)),
        or_nothing(not_after.map(|at| at.to_string())),
        or_nothing(until(not_after)),
        or_nothing(renews),
        or_nothing(issuer),
    ]
}

fn stored(evidence: &Evidence) -> String {
    let word = match evidence.shown().map(|(_, stored)| stored) {
        Some(Stored::Certificate(leaf)) => short(&leaf.fingerprint),
        Some(Stored::NotFound) => "none",
        Some(Stored::Unreadable(_)) => "unreadable",
        Some(Stored::Forbidden | Stored::Failed) | None => NOTHING,
    };
    word.to_owned()
}

fn served(evidence: &Evidence) -> String {
    let leaf = evidence.shown().and_then(|(_, stored)| stored.leaf());
    let word = match &evidence.served {
        None => "none",
        Some(_) if leaf.is_some_and(|leaf| evidence.serves(leaf)) => "same",
        Some(served) => short(&served.fingerprint),
    };
    word.to_owned()
}

/// As kubectl says ages, finer the shorter they are; with a minus what is over.
fn duration(time: SignedDuration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    const YEAR: u64 = 365 * DAY;
    let seconds = time.unsigned_abs().as_secs();
    let two = |unit: u64, name: &str, small: u64, small_name: &str| match seconds % unit / small {
        0 => format!("{}{name}", seconds / unit),
        rest => format!("{}{name}{rest}{small_name}", seconds / unit),
    };
    let said = match seconds {
        s if s < 2 * MINUTE => format!("{s}s"),
        s if s < 10 * MINUTE => two(MINUTE, "m", 1, "s"),
        s if s < 3 * HOUR => format!("{}m", s / MINUTE),
        s if s < 8 * HOUR => two(HOUR, "h", MINUTE, "m"),
        s if s < 2 * DAY => format!("{}h", s / HOUR),
        s if s < 8 * DAY => two(DAY, "d", HOUR, "h"),
        s if s < 2 * YEAR => format!("{}d", s / DAY),
        s if s < 8 * YEAR => two(YEAR, "y", DAY, "d"),
        s => format!("{}y", s / YEAR),
    };
    match time.is_negative() && seconds > 0 {
        true => format!("-{said}"),
        false => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_says_them() {
        let said = |seconds| duration(SignedDuration::from_secs(seconds));
        assert_eq!(said(0), "0s");
        assert_eq!(said(119), "119s");
        assert_eq!(said(125), "2m5s");
        assert_eq!(said(3600), "60m");
        assert_eq!(said(5 * 3600 + 59), "5h");
        assert_eq!(said(5 * 3600 + 61), "5h1m");
        assert_eq!(said(40 * 3600), "40h");
        assert_eq!(said(3 * 86_400 + 7_200), "3d2h");
        assert_eq!(said(83 * 86_400), "83d");
        assert_eq!(said(3 * 365 * 86_400), "3y");
        assert_eq!(said(-3 * 86_400), "-3d");
    }
}
