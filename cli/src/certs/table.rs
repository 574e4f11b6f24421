//! Rows as a table, aligned like that of kubectl.

use super::row::{Row, short};
use super::state::{CertificateInfo, State};
use super::stored::Stored;
use jiff::{SignedDuration, Timestamp};
use std::io::{self, Write};

/// Style of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TableStyle {
    /// Adds a column for the namespace.
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
/// Index of the state column.
const STATE: usize = 3;
/// Spaces between columns, as in kubectl.
const GAP: usize = 3;
/// Cell of a value that is unknown or not needed.
const EMPTY: &str = "-";

/// Writes the table.
///
/// # Errors
/// Writing failed.
pub(crate) fn write(
    rows: &[Row],
    style: TableStyle,
    now: Timestamp,
    out: &mut impl Write,
) -> io::Result<()> {
    let headers = style.headers.then(|| (None, HEADERS.map(str::to_owned)));
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
            if column == 0 && !style.namespaces {
                continue;
            }
            let paint = state.filter(|_| column == STATE && style.colours);
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
    let info = row.certificate.as_ref();
    let not_after = row.not_after();
    let until = |at: Option<Timestamp>| at.map(|at| duration(at.duration_since(now)));
    let renews = until(info.and_then(|info| info.renewal_time));
    let issuer = info.map(|info| info.issuer.clone());
    let issuer = issuer.filter(|issuer| !issuer.is_empty());
    let or_empty = |text: Option<String>| text.unwrap_or_else(|| EMPTY.to_owned());
    [
        row.namespace.clone(),
        row.name.clone(),
        row.hostname.clone(),
        row.state.as_str().to_owned(),
        or_empty(info.map(stored)),
        or_empty(info.map(served)),
        or_empty(not_after.map(|at| at.to_string())),
        or_empty(until(not_after)),
        or_empty(renews),
        or_empty(issuer),
    ]
}

fn stored(info: &CertificateInfo) -> String {
    let word = match info.shown().map(|(_, stored)| stored) {
        Some(Stored::Certificate(leaf)) => short(&leaf.fingerprint),
        Some(Stored::NotFound) => "none",
        Some(Stored::Unreadable(_)) => "unreadable",
        Some(Stored::Forbidden | Stored::Failed) | None => EMPTY,
    };
    word.to_owned()
}

fn served(info: &CertificateInfo) -> String {
    let leaf = info.shown().and_then(|(_, stored)| stored.leaf());
    let word = match &info.served {
        None => "none",
        Some(_) if leaf.is_some_and(|leaf| info.serves(leaf)) => "same",
        Some(served) => short(&served.fingerprint),
    };
    word.to_owned()
}

/// Formats a duration like ages in kubectl, finer the shorter it is; negative in the past.
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
    let text = match seconds {
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
    if time.is_negative() && seconds > 0 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_durations_like_kubectl() {
        let text = |seconds| duration(SignedDuration::from_secs(seconds));
        assert_eq!(text(0), "0s");
        assert_eq!(text(119), "119s");
        assert_eq!(text(125), "2m5s");
        assert_eq!(text(3600), "60m");
        assert_eq!(text(5 * 3600 + 59), "5h");
        assert_eq!(text(5 * 3600 + 61), "5h1m");
        assert_eq!(text(40 * 3600), "40h");
        assert_eq!(text(3 * 86_400 + 7_200), "3d2h");
        assert_eq!(text(83 * 86_400), "83d");
        assert_eq!(text(3 * 365 * 86_400), "3y");
        assert_eq!(text(-3 * 86_400), "-3d");
    }
}
