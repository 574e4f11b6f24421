//! Quantities in the one form that an API server stores, so that comparing what is wanted with what
//! is there never finds a difference that is none.
//!
//! The rules are those of `k8s.io/apimachinery/pkg/api/resource`: no fraction, no lost precision,
//! the largest suffix that allows both, and the suffix family as it was written.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Powers of 1000, from nano on.
const DECIMAL: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
/// Powers of 1024.
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Nothing is smaller than a nano; what is, is rounded up.
const NANO: i128 = 1_000_000_000;

/// The canonical form; a text that is no quantity is left as it is, for the API server to refuse.
pub(super) fn canonical(quantity: &IntOrString) -> String {
    match quantity {
        IntOrString::Int(number) => {
            parse(&number.to_string()).unwrap_or_else(|| number.to_string())
        }
        IntOrString::String(text) => parse(text).unwrap_or_else(|| text.clone()),
    }
}

fn parse(text: &str) -> Option<String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.' && c != '+')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let number = number.strip_prefix('+').unwrap_or(number);
    if let Some(power) = BINARY
        .iter()
        .position(|known| *known == suffix && !suffix.is_empty())
    {
        let nanos = nanos(number, 1024_i128.checked_pow(u32::try_from(power).ok()?)?)?;
        // Written in powers of two only when that loses nothing, and is no fraction.
        return match nanos % NANO {
            0 => Some(binary(nanos / NANO)),
            _ => Some(decimal(nanos)),
        };
    }
    if let Some(power) = DECIMAL.iter().position(|known| *known == suffix) {
        let scale = 10_i128.checked_pow(u32::try_from(power).ok()? * 3)?;
        return Some(decimal(nanos_scaled(number, scale)?));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(exponent.checked_add(9)?).ok()?)?;
    Some(exponential(nanos_scaled(number, scale)?))
}

/// `number` times `unit`, in nanos.
fn nanos(number: &str, unit: i128) -> Option<i128> {
    nanos_scaled(number, unit.checked_mul(NANO)?)
}

/// `number` times `scale`, rounded up.
fn nanos_scaled(number: &str, scale: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: i128 = match format!("{whole}{fraction}").as_str() {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let divisor = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = digits.checked_mul(scale)?;
    Some(product / divisor + i128::from(product % divisor != 0))
}

fn binary(mut value: i128) -> String {
    let mut suffixes = BINARY.iter();
    let mut suffix = suffixes.next().copied().unwrap_or_default();
    while value != 0 && value % 1024 == 0 {
        let Some(next) = suffixes.next() else { break };
        value /= 1024;
        suffix = next;
    }
    format!("{value}{suffix}")
}

fn decimal(mut nanos: i128) -> String {
    if nanos == 0 {
        return "0".to_owned();
    }
    let mut suffixes = DECIMAL.iter();
    let mut suffix = suffixes.next().copied().unwrap_or_default();
    while nanos % 1000 == 0 {
        let Some(next) = suffixes.next() else { break };
        nanos /= 1000;
        suffix = next;
    }
    format!("{nanos}{suffix}")
}

fn exponential(mut nanos: i128) -> String {
    let mut exponent = -9;
    while nanos != 0 && nanos % 1000 == 0 {
        nanos /= 1000;
        exponent += 3;
    }
    match exponent {
        0 => nanos.to_string(),
        _ if nanos == 0 => "0".to_owned(),
        _ => format!("{nanos}e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_the_api_server_stores_them() {
        // The right column is what Quantity.String() of k8s.io/apimachinery gives.
        for (written, stored) in [
            ("500m", "500m"),
            ("0.5", "500m"),
            ("1", "1"),
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("2000", "2k"),
            ("128Mi", "128Mi"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Ki", "512"),
            ("1048576", "1048576"),
            ("100M", "100M"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e4", "120e3"),
            ("0", "0"),
            ("0Mi", "0"),
            ("+1", "1"),
            (".5", "500m"),
            ("5.", "5"),
        ] {
            assert_eq!(
                canonical(&IntOrString::String(written.into())),
                stored,
                "{written}"
            );
        }
        assert_eq!(canonical(&IntOrString::Int(2)), "2");
    }

    #[test]
    fn what_is_no_quantity_is_left_for_the_api_server() {
        for text in ["", "Mi", "1x", "1ee3", "--1", "."] {
            assert_eq!(canonical(&IntOrString::String(text.into())), text);
        }
    }
}
