//! Cross-origin resource sharing (Fetch standard, "HTTP CORS protocol"): the origins whose
//! scripts may read the responses of a route.
//!
//! The proxy responds to preflights itself and replaces the CORS fields of endpoints, so that a
//! browser never gets contradicting ones.

use crate::authority::Authority;
use crate::field::elements;
use crate::head::Head;
use crate::headers::FieldSink;
use crate::route::compile::RouteError;
use portolan_discovery::field::{FieldError, is_token};
use portolan_discovery::table::{self, AllowedOrigins};

/// Compiled CORS rules of a route.
#[derive(Debug)]
pub(crate) struct Cors {
    origins: Origins,
    credentials: bool,
    methods: Option<String>,
    headers: Option<String>,
    exposed: Option<String>,
    max_age: Option<String>,
}

#[derive(Debug)]
enum Origins {
    Any,
    These(Box<[Origin]>),
}

#[derive(Debug, PartialEq, Eq)]
enum Origin {
    Exact(Box<str>),
    /// One label between `https://` and `.example.com`.
    Below {
        before: Box<str>,
        after: Box<str>,
    },
}

/// Preflight request: sent by a browser before a request that no form could have sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preflight<'a> {
    /// Method of the announced request.
    pub(crate) method: &'a str,
    headers: Option<&'a [u8]>,
}

impl<'a> Preflight<'a> {
    /// Parses a preflight (Fetch standard, "CORS-preflight request").
    pub(crate) fn of(head: &Head<'a>) -> Option<Self> {
        if head.method != "OPTIONS" {
            return None;
        }
        head.single("origin")?;
        let method = head.single("access-control-request-method")?;
        let method = std::str::from_utf8(method)
            .ok()
            .filter(|method| is_token(method))?;
        Some(Self {
            method,
            headers: head.single("access-control-request-headers"),
        })
    }
}

impl Cors {
    pub(crate) fn compile(cors: &table::Cors) -> Result<Self, RouteError> {
        let names = cors.allow_headers.iter().chain(&cors.expose_headers);
        for name in names {
            if !is_token(name) {
                return Err(RouteError::Field(name.clone(), FieldError::Name));
            }
        }
        if let Some(method) = cors.allow_methods.iter().find(|method| !is_token(method)) {
            return Err(RouteError::Method(method.clone()));
        }
        let origins = match &cors.allow_origins {
            AllowedOrigins::Any => Origins::Any,
            AllowedOrigins::These(these) => {
                let parsed = these.iter().map(|origin| Origin::parse(origin));
                Origins::These(parsed.collect::<Result<_, _>>()?)
            }
        };
        let joined = |list: &[String]| Some(list.join(", ")).filter(|list| !list.is_empty());
        let max_age = cors.max_age.map(|age| age.as_secs().to_string());
        Ok(Self {
            // Never with every origin, which is meant for public data.
            credentials: cors.allow_credentials && !matches!(origins, Origins::Any),
            origins,
            methods: joined(&cors.allow_methods),
            headers: joined(&cors.allow_headers),
            exposed: joined(&cors.expose_headers),
            max_age,
        })
    }

    /// Returns the origin to name in the response, if that of the request is allowed by name.
    pub(crate) fn named(&self, head: &Head<'_>) -> Option<Box<str>> {
        let Origins::These(these) = &self.origins else {
            return None;
        };
        let origin = std::str::from_utf8(head.single("origin")?).ok()?;
        let allowed = these.iter().any(|allowed| allowed.matches(origin));
        allowed.then(|| origin.into())
    }

