//! Finds the route of a request: the first whose path and conditions match.
//!
//! The order of routes is their precedence, and is given; the index only avoids looking at routes
//! that cannot match. Exact paths and prefixes are in a tree of segments, which is walked once, and
//! regular expressions are matched as one set before any is matched alone.

use crate::head::Head;
use crate::route::Route;
use crate::route::compile::RouteError;
use crate::route::condition::Conditions;
use portolan_discovery::table::PathMatch;
use portolan_discovery::{path, pattern};
use regex::bytes::{Regex, RegexSet};
use std::sync::Arc;

/// The routes of a host, in order.
#[derive(Debug)]
pub(crate) struct RouteIndex<B> {
    routes: Vec<(Conditions, Arc<Route<B>>)>,
    /// The first is the root, the path before its first slash.
    nodes: Vec<Node>,
    expressions: Vec<(usize, Regex)>,
    any_expression: Option<RegexSet>,
}

/// Routes whose paths end at one node of the tree of segments. Indices of routes ascend.
#[derive(Debug, Default)]
struct Node {
    /// By segment, sorted.
    children: Vec<(Box<str>, usize)>,
    exact: Vec<usize>,
    prefix: Vec<usize>,
}

impl<B> Default for RouteIndex<B> {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            nodes: Vec::new(),
            expressions: Vec::new(),
            any_expression: None,
        }
    }
}

impl<B> RouteIndex<B> {
    /// Appends a route.
    pub(crate) fn push(
        &mut self,
        matched: &PathMatch,
        conditions: Conditions,
        route: Route<B>,
    ) -> Result<(), RouteError> {
        let index = self.routes.len();
        match matched {
            PathMatch::Exact(path) => {
                path::check(path)?;
                self.node(path, |node| node.exact.push(index));
            }
            PathMatch::Prefix(prefix) => {
                path::check(prefix)?;
                let prefix = path::without_last_slash(prefix);
                self.node(prefix, |node| node.prefix.push(index));
            }
            PathMatch::Regex(text) => self.expressions.push((index, pattern::whole(text)?)),
        }
        self.routes.push((conditions, Arc::new(route)));
        Ok(())
    }

    /// Finishes the index.
    pub(crate) fn finish(&mut self) {
        // One alone is matched as fast as in a set; and if they are too large together, each is
        // matched by itself.
        if let [_, _, ..] = &*self.expressions {
            let expressions = self.expressions.iter().map(|(_, regex)| regex);
            self.any_expression = pattern::any_of(expressions).ok();
        }
    }

    /// Changes the node of a path, which is created with its parents.
    fn node(&mut self, path: &str, change: impl FnOnce(&mut Node)) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for segment in segments(path) {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else {
                return;
            };
            at = match node.child(segment) {
                Ok(child) => child,
                Err(place) => {
                    node.children.insert(place, (segment.into(), next));
                    self.nodes.push(Node::default());
                    next
                }
            };
        }
        self.nodes.get_mut(at).map(change);
    }

    /// Returns the first route that matches the request.
    pub(crate) fn find(&self, head: &Head<'_>) -> Option<&Arc<Route<B>>> {
        let mut first = First {
            routes: &self.routes,
            head,
            found: None,
        };
        self.walk(head.path, &mut first);
        self.match_expressions(head.path, &mut first);
        let (_, route) = self.routes.get(first.found?)?;
        Some(route)
    }

    fn walk(&self, path: &str, first: &mut First<'_, '_, B>) {
        let Some(mut node) = self.nodes.first() else {
            return;
        };
        first.among(&node.prefix);
        // A server-wide OPTIONS lies below `/` alone.
        if path == "*" {
            return;
        }
        for segment in segments(path) {
            let child = node.child(segment).ok().and_then(|at| self.nodes.get(at));
            let Some(child) = child else { return };
            node = child;
            first.among(&node.prefix);
        }
        first.among(&node.exact);
    }

    fn match_expressions(&self, path: &str, first: &mut First<'_, '_, B>) {
        let Some((index, _)) = self.expressions.first() else {
            return;
        };
        let none = |any: &RegexSet| !any.is_match(path.as_bytes());
        if path == "*" || !first.may_be(*index) || self.any_expression.as_ref().is_some_and(none) {
            return;
        }
        for (index, expression) in &self.expressions {
            if !first.may_be(*index) {
                return;
            }
            if expression.is_match(path.as_bytes()) {
                first.among(&[*index]);
            }
        }
    }
}

impl Node {
    /// Returns the index of the child for a segment, or the position to insert it at.
    fn child(&self, segment: &str) -> Result<usize, usize> {
        let place = self
            .children
            .binary_search_by(|(name, _)| (**name).cmp(segment));
        place.map(|at| self.children.get(at).map_or(0, |(_, child)| *child))
    }
}

/// First matching route of those checked so far.
struct First<'i, 'h, B> {
    routes: &'i [(Conditions, Arc<Route<B>>)],
    head: &'h Head<'h>,
    found: Option<usize>,
}

impl<B> First<'_, '_, B> {
    /// Returns true if a route of this index would precede the one found.
    fn may_be(&self, index: usize) -> bool {
        self.found.is_none_or(|found| index < found)
    }

    /// Checks routes whose path matches.
    fn among(&mut self, indices: &[usize]) {
        for index in indices {
            if !self.may_be(*index) {
                return;
            }
            let route = self.routes.get(*index);
            if route.is_some_and(|(conditions, _)| conditions.match_request(self.head)) {
                self.found = Some(*index);
                return;
            }
        }
    }
}

