//! Header fields between the map of the `http` crate and the forms of the core.

use http::{HeaderMap, HeaderName, HeaderValue};
use httparse::Header;
use portolan_proxy_core::headers::FieldSink;
use std::fmt::Write as _;

/// Takes fields as HTTP/2 has them: names in lower case.
#[derive(Debug, Default)]
pub(crate) struct Fields(pub(crate) HeaderMap);

impl FieldSink for Fields {
    fn field(&mut self, name: &str, value: &[&[u8]]) {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = match value {
            [whole] => HeaderValue::from_bytes(whole),
            parts => HeaderValue::from_maybe_shared(parts.concat()),
        };
        // Both were judged when they came, by rules that let no more pass than these.
        if let (Ok(name), Ok(value)) = (name, value) {
            self.0.append(name, value);
        }
    }
}

impl Fields {
    /// How long a body will be.
    pub(crate) fn length(&mut self, length: u64) {
        self.0.insert(http::header::CONTENT_LENGTH, length.into());
    }
}

/// The cookies of a request in one field: HTTP/2 allows them to come in crumbs, which others do not
/// (RFC 9113 8.2.3). Empty when they need no joining.
pub(crate) fn joined_cookies(map: &HeaderMap) -> String {
    let mut crumbs = map.get_all(http::header::COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else {
        return String::new();
    };
    let mut joined = String::new();
    for crumb in [first, second].into_iter().chain(crumbs) {
        let separator = if joined.is_empty() { "" } else { "; " };
        // Writing into a string cannot fail; a crumb beyond ASCII is no cookie (RFC 6265 4.1.1).
        let _ = write!(joined, "{separator}{}", crumb.to_str().unwrap_or_default());
    }
    joined
}

/// The fields of a map, with `cookies` in the place of its crumbs if there are any.
pub(crate) fn headers<'a>(map: &'a HeaderMap, cookies: &'a str) -> Vec<Header<'a>> {
    let mut headers = Vec::with_capacity(map.len());
    let crumbs_pass = cookies.is_empty();
    for (name, value) in map {
        if crumbs_pass || name != http::header::COOKIE {
            headers.push(Header {
                name: name.as_str(),
                value: value.as_bytes(),
            });
        }
    }
    if !crumbs_pass {
        headers.push(Header {
            name: "cookie",
            value: cookies.as_bytes(),
        });
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_lower_case_and_stay_apart() {
        let mut fields = Fields::default();
        fields.field("Set-Cookie", &[b"a"]);
        fields.field("Set-Cookie", &[b"b", b"c"]);
        let values: Vec<_> = fields.0.get_all("set-cookie").iter().collect();
        assert_eq!(values, ["a", "bc"]);
    }

    #[test]
    fn crumbs_of_cookies_are_joined_and_a_whole_one_is_let_be() {
        let mut map = HeaderMap::new();
        map.append("cookie", HeaderValue::from_static("a=1"));
        map.append("accept", HeaderValue::from_static("*/*"));
        assert_eq!(joined_cookies(&map), "");
        assert_eq!(headers(&map, "").len(), 2);
        map.append("cookie", HeaderValue::from_static("b=2"));
        map.append("cookie", HeaderValue::from_static("c=3"));
        let joined = joined_cookies(&map);
        let headers = headers(&map, &joined);
        let cookies: Vec<_> = headers
            .iter()
            .filter(|header| header.name == "cookie")
            .collect();
        assert_eq!((headers.len(), cookies.len()), (2, 1));
        assert_eq!(cookies[0].value, b"a=1; b=2; c=3");
    }
}