    /// Returns true if this field of an endpoint's response is replaced.
    pub(crate) fn drops(&self, name: &str) -> bool {
        const PREFIX: &str = "access-control-";
        name.get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// Writes the fields of every response; `named` is the result of [`Self::named`] for the request.
    pub(crate) fn put(&self, named: Option<&str>, out: &mut impl FieldSink) {
        let origin = match (&self.origins, named) {
            (Origins::Any, _) => "*",
            (Origins::These(_), named) => {
                // Also for requests without an origin: a cache must not reuse their response for one with.
                out.field("Vary", &[b"Origin"]);
                let Some(named) = named else { return };
                named
            }
        };
        out.field("Access-Control-Allow-Origin", &[origin.as_bytes()]);
        if self.credentials {
            out.field("Access-Control-Allow-Credentials", &[b"true"]);
        }
        if let Some(exposed) = &self.exposed {
            out.field("Access-Control-Expose-Headers", &[exposed.as_bytes()]);
        }
    }

    /// Returns the further fields of the response to a preflight.
    pub(crate) fn preflight_fields(
        &self,
        preflight: &Preflight<'_>,
        named: Option<&str>,
    ) -> Vec<(&'static str, String)> {
        let mut fields = vec![(
            "Vary",
            "Access-Control-Request-Method, Access-Control-Request-Headers".to_owned(),
        )];
        if named.is_none() && !matches!(self.origins, Origins::Any) {
            return fields;
        }
        let methods = self.methods.clone();
        let methods = methods.unwrap_or_else(|| preflight.method.to_owned());
        fields.push(("Access-Control-Allow-Methods", methods));
        let headers = self
            .headers
            .clone()
            .or_else(|| requested_headers(preflight.headers?));
        fields.extend(headers.map(|names| ("Access-Control-Allow-Headers", names)));
        let max_age = self.max_age.clone();
        fields.extend(max_age.map(|seconds| ("Access-Control-Max-Age", seconds)));
        fields
    }
}

impl Origin {
    /// Parses `https://app.example.com`, with an optional port and an optional `*.` before the domain.
    fn parse(text: &str) -> Result<Self, RouteError> {
        let invalid = || RouteError::Origin(text.to_owned());
        let (scheme, host) = text.split_once("://").ok_or_else(invalid)?;
        let wildcard = host.strip_prefix("*.");
        let authority = wildcard.unwrap_or(host);
        let parsed = Authority::parse(authority.as_bytes());
        let canonical = parsed.is_ok_and(|parsed| parsed.to_string() == authority);
        // RFC 3986 3.1; an extension of a browser has a scheme of its own.
        let belongs = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.');
        let known = !scheme.is_empty() && scheme.bytes().all(belongs);
        if !canonical || !known {
            return Err(invalid());
        }
        Ok(match wildcard {
            None => Self::Exact(text.into()),
            Some(domain) => Self::Below {
                before: format!("{scheme}://").into(),
                after: format!(".{domain}").into(),
            },
        })
    }

    /// Compares byte by byte: browsers write origins in one form.
    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *origin,
            Self::Below { before, after } => origin
                .strip_prefix(&**before)
                .and_then(|rest| rest.strip_suffix(&**after))
                .is_some_and(is_label),
        }
    }
}

fn is_label(text: &str) -> bool {
    let belongs = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(belongs)
}

