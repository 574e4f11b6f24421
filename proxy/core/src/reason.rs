//! Reasons of local responses, with status and body. The reference page of proxy responses is generated
//! from them.

macro_rules! reasons {
    ($(#[doc = $doc:literal] $name:ident = $status:literal, $sentence:literal;)+) => {
        /// Value of `x-portolan-reason`, with its status and body.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $doc] $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the page.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Returns the value of `x-portolan-reason`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// Returns the status of the response. (That of a redirect depends on the method or the
            /// route, that of a configured response on the route.)
            pub fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }

            /// Returns the body, one sentence.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)+
                }
            }

            /// Returns the meaning.
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => $doc,)+
                }
            }
        }
    };
}

reasons! {
    /// The request violates HTTP, or a stricter rule of Portolan that prevents request smuggling.
    MalformedRequest = 400, "The request is malformed.";
    /// The request target is longer than 16 KiB.
    TargetTooLong = 414, "The request target is too long.";
    /// The request head is larger than 64 KiB, or has more than 100 fields.
    HeadTooLarge = 431, "The request head is too large.";
    /// The request head or body did not arrive in time.
    RequestTimeout = 408, "The request did not arrive in time.";
    /// CONNECT and TRACE are not supported.
    MethodNotAllowed = 405, "The method is not allowed.";
    /// `Expect` is not `100-continue`.
    ExpectationFailed = 417, "Only the expectation 100-continue is supported.";
    /// The version is not HTTP/1.0, HTTP/1.1 or HTTP/2.
    VersionNotSupported = 505, "Only HTTP/1.0, HTTP/1.1 and HTTP/2 are supported.";
    /// No virtual host has this hostname.
    UnknownHost = 404, "No such host.";
    /// No route of the host matches the request.
    NoRoute = 404, "No route matches this request.";
    /// The host has a different certificate, client authority or TLS version policy than the connection.
    MisdirectedRequest = 421, "This host requires a separate connection.";
    /// The route does not allow WebSockets (`websockets: false`).
    WebSocketRefused = 403, "WebSockets are not allowed.";
    /// The endpoint does not support extended CONNECT over HTTP/2 (RFC 8441), which WebSockets need.
    WebSocketNotOffered = 502, "The endpoint does not support WebSockets over HTTP/2.";
    /// The route redirects.
    Redirect = 302, "Redirected.";
    /// The route has a configured response (`respond`).
    DirectResponse = 200, "Configured response.";
    /// Response to a CORS preflight on a route with `cors`.
    CorsPreflight = 204, "";
    /// The host redirects plain HTTP to HTTPS.
    RedirectToHttps = 308, "Redirected to HTTPS.";
    /// The first certificate of the host has not been issued yet.
    CertificatePending = 503, "The certificate of this host has not been issued yet.";
    /// Every backend of the route has weight 0.
    AllWeightsZero = 503, "Every backend of this route has weight 0.";
    /// No endpoint of the chosen backend is ready.
    NoReadyEndpoints = 503, "No endpoint is ready.";
    /// The address of the endpoint is denied, by default (such as loopback) or by the class (`deniedCIDRs`).
    DeniedAddress = 503, "The address of the endpoint is denied.";
    /// The proxy has no memory or file descriptors left for the request.
    Overloaded = 503, "The proxy is overloaded.";
    /// The request passed this proxy for the fifth time, or its endpoint is the proxy itself.
    LoopDetected = 508, "Loop detected.";
    /// Connecting to the endpoint failed.
    ConnectFailed = 502, "The connection to the endpoint failed.";
    /// The endpoint did not accept the connection in time.
    ConnectTimeout = 504, "The endpoint did not accept the connection in time.";
    /// The endpoint did not start its response in time.
    ResponseTimeout = 504, "The endpoint did not respond in time.";
    /// The deadline of the whole request, including retries, passed without a response.
    DeadlineExceeded = 504, "The request was not completed in time.";
    /// The certificate of the endpoint has expired, is for another name, or from another authority.
    UpstreamCertificateInvalid = 502, "The certificate of the endpoint is invalid.";
    /// The TLS handshake with the endpoint failed: it does not use TLS, or no common version or cipher suite.
    UpstreamTlsFailed = 502, "The TLS handshake with the endpoint failed.";
    /// The endpoint closed the connection without a response.
    UpstreamClosed = 502, "The endpoint closed the connection without a response.";
    /// The response of the endpoint violates HTTP.
    MalformedResponse = 502, "The response of the endpoint is malformed.";
}

/// Returns 301 where every client keeps the method anyway, else 308, which forbids changing it (RFC 9110 15.4.9).
pub fn redirect_status(method: &str) -> u16 {
    match method {
        "GET" | "HEAD" => 301,
        _ => 308,
    }
}

/// Returns the reason phrase of a status (registry of RFC 9110 16.2.1); empty for an unregistered one.
pub fn phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        511 => "Network Authentication Required",
        _ => "",
    }
}
