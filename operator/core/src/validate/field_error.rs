//! What can be wrong with one value, and what would be right; [`ValidationError::At`] says where it stands.
//!
//! [`ValidationError::At`]: super::ValidationError::At

use crate::names::HostnameError;
use portolan_crds::{VALUE_MAX, WEIGHT_MAX};
use portolan_discovery::pattern::{self, PatternError};
use thiserror::Error;

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum FieldError {
    #[error("{count} are given; write at most {most}")]
    TooMany { count: usize, most: usize },
    #[error("not exactly one of {0}; keep one")]
    NotExactlyOne(&'static str),
    #[error(
        "{0:?} is no duration; write numbers with units, such as 150ms, 15s or 1h30m, 0s for no limit"
    )]
    Duration(String),
    #[error(
        "{0:?} is no path; write it with a leading slash, with percent-encoding where a URL needs it, without query"
    )]
    Path(String),
    #[error(
        "{written:?} is never matched, because a request for it is read as {normal:?}; write that"
    )]
    PathNotNormal { written: String, normal: String },
    #[error("{0:?} begins with two slashes, as if a host followed; write one")]
    PathOfHost(String),
    #[error("{0:?} is no host; write a name, perhaps with a port, such as app.internal:8080")]
    Host(String),
    #[error(
        "the regular expression {text:?} cannot be used: {source}; write it in the syntax of Rust's regex crate"
    )]
    Pattern { text: String, source: PatternError },
    #[error("the routes have {0} regular expressions; write at most {max}, or share them among several objects", max = pattern::PER_OBJECT_MAX)]
    TooManyPatterns(usize),
    #[error("{0:?} is no method; write it in capitals, such as GET")]
    Method(String),
    #[error(
        "{0:?} is no name of a header field; write letters, digits and hyphens, such as x-team"
    )]
    FieldName(String),
    #[error("{0} belongs to the connection or is written by the proxy itself; leave it out")]
    FieldReserved(String),
    #[error(
        "the value of {0} is no line of printable characters without space at its ends, at most {VALUE_MAX} of them; correct it"
    )]
    FieldValue(String),
    #[error(
        "is no name of a {0}; write letters, digits, hyphens, underscores and dots, perhaps with a domain and a slash before, such as example.com/team"
    )]
    QualifiedName(&'static str),
    #[error("belongs to Portolan, or says who manages an object; leave it out")]
    LabelReserved,
    #[error(
        "{0:?} is no value of a label; write at most 63 letters, digits, hyphens, underscores and dots, with a letter or digit at both ends"
    )]
    LabelValue(String),
    #[error(
        "no class allows it, because it would have another program serve or certify hostnames; leave it out"
    )]
    AnnotationReserved,
    #[error("have {0} bytes; write at most 32 KiB, names and values together")]
    AnnotationsTooLong(usize),
    #[error(
        "they are for the Ingress, and an object that others delegate to has none; remove them, or write them in the root"
    )]
    NoIngress,
    #[error(
        "is over before it begins; write how long the object is wanted, such as 2h, or leave it out"
    )]
    ExpiresAtOnce,
    #[error(
        "{0:?} is no duration of a lease; write 5s to 24h, several times as long as from one renewal to the next"
    )]
    LeaseDuration(String),
    #[error("nothing expires; write expiresAfter or expiresAt too, or leave it out")]
    NeverExpires,
    #[error(
        "is missing, and a rule for every hostname would take those of others; write a rule with a host, such as shop.example.com"
    )]
    NoHost,
    #[error(
        "leads nowhere, because it has no paths and the Ingress no defaultBackend; write http.paths with a backend"
    )]
    NoPaths,
    #[error(
        "{0:?} is a regular expression to other controllers and would be another path here; write pathType Prefix or Exact and a plain path, or an ExposedPort with match.path.regex"
    )]
    PatternOfIngress(String),
    #[error("is no Service, and nothing else takes requests; write service with name and port")]
    NoServiceOfIngress,
    #[error("present only says true; write true, or exact or regex")]
    Absent,
    #[error("the name is empty; write the name of the parameter")]
    NoName,
    #[error("{0} is no number of attempts; write 0 to {max}", max = super::policy::RETRIES_MAX)]
    Retries(i32),
    #[error(
        "has no action, and the object has no port of its own; write backends, redirect, respond or delegate"
    )]
    NoAction,
    #[error("is negative; write 0 to send nothing there, or a number up to {WEIGHT_MAX}")]
    WeightNegative,
    #[error("{0} is no weight; write 0 to send nothing there, or a number up to {WEIGHT_MAX}")]
    Weight(i32),
    #[error("{0} does not redirect; write 301, 302, 303, 307 or 308")]
    RedirectStatus(i32),
    #[error("{0} ends no request; write a status from 200 to 599")]
    RespondStatus(i32),
    #[error("has {0} characters; write at most 4096")]
    BodyTooLong(usize),
    #[error("is no port; write a number from 1 to 65535")]
    PortNumber,
    #[error(
        "is no name of a port; write small letters, digits and inner hyphens, such as http, or a number"
    )]
    PortName,
    #[error(
        "several of backends, redirect, respond and delegate are set; keep one, or make a route for each"
    )]
    TwoActions,
    #[error(
        "what is delegated is a prefix; write match.path.prefix, or leave the path out to delegate all"
    )]
    DelegatesNoPrefix,
    #[error(
        "whoever a route is delegated to says how requests are treated; write that in the child, and keep match and delegate here"
    )]
    PolicyOfDelegation,
    #[error(
        "changes the path on its way to a backend, and this route has none; remove it, or write redirect.prefixRewrite"
    )]
    RewriteWithoutBackend,
    #[error("what a regular expression matched is no prefix; match by prefix or exact")]
    RewriteOfPattern,
    #[error(
        "says nothing, so the client would come back for ever; write one of scheme, hostname, port, path and prefixRewrite"
    )]
    RedirectsNowhere,
    #[error(
        "path and prefixRewrite are both set; keep path to replace the whole path, or prefixRewrite to replace what was matched"
    )]
    TwoPaths,
    #[error(
        "is missing, and the object has no Service of its own; name one, or write spec.selector or spec.service"
    )]
    NoOwnService,
    #[error(
        "there is no service that could be in it; write backends.service too, or leave the namespace out"
    )]
    NamespaceOfNothing,
    #[error(
        "ca and subjectName come together; write both to have the endpoint's certificate checked, or neither"
    )]
    HalfValidated,
    #[error("{0}")]
    Hostname(HostnameError),
    #[error("{0:?} is a wildcard; write one name")]
    Wildcard(String),
    #[error(
        "{0:?} is no origin; write scheme and host without a path, such as https://app.example.com, perhaps with *. before the host, or * for all"
    )]
    Origin(String),
    #[error(
        "every origin is allowed, so any site could act for its visitors; write the origins out, or leave allowCredentials away"
    )]
    CredentialsForAll,
    #[error("no origin is given; write one such as https://app.example.com, or * for all")]
    NoOrigin,
}
