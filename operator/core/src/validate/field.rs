//! Names and values of header fields (RFC 9110 5), judged as the proxy judges them.

use super::field_error::FieldError;
use crate::names::Hostname;
use portolan_crds::VALUE_MAX;
use portolan_discovery::field;

/// What a route looks at, adds, removes, or lets a browser see: a name in lower case.
pub(super) fn name(text: &str) -> Result<String, FieldError> {
    let name = text.to_ascii_lowercase();
    match field::name(&name) {
        Ok(()) => Ok(name),
        Err(field::FieldError::Reserved) => Err(FieldError::FieldReserved(name)),
        Err(_) => Err(FieldError::FieldName(text.to_owned())),
    }
}

/// What a route sets in requests: `host` too, which changes what the application is asked for.
pub(super) fn settable(text: &str) -> Result<String, FieldError> {
    match text.eq_ignore_ascii_case("host") {
        true => Ok("host".to_owned()),
        false => name(text),
    }
}

/// A value on one line, without space at its ends; of `host`, a name with or without a port.
pub(super) fn value(name: &str, text: &str) -> Result<String, FieldError> {
    if name == "host" {
        return host(text).ok_or_else(|| FieldError::Host(text.to_owned()));
    }
    if !text.is_empty() && text.len() <= VALUE_MAX && field::value(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err(FieldError::FieldValue(name.to_owned()))
    }
}

fn host(text: &str) -> Option<String> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let name = Hostname::parse(name).ok().filter(|it| !it.is_wildcard())?;
    match port {
        None => Some(name.as_str().to_owned()),
        Some(port) => {
            let number = port.parse::<u16>().ok().filter(|number| *number > 0)?;
            (number.to_string() == port).then(|| format!("{}:{port}", name.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_in_lower_case() {
        assert_eq!(name("X-Team").as_deref(), Ok("x-team"));
        assert_eq!(settable("Host").as_deref(), Ok("host"));
        for bad in ["", "a b", "a:", "a\r\nb", "ä"] {
            assert_eq!(name(bad), Err(FieldError::FieldName(bad.into())));
        }
        for reserved in ["content-length", "x_forwarded_for", "host"] {
            assert_eq!(
                name(reserved),
                Err(FieldError::FieldReserved(reserved.into()))
            );
        }
    }

    #[test]
    fn a_value_stays_on_its_line() {
        assert_eq!(value("a", "b c").as_deref(), Ok("b c"));
        for bad in ["", " a", "a\r\nx: y"] {
            assert_eq!(value("a", bad), Err(FieldError::FieldValue("a".into())));
        }
        assert!(value("a", &"a".repeat(VALUE_MAX + 1)).is_err());
        assert_eq!(value("host", "A.test:81").as_deref(), Ok("a.test:81"));
        for bad in ["a b", "a:", "a:0", "a:081", "a/b", "*.a.test"] {
            assert_eq!(value("host", bad), Err(FieldError::Host(bad.into())));
        }
    }
}
