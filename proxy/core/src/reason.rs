//! Answers of our own: why, with which status, in which words. The page of answers in the docs is made
//! from them.

macro_rules! answers {
    ($(#[doc = $doc:literal] $name:ident = $status:literal, $sentence:literal;)+) => {
        /// The value of `x-portolan-reason`, and what goes with it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $(#[doc = $doc] $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the page.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As it stands in `x-portolan-reason`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// The status of the answer. (A redirect's depends on the
            /// method or the route, that of a route that answers on the route.)
            pub fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)+
                }
            }

            /// One sentence for the person who sees it.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$name => $sentence,)+
                }
            }

            /// When it is given.
            pub fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => $doc,)+
                }
            }
        }
    };
}

answers! {
    /// The request breaks a rule of HTTP, or one of ours that keeps two readers from disagreeing.
    MalformedRequest = 400, "The request is malformed.";
    /// The target is longer than we read.
    TargetTooLong = 414, "The request target is too long.";
    /// The head is longer than we read, or has too many fields.
    HeadTooLarge = 431, "The request head is too large.";
    /// The head or the body did not arrive in time.
    RequestTimeout = 408, "The request did not arrive in time.";
    /// CONNECT and TRACE are not offered.
    MethodNotAllowed = 405, "The method is not offered here.";
    /// An `Expect` that is not `100-continue`.
    ExpectationFailed = 417, "Only the expectation 100-continue is met.";
    /// Not HTTP/1.0, HTTP/1.1 or HTTP/2.
    VersionNotSupported = 505, "Only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here.";
    /// Nothing is served under this host.
    UnknownHost = 404, "Nothing is served under this host.";
    /// The host has no route for this path.
    NoRoute = 404, "Nothing is served under this path.";
    /// The host has another certificate, client authority or TLS versions than the connection.
    MisdirectedRequest = 421, "This host needs a connection of its own.";
    /// The route opens no WebSockets (`websockets: false`).
    WebSocketRefused = 403, "WebSockets are not offered here.";
    /// The endpoint speaks HTTP/2 without extended CONNECT (RFC 8441), which a WebSocket needs.
    WebSocketNotOffered = 502, "The endpoint opens no WebSockets over HTTP/2.";
    /// The route sends its clients elsewhere.
    Redirect = 302, "Served elsewhere.";
    /// The route answers by itself (`respond`).
    DirectResponse = 200, "Answered by the route.";
    /// A browser asked whether another origin's script may send a request (CORS), and the route has rules for that.
    CorsPreflight = 204, "Said in the fields.";
    /// The host is served on HTTPS.
    RedirectToHttps = 308, "Served over HTTPS.";
    /// The host waits for its first certificate.
    CertificatePending = 503, "The certificate of this host has not been issued yet.";
    /// Every backend of the route has weight 0.
    AllWeightsZero = 503, "Every backend of this route has weight 0.";
    /// No endpoint of the chosen backend is ready.
    NoReadyEndpoints = 503, "Nothing that serves this host is ready.";
    /// The endpoint has an address that the class denies (`deniedCIDRs`), such as loopback.
    DeniedAddress = 503, "The endpoint has an address that is never contacted.";
    /// The proxy has no memory or no descriptor left for the request.
    Overloaded = 503, "The proxy is overloaded.";
    /// The request came by for the fifth time, or its endpoint is this proxy itself.
    LoopDetected = 508, "The request goes round in circles.";
    /// No endpoint took the connection.
    ConnectFailed = 502, "The endpoint refused the connection.";
    /// The endpoint did not take the connection in time.
    ConnectTimeout = 504, "The endpoint did not take the connection in time.";
    /// The endpoint did not begin its response in time.
    ResponseTimeout = 504, "The endpoint did not answer in time.";
    /// No attempt led to a response within the time that the whole request may take.
    DeadlineExceeded = 504, "The request was not answered in time.";
    /// The endpoint's certificate has expired, is for another name, or of another authority.
    UpstreamCertificateInvalid = 502, "The endpoint could not prove who it is.";
    /// The endpoint does not speak TLS, or in no way that is spoken here.
    UpstreamTlsFailed = 502, "The endpoint does not speak TLS as it should.";
    /// The endpoint closed the connection without a response.
    UpstreamClosed = 502, "The endpoint closed the connection without an answer.";
    /// The endpoint's response breaks a rule of HTTP.
    MalformedResponse = 502, "The endpoint's answer is malformed.";
}

impl Reason {
    /// Whether trying again a little later may help.
    pub fn is_passing(self) -> bool {
        self.status() == 503
    }
}

/// 301 where every client keeps the method anyway, else 308, which forbids changing it (RFC 9110 15.4.9).
pub fn redirect_status(method: &str) -> u16 {
    match method {
        "GET" | "HEAD" => 301,
        _ => 308,
    }
}

/// The reason phrase of a status (the registry of RFC 9110 16.2.1); nothing of an unregistered one.
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
