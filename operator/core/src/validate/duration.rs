//! Parses durations of the Gateway API (GEP-2257): one to four numbers with units.

use std::time::Duration;

/// Parses a duration; `None` for other text. Contour's `infinity` is read as zero, which means no limit.
pub(super) fn parse(text: &str) -> Option<Duration> {
    if text == "infinity" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut parts, mut sum) = (text, 0, Duration::ZERO);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at_checked(digits)?;
        let number: u64 = number.parse().ok().filter(|_| digits <= 5)?;
        let letters = behind.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, behind) = behind.split_at_checked(letters)?;
        sum += match unit {
            "h" => Duration::from_secs(number * 3600),
            "m" => Duration::from_secs(number * 60),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        parts += 1;
        rest = behind;
    }
    (1..=4).contains(&parts).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_durations_of_gep_2257() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("infinity", 0),
            ("150ms", 150),
            ("1h30m", 5_400_000),
            ("1h2m3s4ms", 3_723_004),
            ("99999h", 359_996_400_000),
            ("10s30m1h", 5_410_000),
        ] {
            assert_eq!(
                parse(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "1.5s",
            "-1s",
            "1 s",
            "1d",
            "100000s",
            "1h1h1h1h1h",
            "Infinity",
            "1S",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
