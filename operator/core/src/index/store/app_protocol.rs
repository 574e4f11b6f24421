//! Protocol of a port of a Service: from its `appProtocol`, else from Contour's annotations.
//!
//! `appProtocol` counts first, as with Contour itself, so that a Service means the same to both. One that
//! is not supported declares nothing: an annotation that asks for TLS is never served unencrypted.

use portolan_discovery::table::UpstreamProtocol;
use std::collections::BTreeMap;

/// Protocol of a port; by default HTTP/1.1 without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppProtocol {
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) tls: bool,
}

impl AppProtocol {
    const HTTP1: Self = Self {
        protocol: UpstreamProtocol::Http1,
        tls: false,
    };
    const HTTP1_TLS: Self = Self {
        protocol: UpstreamProtocol::Http1,
        tls: true,
    };
    const HTTP2: Self = Self {
        protocol: UpstreamProtocol::Http2,
        tls: false,
    };
    const HTTP2_TLS: Self = Self {
        protocol: UpstreamProtocol::Http2,
        tls: true,
    };

    /// Parses `appProtocol`: Kubernetes' own names (KEP-3726), those of IANA, ALPN identifiers
    /// (RFC 9113 3.1), and the words of service meshes. In any case, for some clouds ask for capitals.
    pub(in crate::index) fn of_app_protocol(declared: &str) -> Option<Self> {
        Some(match declared.to_ascii_lowercase().as_str() {
            "http" | "kubernetes.io/ws" => Self::HTTP1,
            "https" | "kubernetes.io/wss" => Self::HTTP1_TLS,
            "kubernetes.io/h2c" | "h2c" | "http2" | "grpc" => Self::HTTP2,
            "h2" | "grpcs" => Self::HTTP2_TLS,
            _ => return None,
        })
    }
}

/// Prefixes of Contour's annotations: today's, and that of its former name.
const PREFIXES: [&str; 2] = [
    "projectcontour.io/upstream-protocol.",
    "contour.heptio.com/upstream-protocol.",
];

/// Suffixes of the annotations. Of a port that stands in several, the first counts, as with Contour.
const SUFFIXES: [(&str, AppProtocol); 3] = [
    ("tls", AppProtocol::HTTP1_TLS),
    ("h2c", AppProtocol::HTTP2),
    ("h2", AppProtocol::HTTP2_TLS),
];

/// Contour's annotations of a Service: names or numbers of ports, with commas between.
pub(in crate::index) struct Annotations<'a>(Vec<Annotation<'a>>);

struct Annotation<'a> {
    key: String,
    ports: &'a str,
    app_protocol: AppProtocol,
}

impl Annotation<'_> {
    fn ports(&self) -> impl Iterator<Item = &str> {
        let all = self.ports.split(',').map(str::trim);
        all.filter(|port| !port.is_empty())
    }
}

impl<'a> Annotations<'a> {
    pub(in crate::index) fn of(all: Option<&'a BTreeMap<String, String>>) -> Self {
        let mut found = Vec::new();
        for prefix in PREFIXES {
            for (suffix, app_protocol) in SUFFIXES {
                let key = format!("{prefix}{suffix}");
                let ports = all.and_then(|all| all.get(&key));
                found.extend(ports.map(|ports| Annotation {
                    key,
                    ports,
                    app_protocol,
                }));
            }
        }
        Self(found)
    }

    /// Protocol of a port, by its name first.
    pub(in crate::index) fn app_protocol(&self, name: &str, number: u16) -> Option<AppProtocol> {
        let lists = |wanted: &str| {
            let mut all = self.0.iter();
            let found = all.find(|annotation| annotation.ports().any(|port| port == wanted));
            found.map(|annotation| annotation.app_protocol)
        };
        let named = (!name.is_empty()).then(|| lists(name)).flatten();
        named.or_else(|| lists(&number.to_string()))
    }

    /// Protocols of ports by number, whether or not the Service lists them.
    pub(in crate::index) fn numbers(&self) -> BTreeMap<u16, AppProtocol> {
        let all = self.0.iter().flat_map(Annotation::ports);
        let numbers = all.filter_map(|port| port.parse().ok());
        numbers
            .filter_map(|number| Some((number, self.app_protocol("", number)?)))
            .collect()
    }

    /// The first entry that names no port, with its annotation.
    pub(in crate::index) fn stray(&self, is_port: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
        let entries = self.0.iter().flat_map(|annotation| {
            annotation
                .ports()
                .map(|port| (annotation.key.as_str(), port))
        });
        entries.into_iter().find(|(_, port)| !is_port(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app_protocol(annotations: &[(&str, &str)], name: &str, number: u16) -> Option<AppProtocol> {
        let all = annotations
            .iter()
            .map(|(key, ports)| (key.to_string(), ports.to_string()))
            .collect();
        Annotations::of(Some(&all)).app_protocol(name, number)
    }

    #[test]
    fn parses_names_of_kubernetes_iana_alpn_and_meshes() {
        for (names, expected) in [
            (
                ["http", "HTTP", "kubernetes.io/ws"].as_slice(),
                AppProtocol::HTTP1,
            ),
            (
                &["https", "HTTPS", "kubernetes.io/wss"],
                AppProtocol::HTTP1_TLS,
            ),
            (
                &["kubernetes.io/h2c", "h2c", "http2", "grpc"],
                AppProtocol::HTTP2,
            ),
            (&["h2", "grpcs"], AppProtocol::HTTP2_TLS),
        ] {
            for name in names {
                assert_eq!(AppProtocol::of_app_protocol(name), Some(expected), "{name}");
            }
        }
        for name in ["", "tcp", "redis", "example.com/h2c", " http"] {
            assert_eq!(AppProtocol::of_app_protocol(name), None, "{name}");
        }
    }

    #[test]
    fn contour_names_ports_by_name_or_number() {
        let key = "projectcontour.io/upstream-protocol.h2c";
        for (ports, expected) in [
            ("80", Some(AppProtocol::HTTP2)),
            (" 443 , web,", Some(AppProtocol::HTTP2)),
            ("8080,we,80x", None),
            ("", None),
        ] {
            assert_eq!(
                app_protocol(&[(key, ports)], "web", 80),
                expected,
                "{ports:?}"
            );
        }
        assert_eq!(
            app_protocol(&[(key, ",")], "", 80),
            None,
            "no name is no port's name"
        );
    }

    #[test]
    fn of_two_annotations_of_a_port_contour_s_choice_counts() {
        let h2 = ("projectcontour.io/upstream-protocol.h2", "80");
        let h2c = ("projectcontour.io/upstream-protocol.h2c", "80");
        let tls = ("projectcontour.io/upstream-protocol.tls", "80");
        let named = ("projectcontour.io/upstream-protocol.h2", "web");
        let former = ("contour.heptio.com/upstream-protocol.tls", "80");
        for (annotations, expected) in [
            ([h2, h2c].as_slice(), AppProtocol::HTTP2),
            (&[h2, h2c, tls], AppProtocol::HTTP1_TLS),
            (&[named, tls], AppProtocol::HTTP2_TLS),
            (&[former], AppProtocol::HTTP1_TLS),
            (&[former, h2], AppProtocol::HTTP2_TLS),
        ] {
            assert_eq!(
                app_protocol(annotations, "web", 80),
                Some(expected),
                "{annotations:?}"
            );
        }
    }
}
