//! Changes to header fields, compiled into names to remove and fields to write.

use crate::authority::Authority;
use crate::field::same_name;
use crate::headers::FieldSink;
use crate::route::compile::RouteError;
use portolan_discovery::field;
use portolan_discovery::table::HeaderEdits;

/// Changes to the fields of a request or a response.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    drop: Box<[Box<str>]>,
    put: Box<[(Box<str>, Box<str>)]>,
}

/// Changes to the fields of a request, including the host that is sent to the endpoint.
#[derive(Debug, Default)]
pub(crate) struct RequestEdits {
    pub(crate) fields: Edits,
    pub(crate) host: Option<Box<str>>,
}

impl RequestEdits {
    pub(crate) fn compile(edits: &HeaderEdits) -> Result<Self, RouteError> {
        let mut fields = edits.clone();
        let is_host = |(name, _): &(String, String)| name == "host";
        fields.set.retain(|field| !is_host(field));
        let host = edits.set.iter().rfind(|field| is_host(field));
        let host = host.map(|(_, host)| {
            let authority = Authority::parse(host.as_bytes()).map_err(RouteError::Hostname)?;
            Ok::<_, RouteError>(authority.to_string().into())
        });
        Ok(Self {
            fields: Edits::compile(&fields)?,
            host: host.transpose()?,
        })
    }
}

impl Edits {
    pub(crate) fn compile(edits: &HeaderEdits) -> Result<Self, RouteError> {
        let valued = edits.set.iter().chain(&edits.add);
        let names = valued.clone().map(|(name, _)| name).chain(&edits.remove);
        for name in names {
            field::name(name).map_err(|source| RouteError::Field(name.clone(), source))?;
        }
        for (name, value) in valued {
            field::value(value).map_err(|source| RouteError::Field(name.clone(), source))?;
        }
        let set = edits.set.iter().enumerate().filter(|(index, (name, _))| {
            // The last one replaces earlier ones.
            !edits
                .set
                .iter()
                .skip(index + 1)
                .any(|(later, _)| later == name)
        });
        let put = set.map(|(_, field)| field).chain(&edits.add);
        let drop = edits
            .remove
            .iter()
            .chain(edits.set.iter().map(|(name, _)| name));
        Ok(Self {
            drop: drop.map(|name| name.as_str().into()).collect(),
            put: put
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
        })
    }

    /// Returns true if nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.drop.is_empty() && self.put.is_empty()
    }

    /// Returns true if a received field of this name is removed; `_` counts as `-`, so that no client
    /// smuggles in a field that a server takes for the one set here.
    pub(crate) fn drops(&self, name: &str) -> bool {
        self.drop.iter().any(|dropped| same_name(name, dropped))
    }

    pub(crate) fn put(&self, out: &mut impl FieldSink) {
        for (name, value) in &self.put {
            out.field(name, &[value.as_bytes()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edits(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderEdits {
        let fields = |of: &[(&str, &str)]| {
            let of = of.iter();
            of.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        HeaderEdits {
            set: fields(set),
            add: fields(add),
            remove: remove.iter().map(ToString::to_string).collect(),
        }
    }

    fn put(edits: &Edits) -> String {
        let mut out = Vec::new();
        edits.put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn set_replaces_and_add_appends() {
        let edits = edits(&[("x-a", "1"), ("x-a", "2")], &[("x-b", "3")], &["x-c"]);
        let edits = Edits::compile(&edits).unwrap();
        assert_eq!(put(&edits), "x-a: 2\r\nx-b: 3\r\n");
        assert!(edits.drops("X-A") && edits.drops("x_a") && edits.drops("x-c"));
        assert!(!edits.drops("x-b") && !edits.drops("x-aa") && !edits.is_empty());
        assert!(Edits::default().is_empty());
    }

    #[test]
    fn rejects_changes_to_framing_and_identity() {
        for name in [
            "content-length",
            "transfer-encoding",
            "connection",
            "x-forwarded-for",
        ] {
            for edits in [
                edits(&[(name, "1")], &[], &[]),
                edits(&[], &[(name, "1")], &[]),
                edits(&[], &[], &[name]),
            ] {
                assert!(
                    matches!(Edits::compile(&edits), Err(RouteError::Field(..))),
                    "{name}"
                );
            }
        }
        let split = edits(&[("x-a", "1\r\nx-b: 2")], &[], &[]);
        assert!(matches!(Edits::compile(&split), Err(RouteError::Field(..))));
    }

    #[test]
    fn may_change_the_host_of_a_request() {
        let compiled =
            RequestEdits::compile(&edits(&[("host", "Inner.Test:81")], &[], &[])).unwrap();
        assert_eq!(compiled.host.as_deref(), Some("inner.test:81"));
        assert!(compiled.fields.is_empty());
        for rejected in [
            edits(&[("host", "a b")], &[], &[]),
            edits(&[], &[("host", "a")], &[]),
            edits(&[], &[], &["host"]),
        ] {
            assert!(RequestEdits::compile(&rejected).is_err());
        }
        assert!(Edits::compile(&edits(&[("host", "a")], &[], &[])).is_err());
    }
}
