//! Answers of our own: why, with which status, in which words.

/// The value of `x-portolan-reason`, and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request breaks a rule of HTTP, or one of ours that keeps two readers from disagreeing.
    MalformedRequest,
    /// The target is longer than we read.
    TargetTooLong,
    /// The head is longer than we read, or has too many fields.
    HeadTooLarge,
    /// The head or the body did not arrive in time.
    RequestTimeout,
    /// CONNECT and TRACE are not offered.
    MethodNotAllowed,
    /// An `Expect` that is not `100-continue`.
    ExpectationFailed,
    /// Not HTTP/1.0 or HTTP/1.1.
    VersionNotSupported,
    /// Nothing is served under this host.
    UnknownHost,
    /// The host has no route for this path.
    NoRoute,
    /// The host belongs to another virtual host than the one that the TLS handshake asked for.
    MisdirectedRequest,
    /// The host is served on HTTPS.
    RedirectToHttps,
    /// The host waits for its first certificate.
    CertificatePending,
    /// No endpoint of the chosen backend is ready, or every backend has weight 0.
    NoReadyEndpoints,
    /// No endpoint took the connection.
    ConnectFailed,
    /// The endpoint did not take the connection in time.
    ConnectTimeout,
    /// The endpoint did not begin its response in time.
    ResponseTimeout,
    /// The endpoint closed the connection without a response.
    UpstreamClosed,
    /// The endpoint's response breaks a rule of HTTP.
    MalformedResponse,
}

impl Reason {
    /// As it stands in `x-portolan-reason`.
    pub fn as_str(self) -> &'static str {
        self.parts().1
    }

    /// The status of the answer. (A redirect's depends on the method: [`redirect_status`].)
    pub fn status(self) -> u16 {
        self.parts().0
    }

    /// One sentence for the person who sees it.
    pub fn sentence(self) -> &'static str {
        self.parts().2
    }

    /// Whether trying again a little later may help.
    pub fn is_passing(self) -> bool {
        self.status() == 503
    }

    fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::MalformedRequest => (400, "MalformedRequest", "The request is malformed."),
            Self::TargetTooLong => (414, "TargetTooLong", "The request target is too long."),
            Self::HeadTooLarge => (431, "HeadTooLarge", "The request head is too large."),
            Self::RequestTimeout => (408, "RequestTimeout", "The request did not arrive in time."),
            Self::MethodNotAllowed => (405, "MethodNotAllowed", "The method is not offered here."),
            Self::ExpectationFailed => (
                417,
                "ExpectationFailed",
                "Only the expectation 100-continue is met.",
            ),
            Self::VersionNotSupported => (
                505,
                "VersionNotSupported",
                "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
            ),
            Self::UnknownHost => (404, "UnknownHost", "Nothing is served under this host."),
            Self::NoRoute => (404, "NoRoute", "Nothing is served under this path."),
            Self::MisdirectedRequest => (
                421,
                "MisdirectedRequest",
                "This host needs a connection of its own.",
            ),
            Self::RedirectToHttps => (308, "RedirectToHttps", "Served over HTTPS."),
            Self::CertificatePending => (
                503,
                "CertificatePending",
                "The certificate of this host has not been issued yet.",
            ),
            Self::NoReadyEndpoints => (
                503,
                "NoReadyEndpoints",
                "Nothing that serves this host is ready.",
            ),
            Self::ConnectFailed => (502, "ConnectFailed", "The endpoint refused the connection."),
            Self::ConnectTimeout => (
                504,
                "ConnectTimeout",
                "The endpoint did not take the connection in time.",
            ),
            Self::ResponseTimeout => (
                504,
                "ResponseTimeout",
                "The endpoint did not answer in time.",
            ),
            Self::UpstreamClosed => (
                502,
                "UpstreamClosed",
                "The endpoint closed the connection without an answer.",
            ),
            Self::MalformedResponse => (
                502,
                "MalformedResponse",
                "The endpoint's answer is malformed.",
            ),
        }
    }
}

/// 301 where every client keeps the method anyway, else 308, which forbids changing it (RFC 9110 15.4.9).
pub fn redirect_status(method: &str) -> u16 {
    match method {
        "GET" | "HEAD" => 301,
        _ => 308,
    }
}

/// The reason phrase of the statuses that we answer with (RFC 9110 15).
pub fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        301 => "Moved Permanently",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
