//! Validates paths of routes. A request's path is matched after normalisation (RFC 3986 5.2.4 and 6.2.2.2), so
//! a route for any other spelling would never match; the error names the one that does.

use super::field_error::FieldError;
use portolan_crds::{PATH_MAX, messages};
use portolan_discovery::path;

/// Returns the path if it is in the form that requests are matched in.
pub(super) fn parse(text: &str) -> Result<String, FieldError> {
    let normal = match path::normalise(text) {
        Ok(normal) if text.len() <= PATH_MAX => normal,
        _ => return Err(FieldError::invalid(text, messages::PATH)),
    };
    if normal == text {
        Ok(normal.into_owned())
    } else {
        Err(FieldError::invalid(
            text,
            format!("must be normalised, because requests for it match {normal:?}; use that"),
        ))
    }
}

/// Returns a prefix of whole segments, without a final slash unless another one precedes it.
pub(super) fn parse_prefix(text: &str) -> Result<String, FieldError> {
    let path = parse(text)?;
    Ok(match path.strip_suffix('/') {
        Some(trimmed) if !trimmed.is_empty() && !trimmed.ends_with('/') => trimmed.to_owned(),
        _ => path,
    })
}

/// Returns a path that may replace another one: not one that starts with a host in a relative reference
/// (RFC 3986 4.2).
pub(super) fn replacement(path: Result<String, FieldError>) -> Result<String, FieldError> {
    match path? {
        path if path.starts_with("//") => Err(FieldError::invalid(
            path.as_str(),
            "must start with a single slash, because a host follows two",
        )),
        path => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_normal_form_of_a_path() {
        for (written, normal) in [
            ("/a/../b", "/b"),
            ("/a/.", "/a/"),
            ("/%7euser", "/~user"),
            ("/%2e%2e/x", "/x"),
        ] {
            let error = parse(written).unwrap_err().to_string();
            let expected = format!("Invalid value: {written:?}: must be normalised, because");
            assert!(error.starts_with(&expected), "{error}");
            assert!(error.ends_with(&format!("{normal:?}; use that")), "{error}");
        }
        for kept in ["/", "/a", "/a/", "/a//b", "/a%2Fb", "/a%2fb", "/x;y=[1]|2"] {
            assert_eq!(parse(kept).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn rejects_paths_that_no_request_may_have() {
        for bad in [
            "", "a", "/a?b", "/a#b", "/a b", "/a\\b", "/%", "/%2", "/%zz", "/%00", "/é", "/\n",
        ] {
            let expected = FieldError::invalid(bad, messages::PATH);
            assert_eq!(parse(bad), Err(expected), "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(PATH_MAX));
        assert!(parse(&long).is_err());
    }

    #[test]
    fn trims_the_final_slash_of_a_prefix() {
        for (written, kept) in [("/", "/"), ("/a/", "/a"), ("/a", "/a"), ("/a/b/", "/a/b")] {
            assert_eq!(parse_prefix(written).as_deref(), Ok(kept));
        }
        for kept in ["//", "/a//"] {
            assert_eq!(
                parse_prefix(kept).as_deref(),
                Ok(kept),
                "an empty segment is one"
            );
        }
    }
}
