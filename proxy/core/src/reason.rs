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

            /// The status of the answer. (A redirect's depends on the method: [`redirect_status`].)
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
    /// Not HTTP/1.0 or HTTP/1.1.
    VersionNotSupported = 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.";
    /// Nothing is served under this host.
    UnknownHost = 404, "Nothing is served under this host.";
    /// The host has no route for this path.
    NoRoute = 404, "Nothing is served under this path.";
    /// The host belongs to another virtual host than the one that the TLS handshake asked for.
    MisdirectedRequest = 421, "This host needs a connection of its own.";
    /// The host is served on HTTPS.
    RedirectToHttps = 308, "Served over HTTPS.";
    /// The host waits for its first certificate.
    CertificatePending = 503, "The certificate of this host has not been issued yet.";
    /// No endpoint of the chosen backend is ready, or every backend has weight 0.
    NoReadyEndpoints = 503, "Nothing that serves this host is ready.";
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
        508 => "Loop Detected",
        _ => "",
    }
}
