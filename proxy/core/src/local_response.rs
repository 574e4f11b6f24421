//! Local responses: sent by the proxy itself rather than by an endpoint, over any protocol.

use crate::grpc;
use crate::headers::FieldSink;
use crate::reason::{Reason, phrase};
use crate::route::cors::{Cors, Preflight};
use crate::route::{Content, ResponsePolicy};
use std::sync::Arc;

/// One local response, without the fields that belong to its connection.
#[derive(Debug)]
pub struct LocalResponse {
    /// See [`Reason::status`]; redirects and configured responses have their own.
    pub status: u16,
    /// Value of `x-portolan-reason`.
    pub reason: Explanation,
    /// Body of the route, instead of the reason's sentence.
    content: Option<Arc<Content>>,
    /// Further fields, such as `Location`.
    fields: Vec<(&'static str, String)>,
    /// Changes to every response on the route.
    response: ResponsePolicy,
}

/// Reason of the proxy, or of the operator.
#[derive(Debug)]
pub enum Explanation {
    /// See [`Reason`].
    Proxy(Reason),
    /// Reason why a route cannot be resolved.
    Operator(Box<str>),
}

impl Explanation {
    /// Returns the value of `x-portolan-reason`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Proxy(reason) => reason.as_str(),
            Self::Operator(reason) => reason,
        }
    }

    fn sentence(&self) -> &str {
        match self {
            Self::Proxy(reason) => reason.sentence(),
            Self::Operator(_) => "This route cannot be served.",
        }
    }
}

impl From<Reason> for LocalResponse {
    /// Builds the plain response for when no route is known.
    fn from(reason: Reason) -> Self {
        Self::new(reason, ResponsePolicy::default())
    }
}

impl LocalResponse {
    /// Builds the response to a request that was matched under this policy.
    pub fn new(reason: Reason, response: ResponsePolicy) -> Self {
        Self {
            status: reason.status(),
            reason: Explanation::Proxy(reason),
            content: None,
            fields: Vec::new(),
            response,
        }
    }

    pub(crate) fn unavailable(reason: &str, response: ResponsePolicy) -> Self {
        Self {
            reason: Explanation::Operator(reason.into()),
            ..Self::new(Reason::NoReadyEndpoints, response)
        }
    }

    pub(crate) fn redirect(
        reason: Reason,
        status: u16,
        location: String,
        response: ResponsePolicy,
    ) -> Self {
        Self {
            status,
            fields: vec![("Location", location)],
            ..Self::new(reason, response)
        }
    }

    pub(crate) fn content(status: u16, content: &Arc<Content>, response: ResponsePolicy) -> Self {
        Self {
            status,
            content: Some(Arc::clone(content)),
            ..Self::new(Reason::DirectResponse, response)
        }
    }

    pub(crate) fn preflight(
        cors: &Cors,
        preflight: &Preflight<'_>,
        response: ResponsePolicy,
    ) -> Self {
        Self {
            fields: cors.preflight_fields(preflight, response.origin()),
            ..Self::new(Reason::CorsPreflight, response)
        }
    }