/// Returns the segments of a path; none for the empty path.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/')
        .into_iter()
        .flat_map(|rest| rest.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::CompileContext;
    use crate::request::head_of;
    use portolan_discovery::table::{self, FieldMatch, RouteMatch, ValueMatch};
    use proptest::prelude::*;
    use proptest::sample::select;
    use std::collections::BTreeMap;

    fn index(routes: &[RouteMatch]) -> RouteIndex<()> {
        let mut index = RouteIndex::default();
        let context = CompileContext {
            workers: 1,
            seed: 0,
            https_port: 443,
        };
        for (number, matched) in routes.iter().enumerate() {
            let reason = number.to_string();
            let action = table::Action::Unavailable { reason };
            let route = table::Route::new(matched.clone(), action);
            let route = Route::compile(&route, &|_| None, context).unwrap();
            let conditions = Conditions::compile(matched).unwrap();
            index.push(&matched.path, conditions, route).unwrap();
        }
        index.finish();
        index
    }

    /// Returns the number of the matching route.
    fn matching(index: &RouteIndex<()>, head: &Head<'_>) -> Option<usize> {
        index.find(head).map(|route| {
            let mut routes = index.routes.iter();
            routes
                .position(|(_, other)| Arc::ptr_eq(other, route))
                .unwrap()
        })
    }

    /// The specification in its simplest form.
    fn matches(matched: &RouteMatch, head: &Head<'_>) -> bool {
        let whole = |text: &str| pattern::whole(text).unwrap();
        let path = match &matched.path {
            PathMatch::Prefix(prefix) => {
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                match head.path.strip_prefix(prefix) {
                    Some(rest) => rest.is_empty() || rest.starts_with('/') || rest == "*",
                    None => false,
                }
            }
            _ if head.path == "*" => false,
            PathMatch::Exact(path) => path == head.path,
            PathMatch::Regex(text) => whole(text).is_match(head.path.as_bytes()),
        };
        path && Conditions::compile(matched).unwrap().match_request(head)
    }

    fn path() -> impl Strategy<Value = String> {
        let segment = select(&["", "a", "a", "a", "ab"]);
        prop::collection::vec(segment, 1..4).prop_map(|segments| {
            segments
                .iter()
                .map(|segment| format!("/{segment}"))
                .collect()
        })
    }

    fn matched() -> impl Strategy<Value = RouteMatch> {
        let expression = select(&["/a.*", "/(a|b)/?", "/[^/]*", ".*", "/a/a|/ab"]);
        let path = prop_oneof![
            3 => path().prop_map(PathMatch::Exact),
            2 => path().prop_map(PathMatch::Prefix),
            1 => expression.prop_map(|text| PathMatch::Regex(text.to_owned())),
        ];
        let field = |name: &'static str| {
            let condition = FieldMatch {
                name: name.to_owned(),
                value: ValueMatch::Exact("1".into()),
            };
            prop::option::weighted(0.15, Just(condition))
        };
        let method = prop::option::weighted(0.15, Just("POST".to_owned()));
        (path, method, field("x-a"), field("q")).prop_map(|(path, method, header, query)| {
            RouteMatch {
                path,
                method,
                headers: header.into_iter().collect(),
                query: query.into_iter().collect(),
            }
        })
    }

    fn request() -> impl Strategy<Value = String> {
        let line = prop_oneof![
            9 => (select(&["GET", "POST"]), path(), select(&["", "?q=1"]))
                .prop_map(|(method, path, query)| format!("{method} {path}{query}")),
            1 => Just("OPTIONS *".to_owned()),
        ];
        (line, select(&["", "X-A: 1\r\n"]))
            .prop_map(|(line, field)| format!("{line} HTTP/1.1\r\nHost: a\r\n{field}\r\n"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn finds_the_first_matching_route(
            routes in prop::collection::vec(matched(), 0..12),
            request in request(),
        ) {
            let compiled = index(&routes);
            head_of(&request, |head| {
                let expected = routes.iter().position(|route| matches(route, head));
                prop_assert_eq!(matching(&compiled, head), expected);
                Ok(())
            })?;
        }
    }

    /// A generator that never makes the interesting cases proves nothing.
    #[test]
    fn generated_routes_and_requests_meet() {
        use proptest::strategy::ValueTree;
        use proptest::test_runner::TestRunner;
        let mut runner = TestRunner::deterministic();
        let strategy = (prop::collection::vec(matched(), 0..12), request());
        let (mut counts, rounds) = (BTreeMap::<&str, u32>::new(), 2000);
        for _ in 0..rounds {
            let (routes, request) = strategy.new_tree(&mut runner).unwrap().current();
            head_of(&request, |head| {
                let mut fitting = routes.iter().filter(|route| matches(route, head));
                let first = match fitting.next().map(|route| &route.path) {
                    None => "none",
                    Some(PathMatch::Exact(_)) => "exact",
                    Some(PathMatch::Prefix(_)) => "prefix",
                    Some(PathMatch::Regex(_)) => "regex",
                };
                *counts.entry(first).or_default() += 1;
                *counts.entry("several").or_default() += u32::from(fitting.next().is_some());
            });
        }
        println!("{counts:?}");
        assert_eq!(counts.len(), 5, "{counts:?}");
        assert!(
            counts.values().all(|count| count * 20 > rounds),
            "{counts:?}"
        );
    }
}
