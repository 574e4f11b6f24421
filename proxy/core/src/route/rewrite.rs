//! How a path changes on its way to an endpoint, or in a redirect.

use crate::route::compile::Fault;
use portolan_discovery::path::{self, PathError};
use portolan_discovery::table::{PathMatch, PathRewrite};

/// A change of path, compiled for the route that it stands on.
#[derive(Clone, Debug)]
pub(crate) enum Rewrite {
    /// The first so many bytes, which are whole segments, are replaced.
    Prefix { length: usize, by: Box<str> },
    /// The whole path is replaced.
    Full(Box<str>),
}

/// A path in two parts that belong together, so that changing one copies nothing.
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
    /// For a route that takes such paths.
    pub(crate) fn compile(rewrite: &PathRewrite, matched: &PathMatch) -> Result<Self, Fault> {
        let (PathRewrite::Prefix(by) | PathRewrite::Full(by)) = rewrite;
        path::check(by)?;
        if by.starts_with("//") {
            return Err(Fault::Path(PathError::TwoSlashes));
        }
        match (rewrite, matched) {
            (PathRewrite::Full(by), _) | (PathRewrite::Prefix(by), PathMatch::Exact(_)) => {
                Ok(Self::Full(by.as_str().into()))
            }
            (PathRewrite::Prefix(by), PathMatch::Prefix(prefix)) => Ok(Self::Prefix {
                length: path::without_last_slash(prefix).len(),
                by: path::without_last_slash(by).into(),
            }),
            (PathRewrite::Prefix(_), PathMatch::Regex(_)) => Err(Fault::PrefixOfExpression),
        }
    }

    /// The path instead of one that the route takes. It begins with one slash, so that nobody
    /// takes it for a URL without scheme (RFC 3986 4.2); a server-wide `*` stays what it is.
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
    fn prefixes_are_replaced_by_whole_segments() {
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
    fn whole_paths_are_replaced() {
        let full = PathRewrite::Full("/new".into());
        let expression = PathMatch::Regex("/.*".into());
        assert_eq!(rewritten(expression.clone(), full.clone(), "/a/b"), "/new");
        let exact = PathMatch::Exact("/old".into());
        let prefix = PathRewrite::Prefix("/new/".into());
        assert_eq!(rewritten(exact, prefix.clone(), "/old"), "/new/");
        let everything = PathMatch::Prefix("/".into());
        assert_eq!(rewritten(everything, full, "*"), "*");
        let refused = Rewrite::compile(&prefix, &expression);
        assert!(matches!(refused, Err(Fault::PrefixOfExpression)));
    }

    #[test]
    fn what_is_written_instead_is_a_path_in_its_one_form() {
        for by in ["", "x", "//evil.example", "/a/../b", "/a?b", "/ä", "/%zz"] {
            for rewrite in [PathRewrite::Prefix(by.into()), PathRewrite::Full(by.into())] {
                let matched = PathMatch::Prefix("/".into());
                let refused = Rewrite::compile(&rewrite, &matched);
                assert!(matches!(refused, Err(Fault::Path(_))), "{by}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_rewritten_path_is_in_its_one_form_and_never_names_a_host(
            segments in prop::collection::vec("([a-z]{0,2}[.]?[a-z]|%2f[a-z]|[.]{3}|)", 0..4),
            rest in "(/[a-z]{0,2}){0,4}",
            by in "(/[a-z]{1,2}){0,3}/?",
        ) {
            let matched: String = segments.iter().map(|it| format!("/{it}")).collect();
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
