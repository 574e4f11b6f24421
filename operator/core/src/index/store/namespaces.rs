//! Namespaces by name and by label: which of them a class means.

use crate::event::{Affected, Change};
use crate::index::Index;
use k8s_openapi::api::core::v1::Namespace;
use portolan_crds::{LabelExpression, LabelOperator, LabelSelector, NamespaceName};
use std::collections::BTreeMap;

type Labels = BTreeMap<String, String>;

/// Every namespace that was seen.
#[derive(Debug, Default)]
pub(crate) struct Namespaces(BTreeMap<String, Facts>);

/// Namespace, as far as it concerns the index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    labels: Labels,
    /// It is being deleted.
    going: bool,
}

/// A namespace as a class looks at it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home<'a> {
    pub(crate) name: &'a str,
    /// `None` until it was seen: what is not known is never taken for what is asked for.
    facts: Option<&'a Facts>,
}

impl Namespaces {
    /// Returns true if anything differs now.
    fn apply(&mut self, change: Change<Namespace>) -> bool {
        let name = change.reference().name;
        match change {
            Change::Deleted(_) => self.0.remove(&name).is_some(),
            Change::Applied(namespace) => {
                let facts = Facts {
                    going: namespace.metadata.deletion_timestamp.is_some(),
                    labels: namespace.metadata.labels.unwrap_or_default(),
                };
                self.0.insert(name, facts.clone()) != Some(facts)
            }
        }
    }

    pub(crate) fn home<'a>(&'a self, name: &'a str) -> Home<'a> {
        Home {
            name,
            facts: self.0.get(name),
        }
    }

    pub(in crate::index) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Home<'_> {
    /// Returns true if it is among those that are meant, by name or by label: where neither is asked for, all are.
    pub(crate) fn is_meant(
        self,
        named: Option<&[NamespaceName]>,
        selector: Option<&LabelSelector>,
    ) -> bool {
        match (named, selector) {
            (None, None) => true,
            (named, selector) => {
                let mut named = named.into_iter().flatten();
                named.any(|name| name.0 == self.name)
                    || selector.is_some_and(|selector| self.is_chosen(selector))
            }
        }
    }

    /// Returns true if its labels are what a selector asks for.
    pub(crate) fn is_chosen(self, selector: &LabelSelector) -> bool {
        self.facts.is_some_and(|Facts { labels, .. }| {
            let mut equal = selector.match_labels.iter();
            let mut expressions = selector.match_expressions.iter();
            equal.all(|(key, value)| labels.get(key) == Some(value))
                && expressions.all(|expression| holds(expression, labels))
        })
    }

    /// Returns true if it is being deleted.
    pub(in crate::index) fn is_going(self) -> bool {
        self.facts.is_some_and(|facts| facts.going)
    }
}

/// An expression that the schema rejects matches nothing.
fn holds(expression: &LabelExpression, labels: &Labels) -> bool {
    let LabelExpression {
        key,
        operator,
        values,
    } = expression;
    let label = labels.get(key);
    let listed = label.is_some_and(|label| values.contains(label));
    match operator {
        LabelOperator::In => listed,
        LabelOperator::NotIn => !values.is_empty() && !listed,
        LabelOperator::Exists => values.is_empty() && label.is_some(),
        LabelOperator::DoesNotExist => values.is_empty() && label.is_none(),
    }
}

impl Index {
    /// Labels decide about the objects of their namespace alone.
    pub(in crate::index) fn apply_namespace(
        &mut self,
        change: Change<Namespace>,
        affected: &mut Affected,
    ) {
        let name = change.reference().name;
        let restricting = self.restricting(&name);
        if !self.namespaces.apply(change) {
            return;
        }
        let now = self.restricting(&name);
        affected
            .classes
            .extend(restricting.symmetric_difference(&now).cloned());
        if restricting.is_empty() != now.is_empty() {
            self.mark_restricted(&name, affected);
        }
        let objects = self
            .objects
            .within(&name)
            .map(|(subject, _)| subject.clone());
        self.relink(objects.collect(), affected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn chosen(labels: Option<Value>, selector: Value) -> bool {
        let facts = labels.map(|labels| Facts {
            labels: serde_json::from_value(labels).unwrap(),
            going: false,
        });
        let home = Home {
            name: "team-a",
            facts: facts.as_ref(),
        };
        home.is_chosen(&serde_json::from_value(selector).unwrap())
    }

    fn expression(operator: &str, values: Value) -> Value {
        json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]})
    }

    #[test]
    fn operators_mean_what_they_mean_everywhere_in_kubernetes() {
        let (none, gold, tin) = (json!({}), json!({"tier": "gold"}), json!({"tier": "tin"}));
        let metals = json!(["gold", "silver"]);
        for (operator, values, of_none, of_gold, of_tin) in [
            ("In", metals.clone(), false, true, false),
            ("NotIn", metals.clone(), true, false, true),
            ("Exists", json!([]), false, true, true),
            ("DoesNotExist", json!([]), true, false, false),
            // The schema refuses these.
            ("In", json!([]), false, false, false),
            ("NotIn", json!([]), false, false, false),
            ("Exists", metals.clone(), false, false, false),
            ("DoesNotExist", metals, false, false, false),
        ] {
            let selector = expression(operator, values);
            for (labels, expected) in [(&none, of_none), (&gold, of_gold), (&tin, of_tin)] {
                let found = chosen(Some(labels.clone()), selector.clone());
                assert_eq!(found, expected, "{selector} of {labels}");
            }
        }
    }

    #[test]
    fn selectors_match_when_every_part_does() {
        let labels = json!({"tier": "gold", "team": "a"});
        let chosen_of = |selector: Value| chosen(Some(labels.clone()), selector);
        assert!(chosen_of(
            json!({"matchLabels": {"tier": "gold", "team": "a"}})
        ));
        assert!(!chosen_of(
            json!({"matchLabels": {"tier": "gold", "team": "b"}})
        ));
        let mut both = expression("In", json!(["gold"]));
        both["matchLabels"] = json!({"team": "b"});
        assert!(!chosen_of(both));
        assert!(chosen_of(json!({})));
        assert!(!chosen(None, json!({})), "it was never seen");
        assert!(!chosen(None, expression("DoesNotExist", json!([]))));
    }

    #[test]
    fn names_or_labels_admit_and_absence_admits_all() {
        let facts = Facts {
            labels: [("tier".to_owned(), "gold".to_owned())].into(),
            going: false,
        };
        let home = Home {
            name: "team-a",
            facts: Some(&facts),
        };
        let (us, them) = (
            [NamespaceName("team-a".into())],
            [NamespaceName("team-b".into())],
        );
        let of = |value: &str| LabelSelector {
            match_labels: [("tier".to_owned(), value.to_owned())].into(),
            ..LabelSelector::default()
        };
        let (gold, tin) = (of("gold"), of("tin"));
        for (named, selector, expected) in [
            (None, None, true),
            (Some(&us[..]), None, true),
            (Some(&them[..]), None, false),
            (Some(&[][..]), None, false),
            (None, Some(&gold), true),
            (None, Some(&tin), false),
            (Some(&us[..]), Some(&tin), true),
            (Some(&them[..]), Some(&gold), true),
            (Some(&them[..]), Some(&tin), false),
        ] {
            let found = home.is_meant(named, selector);
            assert_eq!(found, expected, "{named:?} {selector:?}");
        }
    }
}
