//! Validates names and values of header fields (RFC 9110 5), as the proxy does.

use super::field_error::FieldError;
use crate::names::Hostname;
use portolan_crds::VALUE_MAX;
use portolan_discovery::field;

const NAME: &str =
    "must be the name of a header field: letters, digits and hyphens, such as x-team";
const RESERVED: &str =
    "must not be a field of the connection, or one that the proxy sets; remove it";
const HOST: &str = "must be a host name with an optional port, such as app.internal:8080";

/// Returns a name that a route may match, add, remove or expose, in lower case.
pub(super) fn name(text: &str) -> Result<String, FieldError> {
    let name = text.to_ascii_lowercase();
    match field::name(&name) {
        Ok(()) => Ok(name),
        Err(field::FieldError::Reserved) => Err(FieldError::invalid(name.as_str(), RESERVED)),
        Err(_) => Err(FieldError::invalid(text, NAME)),
    }
}

/// Returns a name that a route may set in requests: also `host`, which changes the host that the application sees.
pub(super) fn settable(text: &str) -> Result<String, FieldError> {
    if text.eq_ignore_ascii_case("host") {
        return Ok("host".to_owned());
    }
    name(text)
}

/// Returns a value on one line, without space at its ends; for `host`, a name with an optional port.
pub(super) fn value(name: &str, text: &str) -> Result<String, FieldError> {
    if name == "host" {
        return host(text).ok_or_else(|| FieldError::invalid(text, HOST));
    }
    if !text.is_empty() && text.len() <= VALUE_MAX && field::value(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err(FieldError::invalid_whole(format!(
            "the value of {name} must be at most {VALUE_MAX} printable characters on one line, without space at its ends"
        )))
    }
}

fn host(text: &str) -> Option<String> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let name = Hostname::parse(name)
        .ok()
        .filter(|name| !name.is_wildcard())?;
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
    fn accepts_tokens_in_lower_case() {
        assert_eq!(name("X-Team").as_deref(), Ok("x-team"));
        assert_eq!(settable("Host").as_deref(), Ok("host"));
        for bad in ["", "a b", "a:", "a\r\nb", "ä"] {
            assert_eq!(name(bad), Err(FieldError::invalid(bad, NAME)));
        }
        for reserved in ["content-length", "x_forwarded_for", "host"] {
            assert_eq!(name(reserved), Err(FieldError::invalid(reserved, RESERVED)));
        }
    }

    #[test]
    fn rejects_values_with_line_breaks() {
        assert_eq!(value("a", "b c").as_deref(), Ok("b c"));
        for bad in ["", " a", "a\r\nx: y"] {
            let error = value("a", bad).unwrap_err().to_string();
            assert!(error.contains("the value of a must be"), "{error}");
        }
        assert!(value("a", &"a".repeat(VALUE_MAX + 1)).is_err());
        assert_eq!(value("host", "A.test:81").as_deref(), Ok("a.test:81"));
        for bad in ["a b", "a:", "a:0", "a:081", "a/b", "*.a.test"] {
            assert_eq!(value("host", bad), Err(FieldError::invalid(bad, HOST)));
        }
    }
}
