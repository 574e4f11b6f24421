//! Modifications of a lawful request: each has a name, what it needs, and what it does. Some are still
//! lawful, most are not; `known_differences.yaml` decides which reader is right about them.

mod chunks;
mod fields;
mod hops;
mod lengths;
mod lines;
mod targets;

use crate::grammar::{Base, Draft, pick};
use fastrand::Rng;
use std::fmt;

/// Part of a request that is modified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Content-Length.
    Length,
    /// Transfer-Encoding.
    Coding,
    /// Chunk sizes, data and extensions.
    Chunk,
    /// The trailer section.
    Trailer,
    /// Field lines.
    Field,
    /// Line ends.
    LineEnd,
    /// Host.
    Host,
    /// The target.
    Target,
    /// Method and version.
    RequestLine,
    /// Connection, Upgrade, Expect.
    Hop,
    /// The rest is missing.
    Cut,
}

/// Every class, for the distribution.
pub const CLASSES: [Class; 11] = [
    Class::Length,
    Class::Coding,
    Class::Chunk,
    Class::Trailer,
    Class::Field,
    Class::LineEnd,
    Class::Host,
    Class::Target,
    Class::RequestLine,
    Class::Hop,
    Class::Cut,
];

/// One modification of a request.
pub struct Oddity {
    /// As `known_differences.yaml` calls it.
    pub name: &'static str,
    /// Part that it modifies.
    pub class: Class,
    /// Parts that it requires.
    pub base: Base,
    /// Does it.
    pub bend: fn(&mut Draft, &mut Rng),
}

impl fmt::Debug for Oddity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Oddity {
    const fn new(
        name: &'static str,
        class: Class,
        base: Base,
        bend: fn(&mut Draft, &mut Rng),
    ) -> Self {
        Self {
            name,
            class,
            base,
            bend,
        }
    }
}

/// Every oddity of a class.
pub fn of(class: Class) -> &'static [Oddity] {
    match class {
        Class::Length => lengths::LENGTHS,
        Class::Coding => lengths::CODINGS,
        Class::Chunk => chunks::CHUNKS,
        Class::Trailer => chunks::TRAILERS,
        Class::Field => fields::FIELDS,
        Class::LineEnd => lines::LINE_ENDS,
        Class::Host => fields::HOSTS,
        Class::Target => targets::TARGETS,
        Class::RequestLine => lines::REQUEST_LINES,
        Class::Hop => hops::HOPS,
        Class::Cut => lines::CUTS,
    }
}

/// Every oddity.
pub fn all() -> impl Iterator<Item = &'static Oddity> {
    CLASSES.into_iter().flat_map(of)
}

/// None for a fifth of the cases, two for a tenth, one for the others.
pub fn draw(rng: &mut Rng) -> Vec<&'static Oddity> {
    let first = |rng: &mut Rng| {
        let class = *pick(rng, &CLASSES);
        pick(rng, of(class))
    };
    match rng.u8(0..10) {
        0 | 1 => Vec::new(),
        2 => {
            let one = first(rng);
            let other = first(rng);
            // Two of them bend one another, and what comes of it is neither.
            let of_the_line = [Class::Host, Class::Target, Class::RequestLine];
            let apart = !of_the_line.contains(&one.class) || !of_the_line.contains(&other.class);
            let fits = apart && (other.base == Base::Any || other.base == one.base);
            if fits && one.name != other.name {
                vec![one, other]
            } else {
                vec![one]
            }
        }
        _ => vec![first(rng)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::lawful;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<_> = all().map(|oddity| oddity.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.len() > 100);
    }

    /// One that changes nothing would count as tested.
    #[test]
    fn each_changes_the_bytes() {
        for oddity in all() {
            let changes = (0..50).any(|seed| {
                let mut rng = Rng::with_seed(seed);
                let mut draft = lawful(&mut rng, 1, oddity.base);
                let before = draft.bytes();
                (oddity.bend)(&mut draft, &mut rng);
                draft.bytes() != before
            });
            assert!(changes, "{oddity:?}");
        }
    }
}
