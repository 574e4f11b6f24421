//! Which of a host's routes takes a request: the first whose path and conditions hold.
//!
//! The order of routes is their precedence, and is given; what is compiled here only avoids
//! looking at those that cannot be meant. Exact paths and prefixes stand in a tree of segments,
//! which is walked once, and regular expressions are asked together before any is asked alone.

use crate::head::Head;
use crate::route::Route;
use crate::route::compile::Fault;
use crate::route::condition::Conditions;
use portolan_discovery::table::PathMatch;
use portolan_discovery::{path, pattern};
use regex::bytes::{Regex, RegexSet};
use std::sync::Arc;

/// The routes of a host, in order.
#[derive(Debug)]
pub(crate) struct RouteIndex<B> {
    routes: Vec<(Conditions, Arc<Route<B>>)>,
    /// The root is the first; it stands for the path before its first slash.
    nodes: Vec<Node>,
    expressions: Vec<(usize, Regex)>,
    any_expression: Option<RegexSet>,
}

/// What ends at one place in the tree of segments. Indices of routes ascend.
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
    /// Adds a route behind those that are there.
    pub(crate) fn push(
        &mut self,
        matched: &PathMatch,
        conditions: Conditions,
        route: Route<B>,
    ) -> Result<(), Fault> {
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

    /// Ends the compilation.
    pub(crate) fn finish(&mut self) {
        // One alone is asked as fast as it would be in a set; and were they too large together, each
        // would be asked by itself.
        if let [_, _, ..] = &*self.expressions {
            let expressions = self.expressions.iter().map(|(_, it)| it);
            self.any_expression = pattern::any_of(expressions).ok();
        }
    }

    /// Changes the node where the path ends, which is made with those on the way to it.
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

    /// The first route that takes the request.
    pub(crate) fn find(&self, head: &Head<'_>) -> Option<&Arc<Route<B>>> {
        let mut first = First {
            routes: &self.routes,
            head,
            found: None,
        };
        self.walk(head.path, &mut first);
        self.ask(head.path, &mut first);
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

    fn ask(&self, path: &str, first: &mut First<'_, '_, B>) {
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
    /// The index of the child for a segment, or where among the children it would stand.
    fn child(&self, segment: &str) -> Result<usize, usize> {
        let place = self
            .children
            .binary_search_by(|(name, _)| (**name).cmp(segment));
        place.map(|at| self.children.get(at).map_or(0, |(_, child)| *child))
    }
}

/// The first of the routes that were looked at whose conditions hold.
struct First<'i, 'h, B> {
    routes: &'i [(Conditions, Arc<Route<B>>)],
    head: &'h Head<'h>,
    found: Option<usize>,
}

impl<B> First<'_, '_, B> {
    /// Whether a route of this index would come before the one that was found.
    fn may_be(&self, index: usize) -> bool {
        self.found.is_none_or(|found| index < found)
    }

    /// Looks at routes whose path fits.
    fn among(&mut self, indices: &[usize]) {
        for index in indices {
            if !self.may_be(*index) {
                return;
            }
            let route = self.routes.get(*index);
            if route.is_some_and(|(conditions, _)| conditions.hold(self.head)) {
                self.found = Some(*index);
                return;
            }
        }
    }
}

/// What stands between and behind the slashes; nothing of the empty path.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/')
        .into_iter()
        .flat_map(|rest| rest.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head_of;
    use crate::route::compile::Surroundings;
    use portolan_discovery::table::{self, FieldMatch, RouteMatch, ValueMatch};
    use proptest::prelude::*;
    use proptest::sample::select;
    use std::collections::BTreeMap;

    fn index(matches: &[RouteMatch]) -> RouteIndex<()> {
        let mut index = RouteIndex::default();
        let nowhere = Surroundings {
            backend: &|_| None,
            workers: 1,
            seed: 0,
        };
        for (number, matched) in matches.iter().enumerate() {
            let reason = number.to_string();
            let action = table::Action::Unavailable { reason };
            let route = table::Route::new(matched.clone(), action);
            let route = Route::compile(&route, &nowhere).unwrap();
            let conditions = Conditions::compile(matched).unwrap();
            index.push(&matched.path, conditions, route).unwrap();
        }
        index.finish();
        index
    }

    /// Which of the routes is taken, by its number.
    fn taken(index: &RouteIndex<()>, head: &Head<'_>) -> Option<usize> {
        index.find(head).map(|route| {
            let mut routes = index.routes.iter();
            routes.position(|(_, it)| Arc::ptr_eq(it, route)).unwrap()
        })
    }

    /// The rule, as plainly as it can be said.
    fn takes(matched: &RouteMatch, head: &Head<'_>) -> bool {
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
        path && Conditions::compile(matched).unwrap().hold(head)
    }

    fn path() -> impl Strategy<Value = String> {
        let segment = select(&["", "a", "a", "a", "ab"]);
        prop::collection::vec(segment, 1..4)
            .prop_map(|it| it.iter().map(|it| format!("/{it}")).collect())
    }

    fn matched() -> impl Strategy<Value = RouteMatch> {
        let expression = select(&["/a.*", "/(a|b)/?", "/[^/]*", ".*", "/a/a|/ab"]);
        let path = prop_oneof![
            3 => path().prop_map(PathMatch::Exact),
            2 => path().prop_map(PathMatch::Prefix),
            1 => expression.prop_map(|it| PathMatch::Regex(it.to_owned())),
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
        fn the_index_takes_what_the_first_match_takes(
            matches in prop::collection::vec(matched(), 0..12),
            request in request(),
        ) {
            let compiled = index(&matches);
            head_of(&request, |head| {
                let expected = matches.iter().position(|it| takes(it, head));
                prop_assert_eq!(taken(&compiled, head), expected);
                Ok(())
            })?;
        }
    }

    /// A generator that never makes the interesting case proves nothing.
    #[test]
    fn generated_routes_and_requests_meet() {
        use proptest::strategy::ValueTree;
        use proptest::test_runner::TestRunner;
        let mut runner = TestRunner::deterministic();
        let strategy = (prop::collection::vec(matched(), 0..12), request());
        let (mut counts, rounds) = (BTreeMap::<&str, u32>::new(), 2000);
        for _ in 0..rounds {
            let (matches, request) = strategy.new_tree(&mut runner).unwrap().current();
            head_of(&request, |head| {
                let mut fitting = matches.iter().filter(|it| takes(it, head));
                let first = match fitting.next().map(|it| &it.path) {
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
        assert!(counts.values().all(|it| it * 20 > rounds), "{counts:?}");
    }
}