    /// Returns the reason phrase of the status.
    pub fn phrase(&self) -> &'static str {
        phrase(self.status)
    }

    /// Returns the body in two parts; empty where HTTP allows none (RFC 9110 15.3.5, 15.3.6, 15.4.5).
    pub fn body(&self) -> [&str; 2] {
        match (self.status, &self.content) {
            (204 | 205 | 304, _) => ["", ""],
            (_, Some(content)) => [&content.body, ""],
            (_, None) => [self.reason.sentence(), "\n"],
        }
    }

    /// Returns the length of the body; `None` where no `Content-Length` may be sent.
    pub fn length(&self) -> Option<u64> {
        let length = self.body().map(|part| part.len() as u64).iter().sum();
        (!matches!(self.status, 204 | 304)).then_some(length)
    }

    /// Writes the fields, without framing and without those of the connection.
    pub fn put_fields(&self, out: &mut impl FieldSink, request_id: &str, date: &str) {
        let mut put = |name: &str, value: &str| {
            if !self.response.removes(name) {
                out.field(name, &[value.as_bytes()]);
            }
        };
        put("Date", date);
        let media_type = match &self.content {
            Some(content) => &*content.media_type,
            None => "text/plain; charset=utf-8",
        };
        if self.body().iter().any(|part| !part.is_empty()) && !media_type.is_empty() {
            put("Content-Type", media_type);
        }
        put("X-Portolan-Reason", self.reason.as_str());
        put("X-Request-Id", request_id);
        for (name, value) in &self.fields {
            put(name, value);
        }
        match self.reason {
            // A configured response sets its own fields.
            Explanation::Proxy(Reason::DirectResponse) => {}
            // Required by RFC 9110 15.5.6.
            Explanation::Proxy(Reason::MethodNotAllowed) => put("Allow", ALLOWED_METHODS),
            _ if self.status == 503 => put("Retry-After", RETRY_AFTER),
            _ => {}
        }
        self.response.put(out);
    }

    /// Returns the gRPC status that represents the error; `None` for configured responses and
    /// redirects.
    pub fn grpc_status(&self) -> Option<&'static str> {
        (self.status >= 400 && self.content.is_none()).then(|| grpc::status(self.status))
    }

    /// Writes the fields of a response that consists of a gRPC status ("Trailers-Only").
    pub fn put_grpc_fields(
        &self,
        out: &mut impl FieldSink,
        status: &str,
        request_id: &str,
        date: &str,
    ) {
        let message = grpc::message(self.reason.sentence());
        for (name, value) in [
            ("Content-Type", grpc::CONTENT_TYPE),
            ("grpc-status", status),
            ("grpc-message", &message),
            ("Date", date),
            ("X-Portolan-Reason", self.reason.as_str()),
            ("X-Request-Id", request_id),
        ] {
            out.field(name, &[value.as_bytes()]);
        }
        self.response.put(out);
    }
}

/// `Allow` of [`Reason::MethodNotAllowed`].
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// `Retry-After` of temporary errors, in seconds.
const RETRY_AFTER: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_clients_get_a_grpc_status() {
        let response = LocalResponse::from(Reason::NoReadyEndpoints);
        let mut out = Vec::new();
        let status = response.grpc_status().unwrap();
        response.put_grpc_fields(&mut out, status, "id-1", "now");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Content-Type: application/grpc\r\ngrpc-status: 14\r\n\
             grpc-message: No endpoint is ready.\r\nDate: now\r\n\
             X-Portolan-Reason: NoReadyEndpoints\r\nX-Request-Id: id-1\r\n"
        );
        let content = Arc::new(Content {
            media_type: "text/plain".into(),
            body: "tea".into(),
        });
        let configured = LocalResponse::content(418, &content, ResponsePolicy::default());
        assert_eq!(configured.grpc_status(), None);
        assert_eq!(
            LocalResponse::from(Reason::RedirectToHttps).grpc_status(),
            None
        );
    }

    fn fields(response: &LocalResponse) -> String {
        let mut out = Vec::new();
        response.put_fields(&mut out, "id-1", "Sun, 06 Nov 1994 08:49:37 GMT");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn carries_the_reason_and_the_request_id() {
        let response = LocalResponse::from(Reason::NoReadyEndpoints);
        assert_eq!(
            (response.status, response.phrase()),
            (503, "Service Unavailable")
        );
        assert_eq!(
            fields(&response),
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
             X-Portolan-Reason: NoReadyEndpoints\r\nX-Request-Id: id-1\r\nRetry-After: 1\r\n"
        );
        assert_eq!(response.body().concat(), "No endpoint is ready.\n");
        assert_eq!(response.length(), Some(22));
        let response = LocalResponse::unavailable("ServiceNotFound", ResponsePolicy::default());
        assert!(fields(&response).contains("X-Portolan-Reason: ServiceNotFound\r\n"));
        assert!(
            fields(&LocalResponse::from(Reason::MethodNotAllowed)).contains("Allow: GET, HEAD")
        );
    }

    #[test]
    fn configured_responses_set_their_own_fields() {
        let content = Arc::new(Content {
            media_type: "text/html".into(),
            body: "<p>back at nine".into(),
        });
        let response = LocalResponse::content(503, &content, ResponsePolicy::default());
        let text = fields(&response);
        assert!(text.contains("Content-Type: text/html\r\nX-Portolan-Reason: DirectResponse\r\n"));
        assert!(!text.contains("Retry-After"));
        assert_eq!(
            (response.body().concat().as_str(), response.length()),
            ("<p>back at nine", Some(15))
        );
        for (status, length) in [(204, None), (205, Some(0)), (304, None)] {
            let empty = LocalResponse::content(status, &content, ResponsePolicy::default());
            assert_eq!(
                (empty.body().concat().as_str(), empty.length()),
                ("", length)
            );
            assert!(!fields(&empty).contains("Content-Type"));
        }
    }
}