/// Parses and rewrites the field names that a browser requests.
fn requested_headers(value: &[u8]) -> Option<String> {
    let names = elements(value)
        .map(|name| std::str::from_utf8(name).ok())
        .map(|name| name.filter(|name| is_token(name)));
    let names: Vec<&str> = names.collect::<Option<_>>()?;
    Some(names.join(", ")).filter(|names| !names.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head_of;
    use std::time::Duration;

    fn rules(origins: AllowedOrigins) -> table::Cors {
        table::Cors {
            allow_origins: origins,
            allow_methods: Vec::new(),
            allow_headers: Vec::new(),
            expose_headers: Vec::new(),
            allow_credentials: false,
            max_age: None,
        }
    }

    fn these(origins: &[&str]) -> AllowedOrigins {
        AllowedOrigins::These(origins.iter().map(ToString::to_string).collect())
    }

    /// Fields of the response to a request from this origin.
    fn response(cors: &table::Cors, origin: Option<&str>) -> String {
        let cors = Cors::compile(cors).unwrap();
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{origin}\r\n");
        let mut out = Vec::new();
        head_of(&text, |head| {
            cors.put(cors.named(head).as_deref(), &mut out)
        });
        String::from_utf8(out).unwrap()
    }

    /// Further fields of the response to a preflight.
    fn preflight(cors: &table::Cors, fields: &str) -> Option<String> {
        let cors = Cors::compile(cors).unwrap();
        let text = format!("OPTIONS / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head_of(&text, |head| {
            let preflight = Preflight::of(head)?;
            let fields = cors.preflight_fields(&preflight, cors.named(head).as_deref());
            let lines = fields.into_iter().skip(1);
            Some(
                lines
                    .map(|(name, value)| format!("{name}: {value}\n"))
                    .collect(),
            )
        })
    }

    #[test]
    fn allows_origins_by_name_or_below_a_domain() {
        let cors = rules(these(&["https://app.test", "http://*.dev.test:8080"]));
        for allowed in ["https://app.test", "http://a.dev.test:8080"] {
            let expected = format!("Vary: Origin\r\nAccess-Control-Allow-Origin: {allowed}\r\n");
            assert_eq!(response(&cors, Some(allowed)), expected);
        }
        for other in [
            None,
            Some("http://app.test"),
            Some("https://app.test:8443"),
            Some("https://app.test.evil"),
            Some("https://evilapp.test"),
            Some("http://dev.test:8080"),
            Some("http://a.b.dev.test:8080"),
            Some("http://evil/.dev.test:8080"),
            Some("http://.dev.test:8080"),
            Some("null"),
        ] {
            assert_eq!(response(&cors, other), "Vary: Origin\r\n", "{other:?}");
        }
    }

    #[test]
    fn allows_every_origin_without_credentials() {
        let cors = table::Cors {
            allow_credentials: true,
            expose_headers: vec!["x-a".into(), "x-b".into()],
            ..rules(AllowedOrigins::Any)
        };
        let expected =
            "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: x-a, x-b\r\n";
        assert_eq!(response(&cors, Some("https://any.test")), expected);
        assert_eq!(response(&cors, None), expected);
        let named = table::Cors {
            allow_origins: these(&["https://app.test"]),
            ..cors
        };
        let response = response(&named, Some("https://app.test"));
        assert!(
            response.contains("Access-Control-Allow-Credentials: true\r\n"),
            "{response}"
        );
    }

    #[test]
    fn a_preflight_gets_what_is_allowed() {
        let asks = "Origin: https://app.test\r\nAccess-Control-Request-Method: PUT\r\n";
        let open = rules(these(&["https://app.test"]));
        assert_eq!(
            preflight(&open, asks).unwrap(),
            "Access-Control-Allow-Methods: PUT\n"
        );
        let with_headers = format!("{asks}Access-Control-Request-Headers: x-a,x-b\r\n");
        assert_eq!(
            preflight(&open, &with_headers).unwrap(),
            "Access-Control-Allow-Methods: PUT\nAccess-Control-Allow-Headers: x-a, x-b\n"
        );
        let closed = table::Cors {
            allow_methods: vec!["PATCH".into(), "DELETE".into()],
            allow_headers: vec!["x-c".into()],
            max_age: Some(Duration::from_secs(600)),
            ..open.clone()
        };
        assert_eq!(
            preflight(&closed, &with_headers).unwrap(),
            "Access-Control-Allow-Methods: PATCH, DELETE\nAccess-Control-Allow-Headers: x-c\n\
             Access-Control-Max-Age: 600\n"
        );
        let stranger = asks.replace("app.test", "evil.test");
        assert_eq!(preflight(&closed, &stranger).unwrap(), "");
    }

    #[test]
    fn ignores_incomplete_preflights() {
        let open = rules(AllowedOrigins::Any);
        for fields in [
            "",
            "Origin: https://a\r\n",
            "Access-Control-Request-Method: PUT\r\n",
            "Origin: https://a\r\nAccess-Control-Request-Method: a b\r\n",
            "Origin: https://a\r\nOrigin: https://b\r\nAccess-Control-Request-Method: PUT\r\n",
        ] {
            assert_eq!(preflight(&open, fields), None, "{fields}");
        }
        let strange = "Origin: https://a\r\nAccess-Control-Request-Method: PUT\r\n\
            Access-Control-Request-Headers: a b\r\n";
        assert_eq!(
            preflight(&open, strange).unwrap(),
            "Access-Control-Allow-Methods: PUT\n"
        );
    }

    #[test]
    fn rejects_invalid_origins_and_methods() {
        for origin in [
            "app.test",
            "https://",
            "https://App.test",
            "https://a/",
            "*",
            "https://*",
            "null",
        ] {
            let rejected = Cors::compile(&rules(these(&[origin])));
            assert!(matches!(rejected, Err(RouteError::Origin(_))), "{origin}");
        }
        let method = table::Cors {
            allow_methods: vec!["a b".into()],
            ..rules(AllowedOrigins::Any)
        };
        assert!(matches!(Cors::compile(&method), Err(RouteError::Method(_))));
    }
}
