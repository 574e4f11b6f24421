//! Answers of the proxy's own, whatever the protocol they are given in.

use crate::edit::FieldSink;
use crate::grpc;
use crate::reason::{Reason, phrase};
use crate::route::cors::{Cors, Preflight};
use crate::route::{Content, ResponsePolicy};
use std::sync::Arc;

/// One answer, but for what belongs to its connection.
#[derive(Debug)]
pub struct Answer {
    /// See [`Reason::status`]; redirects and routes that answer have their own.
    pub status: u16,
    /// The value of `x-portolan-reason`.
    pub reason: Explanation,
    /// What the route says instead of the reason's sentence.
    content: Option<Arc<Content>>,
    /// `Location` and the like.
    fields: Vec<(&'static str, String)>,
    /// What every response on the route says.
    response: ResponsePolicy,
}

/// Our reason, or the operator's.
#[derive(Debug)]
pub enum Explanation {
    /// See [`Reason`].
    Ours(Reason),
    /// Why a route cannot be resolved.
    Operators(Box<str>),
}

impl Explanation {
    /// As it stands in `x-portolan-reason`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ours(reason) => reason.as_str(),
            Self::Operators(reason) => reason,
        }
    }

    fn sentence(&self) -> &str {
        match self {
            Self::Ours(reason) => reason.sentence(),
            Self::Operators(_) => "This route cannot be served.",
        }
    }
}

impl From<Reason> for Answer {
    /// The plain answer, where no route is known.
    fn from(reason: Reason) -> Self {
        Self::new(reason, ResponsePolicy::default())
    }
}

impl Answer {
    /// The answer to a request that was to be served under this policy.
    pub fn new(reason: Reason, response: ResponsePolicy) -> Self {
        Self {
            status: reason.status(),
            reason: Explanation::Ours(reason),
            content: None,
            fields: Vec::new(),
            response,
        }
    }

    pub(crate) fn unavailable(reason: &str, response: ResponsePolicy) -> Self {
        Self {
            reason: Explanation::Operators(reason.into()),
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
            fields: cors.answer(preflight, response.origin()),
            ..Self::new(Reason::CorsPreflight, response)
        }
    }

    /// The reason phrase of the status.
    pub fn phrase(&self) -> &'static str {
        phrase(self.status)
    }

    /// The body. Nothing where HTTP allows none (RFC 9110 15.3.5, 15.3.6, 15.4.5).
    pub fn body(&self) -> [&str; 2] {
        match (self.status, &self.content) {
            (204 | 205 | 304, _) => ["", ""],
            (_, Some(content)) => [&content.body, ""],
            (_, None) => [self.reason.sentence(), "\n"],
        }
    }

    /// How many bytes that is; `None` where not even a length may be told.
    pub fn length(&self) -> Option<u64> {
        let length = self.body().map(|part| part.len() as u64).iter().sum();
        (!matches!(self.status, 204 | 304)).then_some(length)
    }

    /// The fields, but for the framing and what belongs to the connection.
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
            // A route that answers says itself what it wants said.
            Explanation::Ours(Reason::DirectResponse) => {}
            // RFC 9110 15.5.6 asks for it.
            Explanation::Ours(Reason::MethodNotAllowed) => put("Allow", OFFERED),
            _ if self.status == 503 => put("Retry-After", RETRY_AFTER),
            _ => {}
        }
        self.response.put(out);
    }

    /// The status by which a gRPC client is told what went wrong; `None` for what a route says itself,
    /// and for redirects.
    pub fn grpc_status(&self) -> Option<&'static str> {
        (self.status >= 400 && self.content.is_none()).then(|| grpc::status(self.status))
    }

    /// The fields of an answer that is a gRPC status and nothing else ("Trailers-Only").
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

/// What [`Reason::MethodNotAllowed`] leaves.
const OFFERED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Seconds after which a passing trouble is worth another try.
const RETRY_AFTER: &str = "1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_client_is_told_by_a_status_of_its_own() {
        let answer = Answer::from(Reason::NoReadyEndpoints);
        let mut out = Vec::new();
        let status = answer.grpc_status().unwrap();
        answer.put_grpc_fields(&mut out, status, "id-1", "now");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Content-Type: application/grpc\r\ngrpc-status: 14\r\n\
             grpc-message: Nothing that serves this host is ready.\r\nDate: now\r\n\
             X-Portolan-Reason: NoReadyEndpoints\r\nX-Request-Id: id-1\r\n"
        );
        let content = Arc::new(Content {
            media_type: "text/plain".into(),
            body: "tea".into(),
        });
        let own = Answer::content(418, &content, ResponsePolicy::default());
        assert_eq!(own.grpc_status(), None);
        assert_eq!(Answer::from(Reason::RedirectToHttps).grpc_status(), None);
    }

    fn fields(answer: &Answer) -> String {
        let mut out = Vec::new();
        answer.put_fields(&mut out, "id-1", "Sun, 06 Nov 1994 08:49:37 GMT");
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_answer_of_our_own_says_why_and_for_which_request() {
        let answer = Answer::from(Reason::NoReadyEndpoints);
        assert_eq!(
            (answer.status, answer.phrase()),
            (503, "Service Unavailable")
        );
        assert_eq!(
            fields(&answer),
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n\
             X-Portolan-Reason: NoReadyEndpoints\r\nX-Request-Id: id-1\r\nRetry-After: 1\r\n"
        );
        assert_eq!(
            answer.body().concat(),
            "Nothing that serves this host is ready.\n"
        );
        assert_eq!(answer.length(), Some(40));
        let answer = Answer::unavailable("ServiceNotFound", ResponsePolicy::default());
        assert!(fields(&answer).contains("X-Portolan-Reason: ServiceNotFound\r\n"));
        assert!(fields(&Answer::from(Reason::MethodNotAllowed)).contains("Allow: GET, HEAD"));
    }

    #[test]
    fn a_route_that_answers_says_what_it_wants() {
        let content = Arc::new(Content {
            media_type: "text/html".into(),
            body: "<p>back at nine".into(),
        });
        let answer = Answer::content(503, &content, ResponsePolicy::default());
        let text = fields(&answer);
        assert!(text.contains("Content-Type: text/html\r\nX-Portolan-Reason: DirectResponse\r\n"));
        assert!(!text.contains("Retry-After"));
        assert_eq!(
            (answer.body().concat().as_str(), answer.length()),
            ("<p>back at nine", Some(15))
        );
        for (status, length) in [(204, None), (205, Some(0)), (304, None)] {
            let empty = Answer::content(status, &content, ResponsePolicy::default());
            assert_eq!(
                (empty.body().concat().as_str(), empty.length()),
                ("", length)
            );
            assert!(!fields(&empty).contains("Content-Type"));
        }
    }
}
