//! Finds the virtual host of a name.

use crate::authority::HostPattern;
use foldhash::fast::RandomState;
use std::collections::HashMap;

/// Map from host patterns to values: an exact name precedes a wildcard, and a wildcard matches exactly
/// one label.
///
/// At most two look-ups for any number of hosts.
#[derive(Clone, Debug)]
pub struct HostMap<T> {
    exact: HashMap<Box<str>, T, RandomState>,
    wildcard: HashMap<Box<str>, T, RandomState>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::default(),
            wildcard: HashMap::default(),
        }
    }
}

impl<T> HostMap<T> {
    /// Returns the value for a canonical host.
    pub fn get(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| {
            let (_, parent) = host.split_once('.')?;
            self.wildcard.get(parent)
        })
    }

    /// Sets the value of a pattern and returns the previous one.
    pub fn insert(&mut self, pattern: HostPattern, value: T) -> Option<T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.insert(name, value),
            HostPattern::Wildcard(parent) => self.wildcard.insert(parent, value),
        }
    }

    /// Removes a pattern.
    pub fn remove(&mut self, pattern: &HostPattern) -> Option<T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.remove(name),
            HostPattern::Wildcard(parent) => self.wildcard.remove(parent),
        }
    }

    /// Returns the number of patterns.
    pub fn len(&self) -> usize {
        self.exact.len() + self.wildcard.len()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(patterns: &[&str]) -> HostMap<String> {
        let mut map = HostMap::default();
        for pattern in patterns {
            map.insert(HostPattern::parse(pattern).unwrap(), (*pattern).to_owned());
        }
        map
    }

    #[test]
    fn exact_names_precede_wildcards() {
        let map = map(&["*.example.com", "shop.example.com"]);
        assert_eq!(map.get("shop.example.com").unwrap(), "shop.example.com");
        assert_eq!(map.get("blog.example.com").unwrap(), "*.example.com");
    }

    #[test]
    fn a_wildcard_matches_exactly_one_label() {
        let map = map(&["*.example.com"]);
        assert_eq!(map.get("example.com"), None);
        assert_eq!(map.get("a.b.example.com"), None);
        assert!(map.get("b.example.com").is_some());
    }

    #[test]
    fn a_narrower_wildcard_does_not_hide_a_wider_one() {
        let mut map = map(&["*.example.com", "*.b.example.com"]);
        assert_eq!(map.get("a.b.example.com").unwrap(), "*.b.example.com");
        assert_eq!(map.get("b.example.com").unwrap(), "*.example.com");
        map.remove(&HostPattern::parse("*.b.example.com").unwrap());
        assert_eq!((map.get("a.b.example.com"), map.len()), (None, 1));
    }
}
