//! Path normalisation against the algorithms as the RFC writes them, slow and plain.

use portolan_discovery::path::normalise;
use proptest::prelude::*;
use std::borrow::Cow;

/// RFC 3986 6.2.2.2: escapes of unreserved characters are decoded, once.
fn decoded(path: &str) -> String {
    let mut out = String::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let byte = rest.get(1..3).filter(|_| first == '%');
        let byte = byte.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        match byte.filter(unreserved) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                out.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    out
}

/// RFC 3986 5.2.4, step by step, over an input and an output buffer.
fn without_dots(path: &str) -> String {
    let (mut input, mut output) = (path.to_owned(), String::new());
    while !input.is_empty() {
        if input.starts_with("/./") || input == "/." {
            input = format!("/{}", input.get(3..).unwrap_or_default());
        } else if input.starts_with("/../") || input == "/.." {
            input = format!("/{}", input.get(4..).unwrap_or_default());
            output.truncate(output.rfind('/').unwrap_or_default());
        } else {
            let next = input
                .get(1..)
                .and_then(|tail| tail.find('/'))
                .map(|at| at + 1);
            let rest = input.split_off(next.unwrap_or(input.len()));
            output.push_str(&input);
            input = rest;
        }
    }
    output
}

proptest! {
    #[test]
    fn normalises_as_the_rfc_describes(
        path in "/([a-b]|[.]|[.][.]|/|//|;|%2[eEfF]|%41|%7[eE]|%25|%5[cC]){0,16}") {
        let actual = normalise(&path).map(Cow::into_owned);
        prop_assert_eq!(actual, Ok(without_dots(&decoded(&path))));
    }
}
