//! Order in which routes are tried; the proxies take the first that matches.
//!
//! Exact paths come before regular expressions, longer expressions before shorter ones, then longer
//! prefixes before shorter ones; then a method, more header fields, more query parameters; then the
//! older object's, and within an object the order in which they were written.

use portolan_discovery::table::{PathMatch, RouteMatch};
use std::cmp::Reverse;

/// Sorts routes by what they match; equals stay as they stand.
pub(crate) fn sort<T>(routes: &mut [T], matches: impl Fn(&T) -> &RouteMatch) {
    routes.sort_by_cached_key(|route| key(matches(route)));
}

type Key = (
    u8,
    Reverse<usize>,
    Reverse<bool>,
    Reverse<usize>,
    Reverse<usize>,
);

fn key(matches: &RouteMatch) -> Key {
    let (rank, length) = match &matches.path {
        // Of two different exact paths never both match, so their length says nothing.
        PathMatch::Exact(_) => (0, 0),
        PathMatch::Regex(text) => (1, text.chars().count()),
        PathMatch::Prefix(path) => (2, path.len()),
    };
    (
        rank,
        Reverse(length),
        Reverse(matches.method.is_some()),
        Reverse(matches.headers.len()),
        Reverse(matches.query.len()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::validate;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Value, json};

    fn order(routes: &[Value]) -> Vec<usize> {
        let spec = json!({"port": 80, "service": "x", "hostnames": ["a.test"], "routes": routes});
        let exposure = validate(&serde_json::from_value(spec).unwrap()).unwrap();
        exposure
            .routes
            .iter()
            .filter_map(|route| route.index)
            .collect()
    }

    #[test]
    fn more_specific_routes_come_first() {
        let routes = [
            json!({}),
            json!({"match": {"path": {"prefix": "/a"}}}),
            json!({"match": {"path": {"prefix": "/a/b/"}}}),
            json!({"match": {"path": {"regex": "/a.*"}}}),
            json!({"match": {"path": {"regex": "/a/[a-z]+"}}}),
            json!({"match": {"path": {"prefix": "/a"}, "query": [{"name": "q", "present": true}]}}),
            json!({"match": {"path": {"prefix": "/a"}, "headers": [{"name": "h", "present": true}]}}),
            json!({"match": {"path": {"prefix": "/a"}, "method": "GET"}}),
            json!({"match": {"path": {"exact": "/a"}}}),
            json!({"match": {"path": {"exact": "/a"}, "method": "GET"}}),
            json!({"match": {"path": {"prefix": "/a"}}}),
        ];
        assert_eq!(order(&routes), [9, 8, 4, 3, 2, 7, 6, 5, 1, 10, 0]);
    }

    fn route() -> impl Strategy<Value = Value> {
        let path = prop_oneof![
            select(vec!["/", "/a", "/b", "/a/b"]).prop_map(|path| json!({"exact": path})),
            select(vec!["/", "/a", "/b/", "/a/b"]).prop_map(|path| json!({"prefix": path})),
            select(vec!["/.*", "/a.*", "/[ab]"]).prop_map(|path| json!({"regex": path})),
        ];
        let fields = || {
            let field =
                select(vec!["x", "y"]).prop_map(|name| json!({"name": name, "present": true}));
            prop::collection::vec(field, 0..3)
        };
        (
            path,
            prop::option::of(select(vec!["GET", "PUT"])),
            fields(),
            fields(),
        )
            .prop_map(|(path, method, headers, query)| {
                let mut matches = json!({"path": path, "headers": headers, "query": query});
                if let Some(method) = method {
                    matches["method"] = method.into();
                }
                json!({"match": matches})
            })
    }

    proptest! {
        /// Swapping routes changes nothing but the places of those that are equally specific.
        #[test]
        fn order_depends_only_on_the_matches(routes in prop::collection::vec(route(), 0..12)) {
            let sorted: Vec<_> = order(&routes).iter().map(|index| routes[*index].clone()).collect();
            let again = order(&sorted);
            prop_assert_eq!(again, (0..routes.len()).collect::<Vec<_>>(), "sorting twice changes nothing");
            let mut backwards = routes.clone();
            backwards.reverse();
            let keys = |routes: &[Value]| -> Vec<Key> {
                let spec = json!({"port": 80, "service": "x", "hostnames": ["a.test"], "routes": routes});
                let exposure = validate(&serde_json::from_value(spec).unwrap()).unwrap();
                exposure.routes.iter().map(|route| key(&route.matches)).collect()
            };
            prop_assert_eq!(keys(&routes), keys(&backwards));
            prop_assert!(keys(&routes).is_sorted());
        }
    }
}
