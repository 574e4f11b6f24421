//! Redirects of routes, and of plain HTTP to HTTPS.

use crate::authority::Authority;
use crate::head::Head;
use crate::route::compile::RouteError;
use crate::route::rewrite::{PathParts, Rewrite};
use portolan_discovery::table;

/// Compiled redirect of a route.
#[derive(Debug)]
pub(crate) struct Redirect {
    scheme: Option<Scheme>,
    hostname: Option<Box<str>>,
    port: Option<u16>,
    path: Option<Rewrite>,
    status: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn of(head: &Head<'_>) -> Self {
        if head.client.secure {
            Self::Https
        } else {
            Self::Http
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Redirect {
    pub(crate) fn compile(
        redirect: &table::Redirect,
        matched: &table::PathMatch,
    ) -> Result<Self, RouteError> {
        let scheme = match redirect.scheme.as_deref() {
            None => None,
            Some("http") => Some(Scheme::Http),
            Some("https") => Some(Scheme::Https),
            Some(_) => return Err(RouteError::Scheme),
        };
        if let Some(hostname) = &redirect.hostname {
            let parsed = Authority::parse(hostname.as_bytes()).map_err(RouteError::Hostname)?;
            if parsed.host() != hostname {
                return Err(RouteError::HostnameForm);
            }
        }
        if !matches!(redirect.status, 301 | 302 | 303 | 307 | 308) {
            return Err(RouteError::Status);
        }
        let path = redirect.path.as_ref();
        Ok(Self {
            scheme,
            hostname: redirect.hostname.as_deref().map(Into::into),
            port: redirect.port.filter(|port| *port > 0),
            path: path
                .map(|path| Rewrite::compile(path, matched))
                .transpose()?,
            status: redirect.status,
        })
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// Builds the value of `Location`; clients reach HTTPS at `https_port`.
    pub(crate) fn location(&self, head: &Head<'_>, https_port: u16) -> String {
        let scheme = self.scheme.unwrap_or(Scheme::of(head));
        let hostname = self.hostname.as_deref();
        let moved = hostname.is_some() || scheme != Scheme::of(head);
        let port = match (self.port, scheme) {
            (Some(port), _) => Some(port),
            // The port of the request, as long as scheme and hostname stay the same.
            (None, _) if !moved => head.authority.port(),
            (None, Scheme::Https) if hostname.is_none() => Some(https_port),
            (None, _) => None,
        };
        let path = match &self.path {
            Some(rewrite) => rewrite.apply(head.path),
            None => head.path.into(),
        };
        location(
            scheme,
            hostname.unwrap_or(head.authority.host()),
            port,
            path,
            head.query,
        )
    }
}

/// Builds the same URL on HTTPS.
pub(crate) fn on_https(head: &Head<'_>, https_port: u16) -> String {
    let (host, path) = (head.authority.host(), head.path.into());
    location(Scheme::Https, host, Some(https_port), path, head.query)
}

/// Builds an absolute URL in canonical form: nothing of the client's spelling is reflected, and no
/// path is taken for a host.
fn location(
    scheme: Scheme,
    host: &str,
    port: Option<u16>,
    path: PathParts<'_>,
    query: Option<&str>,
) -> String {
    let mut url = format!("{}://{host}", scheme.as_str());
    if let Some(port) = port.filter(|port| *port != scheme.default_port()) {
        url.push(':');
        url.push_str(itoa::Buffer::new().format(port));
    }
    match path.first {
        "*" => url.push('/'),
        first => url.push_str(first),
    }
    url.push_str(path.rest);
    if let Some(query) = query {
        url.push('?');
        url.push_str(query);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{head_of, secure_head_of};
    use portolan_discovery::table::{PathMatch, PathRewrite};

    fn none() -> table::Redirect {
        table::Redirect {
            scheme: None,
            hostname: None,
            port: None,
            path: None,
            status: 302,
        }
    }

    fn compile(redirect: &table::Redirect) -> Result<Redirect, RouteError> {
        Redirect::compile(redirect, &PathMatch::Prefix("/old".into()))
    }

    /// For `/old/x?q` of `shop.test:8080` on HTTP, HTTPS at 8443.
    fn to(redirect: &table::Redirect) -> String {
        let redirect = compile(redirect).unwrap();
        let text = "GET /old/x?q HTTP/1.1\r\nHost: Shop.Test:8080\r\n\r\n";
        head_of(text, |head| redirect.location(head, 8443))
    }

    #[test]
    fn absent_parts_stay() {
        assert_eq!(to(&none()), "http://shop.test:8080/old/x?q");
        let path = Some(PathRewrite::Prefix("/new".into()));
        let redirect = table::Redirect { path, ..none() };
        assert_eq!(to(&redirect), "http://shop.test:8080/new/x?q");
        let path = Some(PathRewrite::Full("/".into()));
        let redirect = table::Redirect { path, ..none() };
        assert_eq!(to(&redirect), "http://shop.test:8080/?q");
        let secure = "GET /old HTTP/1.1\r\nHost: shop.test\r\n\r\n";
        let redirect = compile(&none()).unwrap();
        let location = secure_head_of(secure, |head| redirect.location(head, 8443));
        assert_eq!(location, "https://shop.test/old");
    }

    #[test]
    fn the_port_follows_the_server() {
        let scheme = Some("https".to_owned());
        let hostname = Some("example.com".to_owned());
        let redirect = table::Redirect {
            scheme: scheme.clone(),
            ..none()
        };
        assert_eq!(to(&redirect), "https://shop.test:8443/old/x?q");
        let redirect = table::Redirect {
            hostname: hostname.clone(),
            ..none()
        };
        assert_eq!(to(&redirect), "http://example.com/old/x?q");
        let redirect = table::Redirect {
            scheme,
            hostname,
            port: Some(444),
            ..none()
        };
        assert_eq!(to(&redirect), "https://example.com:444/old/x?q");
        let port = Some(80);
        let redirect = table::Redirect { port, ..none() };
        assert_eq!(to(&redirect), "http://shop.test/old/x?q");
    }

    #[test]
    fn redirects_to_the_same_url_on_https() {
        let location = |target: &str, port| {
            let text = format!("OPTIONS {target} HTTP/1.1\r\nHost: SHOP.test.:8080\r\n\r\n");
            head_of(&text, |head| on_https(head, port))
        };
        assert_eq!(location("/a/../b?c", 443), "https://shop.test/b?c");
        assert_eq!(
            location("//evil.test", 8443),
            "https://shop.test:8443//evil.test"
        );
        assert_eq!(location("*", 443), "https://shop.test/");
    }

    #[test]
    fn rejects_invalid_redirects() {
        let scheme = Some("ftp".to_owned());
        assert!(matches!(
            compile(&table::Redirect { scheme, ..none() }),
            Err(RouteError::Scheme)
        ));
        for hostname in ["a:80", "A.b", "a/b", "*.a"] {
            let hostname = Some(hostname.to_owned());
            let rejected = compile(&table::Redirect { hostname, ..none() });
            assert!(matches!(
                rejected,
                Err(RouteError::Hostname(_) | RouteError::HostnameForm)
            ));
        }
        for status in [200, 300, 304, 309] {
            let rejected = compile(&table::Redirect { status, ..none() });
            assert!(matches!(rejected, Err(RouteError::Status)));
        }
    }
}
