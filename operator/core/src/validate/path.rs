//! Paths of routes. A request's path is matched after normalisation (RFC 3986 5.2.4 and 6.2.2.2), so a
//! route for any other spelling would never be taken; its author is told the one that is.

use super::field_error::FieldError;
use portolan_crds::PATH_MAX;
use portolan_discovery::path;

/// A path in the one form that requests are matched in.
pub(super) fn parse(text: &str) -> Result<String, FieldError> {
    let normal = match path::normalise(text) {
        Ok(normal) if text.len() <= PATH_MAX => normal,
        _ => return Err(FieldError::Path(text.to_owned())),
    };
    if normal == text {
        Ok(normal.into_owned())
    } else {
        Err(FieldError::PathNotNormal {
            written: text.to_owned(),
            normal: normal.into_owned(),
        })
    }
}

/// A path by whole segments: a slash at its end says nothing, unless another stands before it.
pub(super) fn parse_prefix(text: &str) -> Result<String, FieldError> {
    let path = parse(text)?;
    Ok(match path.strip_suffix('/') {
        Some(trimmed) if !trimmed.is_empty() && !trimmed.ends_with('/') => trimmed.to_owned(),
        _ => path,
    })
}

/// What is written in place of a path: never what a URL without scheme would name a host with
/// (RFC 3986 4.2).
pub(super) fn replacement(path: Result<String, FieldError>) -> Result<String, FieldError> {
    match path? {
        path if path.starts_with("//") => Err(FieldError::PathOfHost(path)),
        path => Ok(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_request_has_is_refused_with_the_one_that_it_has() {
        for (written, normal) in [
            ("/a/../b", "/b"),
            ("/a/.", "/a/"),
            ("/%7euser", "/~user"),
            ("/%2e%2e/x", "/x"),
        ] {
            let told = FieldError::PathNotNormal {
                written: written.into(),
                normal: normal.into(),
            };
            assert_eq!(parse(written), Err(told));
        }
        for kept in ["/", "/a", "/a/", "/a//b", "/a%2Fb", "/a%2fb", "/x;y=[1]|2"] {
            assert_eq!(parse(kept).as_deref(), Ok(kept));
        }
    }

    #[test]
    fn what_no_request_may_have_is_refused() {
        for bad in [
            "", "a", "/a?b", "/a#b", "/a b", "/a\\b", "/%", "/%2", "/%zz", "/%00", "/é", "/\n",
        ] {
            assert_eq!(parse(bad), Err(FieldError::Path(bad.into())), "{bad:?}");
        }
        let long = format!("/{}", "a".repeat(PATH_MAX));
        assert!(parse(&long).is_err());
    }

    #[test]
    fn a_prefix_has_no_slash_at_its_end() {
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
