//! Paths of fields as data, and where a field of an exposure stands in the object that it was read from.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Path of a field from the root of its object, such as `spec.routes[0].backends[1].port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldPath(Vec<Segment>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Name(Cow<'static, str>),
    Index(usize),
    Key(String),
}

impl FieldPath {
    pub(crate) fn spec() -> Self {
        Self(vec![Segment::Name("spec".into())])
    }

    pub(crate) fn child(&self, name: &'static str) -> Self {
        self.then(Segment::Name(name.into()))
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    /// An entry of a map.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.to_owned()))
    }

    fn then(&self, segment: Segment) -> Self {
        let mut path = self.0.clone();
        path.push(segment);
        Self(path)
    }

    /// Reads a path as it is displayed; `None` for other text.
    fn parse(text: &str) -> Option<Self> {
        let mut segments = Vec::new();
        for part in text.split('.') {
            let (name, indices) = part.split_once('[').map_or((part, ""), |(name, rest)| {
                (name, rest.strip_suffix(']').unwrap_or("?"))
            });
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
                return None;
            }
            segments.push(Segment::Name(name.to_owned().into()));
            if !indices.is_empty() {
                segments.push(Segment::Index(indices.parse().ok()?));
            }
        }
        Some(Self(segments))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Name(name) if position == 0 => f.write_str(name)?,
                Segment::Name(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

/// Object that an exposure was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Its fields are the fields of the exposure.
    #[default]
    ExposedPort,
    /// One hostname of an Ingress.
    Ingress(Arc<IngressFields>),
}

/// Where the fields of one hostname stand in its Ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IngressFields {
    /// The first rule of the hostname.
    pub(crate) rule: usize,
    /// The entry of `spec.tls` for the hostname, if there is one.
    pub(crate) tls: Option<usize>,
    /// The field that each route was made from, by the index of the route.
    pub(crate) routes: Vec<IngressField>,
}

/// Field of an Ingress that a route was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IngressField {
    Path { rule: usize, path: usize },
    Default,
}

impl IngressField {
    /// The route as a whole.
    pub(crate) fn route(self) -> FieldPath {
        match self {
            Self::Path { rule, path } => http_paths(rule).index(path),
            Self::Default => FieldPath::spec().child("defaultBackend"),
        }
    }

    /// Where its requests go.
    pub(crate) fn backend(self) -> FieldPath {
        match self {
            Self::Path { .. } => self.route().child("backend"),
            Self::Default => self.route(),
        }
    }
}

pub(crate) fn http_paths(rule: usize) -> FieldPath {
    let rule = FieldPath::spec().child("rules").index(rule);
    rule.child("http").child("paths")
}

/// Field of an ExposedPort that names a certificate of its own. No class has a field of this name.
pub(crate) const OWN_SECRET: &str = "spec.tls.secret";

impl Origin {
    /// Returns the field of this object that a field of an ExposedPort was read from.
    pub(crate) fn locate(&self, field: FieldPath) -> FieldPath {
        let Self::Ingress(fields) = self else {
            return field;
        };
        fields.locate(&field).unwrap_or(field)
    }

    /// Rewrites the fields that a message starts its parts with, and the one that a remedy names; fields of other
    /// objects follow later in a sentence and stay.
    pub(crate) fn locate_in(&self, message: &str) -> String {
        let Self::Ingress(fields) = self else {
            return message.to_owned();
        };
        let words = message.split(' ').map(|word| {
            let text = word.trim_end_matches([':', ',', ';', '.']);
            let end = word.get(text.len()..).unwrap_or_default();
            let is_subject =
                end.starts_with(':') || text.starts_with("spec.routes[") || text == OWN_SECRET;
            let path = FieldPath::parse(text).filter(|_| is_subject);
            match path.and_then(|path| fields.locate(&path)) {
                Some(path) => Cow::Owned(format!("{path}{end}")),
                None => Cow::Borrowed(word),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

impl IngressFields {
    fn locate(&self, field: &FieldPath) -> Option<FieldPath> {
        let [Segment::Name(spec), Segment::Name(first), rest @ ..] = &field.0[..] else {
            return None;
        };
        let path = FieldPath::spec();
        match (spec.as_ref(), first.as_ref(), rest) {
            ("spec", "className", []) => Some(path.child("ingressClassName")),
            ("spec", "hostnames", _) => Some(path.child("rules").index(self.rule).child("host")),
            ("spec", "tls", []) => Some(path.child("tls").index(self.tls?)),
            ("spec", "tls", [Segment::Name(name), ..]) if name == "secret" => {
                Some(path.child("tls").index(self.tls?).child("secretName"))
            }
            ("spec", "routes", [Segment::Index(route), rest @ ..]) => {
                let route = self.routes.get(*route)?;
                Some(match rest {
                    [Segment::Name(list), Segment::Index(_), rest @ ..] if list == "backends" => {
                        let backend = route.backend();
                        match rest {
                            [Segment::Name(name), ..] if name == "service" => {
                                backend.child("service").child("name")
                            }
                            [Segment::Name(name), ..] if name == "port" => {
                                backend.child("service").child("port")
                            }
                            _ => backend,
                        }
                    }
                    _ => route.route(),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_displayed_as_kubernetes_does() {
        let spec = FieldPath::spec();
        let port = spec.child("routes").index(0).child("port");
        assert_eq!(port.to_string(), "spec.routes[0].port");
        assert_eq!(FieldPath::parse("spec.routes[0].port"), Some(port));
        let label = spec.child("childLabels").key("a/b");
        assert_eq!(label.to_string(), "spec.childLabels[a/b]");
        for other in ["", "shop.test:80", "spec..a", "spec.a[b]", "a-b"] {
            assert_eq!(FieldPath::parse(other), None, "{other}");
        }
    }

    #[test]
    fn messages_name_the_fields_of_the_ingress() {
        let origin = Origin::Ingress(Arc::new(IngressFields {
            rule: 1,
            tls: Some(2),
            routes: vec![
                IngressField::Path { rule: 1, path: 3 },
                IngressField::Default,
            ],
        }));
        for (message, expected) in [
            ("spec.tls: a", "spec.tls[2]: a"),
            (
                "a.test: spec.tls.secret: b",
                "a.test: spec.tls[2].secretName: b",
            ),
            (
                "a.test: Secret \"b\" not found; create it or correct spec.tls.secret",
                "a.test: Secret \"b\" not found; create it or correct spec.tls[2].secretName",
            ),
            ("spec.className: a", "spec.ingressClassName: a"),
            (
                "spec.hostnames: as spec.hostnames of the class",
                "spec.rules[1].host: as spec.hostnames of the class",
            ),
            (
                "spec.routes[0].backends[0].service: a",
                "spec.rules[1].http.paths[3].backend.service.name: a",
            ),
            (
                "spec.routes[1].backends[0].tls: a",
                "spec.defaultBackend: a",
            ),
            (
                "a.test: spec.routes[0], and 1 more",
                "a.test: spec.rules[1].http.paths[3], and 1 more",
            ),
            ("spec.tls[2]: a", "spec.tls[2]: a"),
        ] {
            assert_eq!(origin.locate_in(message), expected);
            assert_eq!(Origin::ExposedPort.locate_in(message), message);
        }
    }
}
