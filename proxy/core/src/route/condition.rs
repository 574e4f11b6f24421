//! Conditions of a route beside its path: method, header fields, query parameters.

use crate::head::Head;
use crate::route::compile::RouteError;
use portolan_discovery::table::{FieldMatch, RouteMatch, ValueMatch};
use portolan_discovery::{field, pattern};
use regex::bytes::Regex;
use std::borrow::Cow;

/// Conditions of a route, all of which must match.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    method: Option<Box<str>>,
    headers: Box<[Condition]>,
    query: Box<[Condition]>,
}

#[derive(Debug)]
struct Condition {
    name: Box<str>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Exact(Box<str>),
    Expression(Regex),
    Present,
}

impl Conditions {
    pub(crate) fn compile(matches: &RouteMatch) -> Result<Self, RouteError> {
        let header = |field: &FieldMatch| {
            // Fields that are not passed on are not matched: a client could forge them.
            field::name(&field.name)
                .map_err(|source| RouteError::Field(field.name.clone(), source))?;
            Condition::compile(field)
        };
        let headers = matches.headers.iter().map(header);
        let query = matches.query.iter().map(Condition::compile);
        Ok(Self {
            method: matches.method.as_deref().map(Into::into),
            headers: headers.collect::<Result<_, _>>()?,
            query: query.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn match_request(&self, head: &Head<'_>) -> bool {
        let query = || head.query.unwrap_or_default();
        self.method
            .as_ref()
            .is_none_or(|method| **method == *head.method)
            && self.headers.iter().all(|field| field.matches_header(head))
            && self
                .query
                .iter()
                .all(|parameter| parameter.matches_query(query()))
    }
}

impl Condition {
    fn compile(matches: &FieldMatch) -> Result<Self, RouteError> {
        let value = match &matches.value {
            ValueMatch::Exact(value) => Value::Exact(value.as_str().into()),
            ValueMatch::Regex(text) => Value::Expression(pattern::whole(text)?),
            ValueMatch::Present => Value::Present,
        };
        Ok(Self {
            name: matches.name.as_str().into(),
            value,
        })
    }

    /// Returns true if one line of the field matches.
    fn matches_header(&self, head: &Head<'_>) -> bool {
        head.values(&self.name).any(|value| match &self.value {
            Value::Exact(exact) => exact.as_bytes() == value,
            Value::Expression(regex) => regex.is_match(value),
            Value::Present => true,
        })
    }

    /// Returns true if the first parameter of the name matches.
    fn matches_query(&self, query: &str) -> bool {
        let parameters = query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut named = parameters.filter(|(name, _)| decoded(name).eq(self.name.bytes()));
        let Some((_, value)) = named.next() else {
            return false;
        };
        match &self.value {
            Value::Exact(exact) => decoded(value).eq(exact.bytes()),
            Value::Expression(regex) => {
                let value = if value.contains(['%', '+']) {
                    Cow::Owned(decoded(value).collect())
                } else {
                    Cow::Borrowed(value.as_bytes())
                };
                regex.is_match(&value)
            }
            Value::Present => true,
        }
    }
}

/// Decodes a form value (URL standard, `application/x-www-form-urlencoded` parsing): `+` is a space,
/// escapes are decoded once, and a bad escape is kept.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        let (first, behind) = rest.split_first()?;
        if let (b'%', [high, low, behind @ ..]) = (first, behind)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            rest = behind;
            return Some(high << 4 | low);
        }
        rest = behind;
        Some(if *first == b'+' { b' ' } else { *first })
    })
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head_of;
    use portolan_discovery::table::PathMatch;
    use proptest::prelude::*;

    fn exact(name: &str, value: &str) -> FieldMatch {
        FieldMatch {
            name: name.into(),
            value: ValueMatch::Exact(value.into()),
        }
    }

    fn regex(name: &str, value: &str) -> FieldMatch {
        FieldMatch {
            name: name.into(),
            value: ValueMatch::Regex(value.into()),
        }
    }

    fn matches() -> RouteMatch {
        PathMatch::Prefix("/".into()).into()
    }

    fn header(condition: FieldMatch, fields: &str) -> bool {
        let headers = vec![condition];
        let conditions = Conditions::compile(&RouteMatch {
            headers,
            ..matches()
        });
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head_of(&text, |head| conditions.unwrap().match_request(head))
    }

    fn query(condition: FieldMatch, query: &str) -> bool {
        let conditions = Conditions::compile(&RouteMatch {
            query: vec![condition],
            ..matches()
        });
        let text = format!("GET /{query} HTTP/1.1\r\nHost: a\r\n\r\n");
        head_of(&text, |head| conditions.unwrap().match_request(head))
    }

    #[test]
    fn methods_are_compared_exactly() {
        let conditions = Conditions::compile(&RouteMatch {
            method: Some("POST".into()),
            ..matches()
        })
        .unwrap();
        let holds = |method: &str| {
            let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            head_of(&text, |head| conditions.match_request(head))
        };
        assert!(holds("POST") && !holds("GET") && !holds("post"));
    }

    #[test]
    fn one_line_of_a_field_is_enough() {
        assert!(header(exact("x-beta", "1"), "X-BETA: 1\r\n"));
        assert!(header(exact("x-beta", "1"), "x-beta: 0\r\nX-Beta: 1\r\n"));
        assert!(!header(exact("x-beta", "1"), "x-beta: 0, 1\r\n"));
        assert!(!header(exact("x-beta", "1"), "x_beta: 1\r\n"));
        assert!(header(
            regex("cookie", ".*beta=1.*"),
            "cookie: a; beta=1\r\n"
        ));
        assert!(!header(regex("cookie", "beta=1"), "cookie: a; beta=1\r\n"));
        assert!(header(regex("x-a", "[^b]+"), "x-a: \u{e4}\r\n"));
        let present = FieldMatch {
            name: "x-beta".into(),
            value: ValueMatch::Present,
        };
        assert!(header(present.clone(), "x-beta:\r\n") && !header(present, ""));
    }

    #[test]
    fn fields_that_are_not_passed_on_do_not_match() {
        let nominated = "x-beta: 1\r\nConnection: X-Beta\r\n";
        assert!(!header(exact("x-beta", "1"), nominated));
        for name in ["x-forwarded-for", "connection", "x_real_ip", "X-Beta"] {
            let headers = vec![exact(name, "1")];
            let rejected = Conditions::compile(&RouteMatch {
                headers,
                ..matches()
            });
            assert!(matches!(rejected, Err(RouteError::Field(..))), "{name}");
        }
    }

    #[test]
    fn query_parameters_are_decoded_as_forms() {
        for text in ["?v=2", "?a=1&v=2", "?%76=%32", "?v=2&v=3", "?&&v=2&="] {
            assert!(query(exact("v", "2"), text), "{text}");
        }
        for text in [
            "", "?", "?v", "?v=", "?v=3&v=2", "?V=2", "?xv=2", "?v=%2532",
        ] {
            assert!(!query(exact("v", "2"), text), "{text}");
        }
        assert!(query(exact("q", "a b&c"), "?q=a+b%26c"));
        assert!(query(exact("q", "%zz%"), "?q=%zz%"));
        assert!(query(regex("q", "a b.*"), "?q=a+b%26c") && query(regex("q", "[a-c]+"), "?q=abc"));
        let present = FieldMatch {
            name: "v".into(),
            value: ValueMatch::Present,
        };
        assert!(query(present.clone(), "?v") && !query(present, "?w"));
    }

    proptest! {
        #[test]
        fn escaped_text_is_decoded(text in "\\PC{0,20}") {
            let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert!(decoded(&escaped).eq(text.bytes()));
        }
    }
}
