//! Cross-origin resource sharing (Fetch standard, "HTTP CORS protocol"): which other origins'
//! scripts a browser lets read the responses of a route.
//!
//! The proxy answers preflights by itself, and whatever an endpoint says about the matter is
//! replaced: two answers are worse than one.

use crate::authority::Authority;
use crate::edit::FieldSink;
use crate::field::elements;
use crate::head::Head;
use crate::route::compile::Fault;
use portolan_discovery::field::{FieldError, is_token};
use portolan_discovery::table::{self, AllowedOrigins};

/// A route's rules, compiled.
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
    /// One label between the two: `https://` and `.example.com`.
    Below {
        before: Box<str>,
        after: Box<str>,
    },
}

/// What a browser asks before it sends a request that no form could have sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Preflight<'a> {
    /// Of the request that is to come.
    pub(crate) method: &'a str,
    headers: Option<&'a [u8]>,
}

impl<'a> Preflight<'a> {
    /// Fetch standard, "CORS-preflight request".
    pub(crate) fn of(head: &Head<'a>) -> Option<Self> {
        if head.method != "OPTIONS" {
            return None;
        }
        head.single("origin")?;
        let method = head.single("access-control-request-method")?;
        let method = std::str::from_utf8(method).ok().filter(|it| is_token(it))?;
        Some(Self {
            method,
            headers: head.single("access-control-request-headers"),
        })
    }
}

impl Cors {
    pub(crate) fn compile(cors: &table::Cors) -> Result<Self, Fault> {
        let names = cors.allow_headers.iter().chain(&cors.expose_headers);
        for name in names {
            if !is_token(name) {
                return Err(Fault::Field(name.clone(), FieldError::Name));
            }
        }
        if let Some(method) = cors.allow_methods.iter().find(|it| !is_token(it)) {
            return Err(Fault::Method(method.clone()));
        }
        let origins = match &cors.allow_origins {
            AllowedOrigins::Any => Origins::Any,
            AllowedOrigins::These(these) => {
                let parsed = these.iter().map(|it| Origin::parse(it));
                Origins::These(parsed.collect::<Result<_, _>>()?)
            }
        };
        let joined = |list: &[String]| Some(list.join(", ")).filter(|it| !it.is_empty());
        let max_age = cors.max_age.map(|it| it.as_secs().to_string());
        Ok(Self {
            // Never to everybody: whoever allows all of them means public data.
            credentials: cors.allow_credentials && !matches!(origins, Origins::Any),
            origins,
            methods: joined(&cors.allow_methods),
            headers: joined(&cors.allow_headers),
            exposed: joined(&cors.expose_headers),
            max_age,
        })
    }

    /// The origin to name in the response, when the request comes from one that is allowed by name.
    pub(crate) fn named(&self, head: &Head<'_>) -> Option<Box<str>> {
        let Origins::These(these) = &self.origins else {
            return None;
        };
        let origin = std::str::from_utf8(head.single("origin")?).ok()?;
        let allowed = these.iter().any(|it| it.takes(origin));
        allowed.then(|| origin.into())
    }

    /// Whether this field of an endpoint's response is replaced.
    pub(crate) fn drops(&self, name: &str) -> bool {
        const PREFIX: &str = "access-control-";
        name.get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
    }

    /// What every response says; `named` as [`Self::named`] gave it for the request.
    pub(crate) fn put(&self, named: Option<&str>, out: &mut impl FieldSink) {
        let origin = match (&self.origins, named) {
            (Origins::Any, _) => "*",
            (Origins::These(_), named) => {
                // Also for requests without an origin: a cache must not hand theirs to one with.
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

    /// What the answer to a preflight says beside that.
    pub(crate) fn answer(
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
            .or_else(|| asked_for(preflight.headers?));
        fields.extend(headers.map(|it| ("Access-Control-Allow-Headers", it)));
        let max_age = self.max_age.clone();
        fields.extend(max_age.map(|it| ("Access-Control-Max-Age", it)));
        fields
    }
}

impl Origin {
    /// `https://app.example.com`, perhaps with a port, perhaps with `*.` before the domain.
    fn parse(text: &str) -> Result<Self, Fault> {
        let refused = || Fault::Origin(text.to_owned());
        let (scheme, host) = text.split_once("://").ok_or_else(refused)?;
        let wildcard = host.strip_prefix("*.");
        let authority = wildcard.unwrap_or(host);
        let parsed = Authority::parse(authority.as_bytes());
        let canonical = parsed.is_ok_and(|it| it.to_string() == authority);
        // RFC 3986 3.1; an extension of a browser has a scheme of its own.
        let belongs = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.');
        let known = !scheme.is_empty() && scheme.bytes().all(belongs);
        if !canonical || !known {
            return Err(refused());
        }
        Ok(match wildcard {
            None => Self::Exact(text.into()),
            Some(domain) => Self::Below {
                before: format!("{scheme}://").into(),
                after: format!(".{domain}").into(),
            },
        })
    }

    /// Byte by byte: browsers write origins in one form.
    fn takes(&self, origin: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *origin,
            Self::Below { before, after } => origin
                .strip_prefix(&**before)
                .and_then(|it| it.strip_suffix(&**after))
                .is_some_and(is_label),
        }
    }
}

fn is_label(text: &str) -> bool {
    let belongs = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    !text.is_empty() && text.bytes().all(belongs)
}

/// The names that a browser asked for, read and written anew.
fn asked_for(value: &[u8]) -> Option<String> {
    let names = elements(value).map(|it| std::str::from_utf8(it).ok().filter(|it| is_token(it)));
    let names: Vec<&str> = names.collect::<Option<_>>()?;
    Some(names.join(", ")).filter(|it| !it.is_empty())
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

    /// What a response says to a request from this origin.
    fn response(cors: &table::Cors, origin: Option<&str>) -> String {
        let cors = Cors::compile(cors).unwrap();
        let origin = origin.map_or(String::new(), |it| format!("Origin: {it}\r\n"));
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{origin}\r\n");
        let mut out = Vec::new();
        head_of(&text, |head| {
            cors.put(cors.named(head).as_deref(), &mut out)
        });
        String::from_utf8(out).unwrap()
    }

    /// What the answer to a preflight says beside that.
    fn preflight(cors: &table::Cors, fields: &str) -> Option<String> {
        let cors = Cors::compile(cors).unwrap();
        let text = format!("OPTIONS / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        head_of(&text, |head| {
            let preflight = Preflight::of(head)?;
            let fields = cors.answer(&preflight, cors.named(head).as_deref());
            let lines = fields.into_iter().skip(1);
            Some(
                lines
                    .map(|(name, value)| format!("{name}: {value}\n"))
                    .collect(),
            )
        })
    }

    #[test]
    fn an_origin_is_allowed_by_name_or_below_a_domain() {
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
    fn everybody_is_allowed_without_credentials() {
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
    fn a_preflight_is_told_what_is_allowed() {
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
    fn what_asks_nothing_is_no_preflight() {
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
    fn what_no_browser_sends_is_no_origin() {
        for origin in [
            "app.test",
            "https://",
            "https://App.test",
            "https://a/",
            "*",
            "https://*",
            "null",
        ] {
            let refused = Cors::compile(&rules(these(&[origin])));
            assert!(matches!(refused, Err(Fault::Origin(_))), "{origin}");
        }
        let method = table::Cors {
            allow_methods: vec!["a b".into()],
            ..rules(AllowedOrigins::Any)
        };
        assert!(matches!(Cors::compile(&method), Err(Fault::Method(_))));
    }
}
