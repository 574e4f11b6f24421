//! Changes of a path, before it is sent to an endpoint or in a redirect.

use crate::route::compile::RouteError;
use portolan_discovery::path::{self, PathError};
use portolan_discovery::table::{PathMatch, PathRewrite};

/// Change of a path, compiled for the path match of its route.
#[derive(Clone, Debug)]
pub(crate) enum Rewrite {
    /// Replaces the first `length` bytes, which are whole segments.
    Prefix { length: usize, by: Box<str> },
    /// Replaces the whole path.
    Full(Box<str>),
}

/// Path in two parts, so that a rewrite copies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathParts<'a> {
    pub(crate) first: &'a str,
    pub(crate) rest: &'a str,
}

impl<'a> From<&'a str> for PathParts<'a> {
    fn from(path: &'a str) -> Self {
        Self {
            first: path,
            rest: "",
        }
    }
}

impl Rewrite {
    /// Compiles a rewrite for a route with this path match.
    pub(crate) fn compile(rewrite: &PathRewrite, matched: &PathMatch) -> Result<Self, RouteError> {
        let (PathRewrite::Prefix(by) | PathRewrite::Full(by)) = rewrite;
        path::check(by)?;
        if by.starts_with("//") {
            return Err(RouteError::Path(PathError::TwoSlashes));
        }
        match (rewrite, matched) {
            (PathRewrite::Full(by), _) | (PathRewrite::Prefix(by), PathMatch::Exact(_)) => {
                Ok(Self::Full(by.as_str().into()))
            }
            (PathRewrite::Prefix(by), PathMatch::Prefix(prefix)) => Ok(Self::Prefix {
                length: path::without_last_slash(prefix).len(),
                by: path::without_last_slash(by).into(),
            }),
            (PathRewrite::Prefix(_), PathMatch::Regex(_)) => Err(RouteError::PrefixOfExpression),
        }
    }

    /// Rewrites a path that the route matches. The result begins with one slash, so that it is never
    /// taken for a URL without scheme (RFC 3986 4.2); a server-wide `*` stays.
    pub(crate) fn apply<'a>(&'a self, path: &'a str) -> PathParts<'a> {
        match self {
            _ if path == "*" => path.into(),
            Self::Full(by) => PathParts::from(&**by),
            Self::Prefix { length, by } => {
                let rest = path.get(*length..).unwrap_or_default();
                match &**by {
                    "" => PathParts {
                        first: "/",
                        rest: rest.trim_start_matches('/'),
                    },
                    by => PathParts { first: by, rest },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rewritten(matched: PathMatch, rewrite: PathRewrite, path: &str) -> String {
        let rewrite = Rewrite::compile(&rewrite, &matched).unwrap();
        let parts = rewrite.apply(path);
        format!("{}{}", parts.first, parts.rest)
    }

    fn prefix(prefix: &str, by: &str, path: &str) -> String {
        let rewrite = PathRewrite::Prefix(by.into());
        rewritten(PathMatch::Prefix(prefix.into()), rewrite, path)
    }

    /// The table of Gateway API's `ReplacePrefixMatch`.
    #[test]
    fn replaces_prefixes_by_whole_segments() {
        for (path, matched, by, expected) in [
            ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
            ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
            ("/foo", "/foo", "/xyz", "/xyz"),
            ("/foo/", "/foo", "/xyz", "/xyz/"),
            ("/foo/bar", "/foo", "/", "/bar"),
            ("/foo/", "/foo", "/", "/"),
            ("/foo", "/foo", "/", "/"),
            ("/foo//bar", "/foo", "/", "/bar"),
            ("/foo//bar", "/foo", "/x", "/x//bar"),
            ("/bar", "/", "/x", "/x/bar"),
            ("//bar", "/", "/", "/bar"),
            ("/", "/", "/x", "/x/"),
        ] {
            assert_eq!(prefix(matched, by, path), expected, "{path} {matched} {by}");
        }
    }

    #[test]
    fn replaces_whole_paths() {
        let full = PathRewrite::Full("/new".into());
        let expression = PathMatch::Regex("/.*".into());
        assert_eq!(rewritten(expression.clone(), full.clone(), "/a/b"), "/new");
        let exact = PathMatch::Exact("/old".into());
        let prefix = PathRewrite::Prefix("/new/".into());
        assert_eq!(rewritten(exact, prefix.clone(), "/old"), "/new/");
        let everything = PathMatch::Prefix("/".into());
        assert_eq!(rewritten(everything, full, "*"), "*");
        let rejected = Rewrite::compile(&prefix, &expression);
        assert!(matches!(rejected, Err(RouteError::PrefixOfExpression)));
    }

    #[test]
    fn rejects_replacements_not_in_normal_form() {
        for by in ["", "x", "//evil.example", "/a/../b", "/a?b", "/ä", "/%zz"] {
            for rewrite in [PathRewrite::Prefix(by.into()), PathRewrite::Full(by.into())] {
                let matched = PathMatch::Prefix("/".into());
                let rejected = Rewrite::compile(&rewrite, &matched);
                assert!(matches!(rejected, Err(RouteError::Path(_))), "{by}");
            }
        }
    }

    proptest! {
        #[test]
        fn rewritten_paths_are_normal_and_never_name_a_host(
            segments in prop::collection::vec("([a-z]{0,2}[.]?[a-z]|%2f[a-z]|[.]{3}|)", 0..4),
            rest in "(/[a-z]{0,2}){0,4}",
            by in "(/[a-z]{1,2}){0,3}/?",
        ) {
            let matched: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            let path = format!("{matched}{rest}");
            prop_assume!(path::check(&path).is_ok() && path::check(&matched).is_ok());
            prop_assume!(path::check(&by).is_ok());
            let result = prefix(&matched, &by, &path);
            prop_assert!(path::check(&result).is_ok() && !result.starts_with("//"), "{result}");
            let kept = rest.trim_start_matches('/');
            prop_assert!(result.ends_with(kept), "{result} loses {kept}");
        }
    }
}
