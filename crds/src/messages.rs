//! Sentences of validation that the schema and the operator share: the detail after a Kubernetes cause.
//!
//! The API server writes `<field>: <cause>: ` before the message of a rule, and the operator writes the same
//! for objects that come from files or are older than the schema, so both read alike.

/// `spec.service` of an ExposedPort, beside `spec.selector`.
pub const SERVICE_WITH_SELECTOR: &str = "may not be set together with spec.selector";
/// `spec.selector` of an ExposedPort, required where some route has no action.
pub const TARGET_REQUIRED: &str = "the labels of your pods, or spec.service with the name of your Service, unless every route has an action";
/// `spec.port` of an ExposedPort without a target.
pub const PORT_WITHOUT_TARGET: &str = "requires spec.selector or spec.service";
/// `spec.port` of an ExposedPort with a target.
pub const PORT_REQUIRED: &str = "the port the application listens on, or a port of spec.service";
/// `spec.port` as the name of a container port.
pub const CONTAINER_PORT: &str =
    "must be a container port name of at most 15 characters, or a number";
/// `service` of a backend of an object without a Service of its own.
pub const BACKEND_SERVICE_REQUIRED: &str =
    "the name of a Service in every backend, unless spec.selector or spec.service is set";
/// `spec.hostnames` of an ExposedPort.
pub const HOSTNAMES_REQUIRED: &str = "at least one hostname such as shop.example.com, or spec.allowedParents for an object that others delegate to";
/// `spec.allowedParents` of an ExposedPort with fields of its parent.
pub const PARENTS_WITH_ROOT: &str = "may not be set together with spec.hostnames, spec.tls or spec.className, which the parent sets";
/// `spec.expiresAt` beside `spec.expiresAfter`.
pub const EXPIRES_TWICE: &str = "may not be set together with spec.expiresAfter";
/// `spec.onExpiry` without an end.
pub const ON_EXPIRY: &str = "requires spec.expiresAfter or spec.expiresAt";
/// `spec.expiresAfter`.
pub const LIFETIME: &str = "must be a positive duration such as 30m, 2h or 168h";
/// `spec.lease.duration`.
pub const LEASE: &str = "must be a duration from 5s to 24h, several times the renewal interval";
/// Any other duration.
pub const DURATION: &str = "must be a duration such as 150ms, 15s or 1h30m (0s: no limit)";

/// A hostname that is an address.
pub const HOSTNAME_ADDRESS: &str = "must be a DNS name such as shop.example.com, not an IP address";
/// A hostname of an ExposedPort.
pub const HOSTNAME: &str = "must be labels of at most 63 letters, digits and inner hyphens, separated by dots, optionally after *. or before .* (the domain of the class)";
/// A domain with `{namespace}` as a part.
pub const DOMAIN: &str = "must be labels of letters, digits and inner hyphens, separated by dots, optionally with {namespace}; a domain covers all names below it, so no wildcard is needed";
/// `spec.domain` of an ExposeClass.
pub const CLASS_DOMAIN: &str = "must be labels of lower-case letters, digits and inner hyphens, separated by dots, optionally with {namespace} as a label";
/// A hostname of a shared certificate.
pub const CERTIFICATE_HOSTNAME: &str =
    "must be labels of letters, digits and inner hyphens, separated by dots, optionally after *.";
/// A port number.
pub const PORT_NUMBER: &str = "must be between 1 and 65535, inclusive";
/// A port name.
pub const PORT_NAME: &str =
    "must be lower-case letters, digits and inner hyphens, such as http, or a number";

/// `spec.tls.issuerRef` beside `spec.tls.secret`.
pub const ISSUER_WITH_SECRET: &str = "may not be set together with spec.tls.secret";
/// `spec.tls.mode: Disabled` beside a certificate.
pub const DISABLED_WITH_CERTIFICATE: &str =
    "Disabled may not be set together with secret or issuerRef; remove them, or use Terminate";
/// `spec.tls.mode: Disabled` beside other settings.
pub const DISABLED_WITH_SETTINGS: &str = "Disabled may not be set together with additionalSecrets, minVersion, maxVersion, hsts, redirectHTTP or clientCA; remove them, or use Terminate";
/// `spec.tls.additionalSecrets` alone.
pub const ADDITIONAL_SECRETS: &str = "requires spec.tls.secret";
/// `spec.tls.maxVersion` below `minVersion`.
pub const MAX_VERSION: &str = "must not be older than minVersion";

/// A route with several actions.
pub const ONE_ACTION: &str =
    "may have at most one of backends, redirect, respond and delegate; use a route for each";
/// The path of a delegated route.
pub const DELEGATED_PATH: &str = "must be a prefix when the route is delegated; use match.path.prefix, or omit path to delegate all";
/// Policy on a delegated route.
pub const DELEGATED_POLICY: &str = "may not be set together with permitInsecure, timeouts, retries, websockets, headers or cors; set them in the child";
/// `prefixRewrite` without backends.
pub const REWRITE_WITHOUT_BACKEND: &str = "may not be set together with redirect, respond or delegate; use redirect.prefixRewrite to rewrite a redirect";
/// A path match.
pub const ONE_PATH_MATCH: &str = "must have exactly one of exact, prefix and regex";
/// A header or query match.
pub const ONE_FIELD_MATCH: &str = "must have exactly one of exact, regex and present";
/// The namespace of a backend without a Service.
pub const BACKEND_NAMESPACE: &str = "requires service";
/// TLS to a backend.
pub const BACKEND_TLS: &str =
    "must have both ca and subjectName to verify the endpoint's certificate, or neither";
/// The weight of a backend.
pub const WEIGHT: &str = "must be between 0 (no requests) and 1000000, inclusive";
/// A redirect without a target.
pub const REDIRECT_REQUIRED: &str = "at least one of scheme, hostname, port, path or prefixRewrite";
/// `redirect.prefixRewrite` beside `path`.
pub const REWRITE_WITH_PATH: &str = "may not be set together with path; use path to replace the whole path, prefixRewrite to replace the matched prefix";
/// A path.
pub const PATH: &str = "must start with / and have no query, fragment, backslash or space, with percent-encoding where a URL needs it, such as /blog";
/// A method.
pub const METHOD: &str = "must be a method in capitals, such as GET";
/// A CORS origin.
pub const ORIGIN: &str = "must be scheme and host without a path, such as https://app.example.com, optionally with *. before the host, or * for all";
/// `allowCredentials` for every origin.
pub const CREDENTIALS_FOR_ALL: &str = "may not be used with allowOrigins \"*\"; list the origins";

/// The value of a label.
pub const LABEL_VALUE: &str = "must be at most 63 letters, digits, hyphens, underscores and dots, starting and ending with a letter or digit";
/// The name of a label or an annotation.
pub const QUALIFIED_NAME: &str = "must be letters, digits, hyphens, underscores and dots, optionally after a DNS prefix and a slash, such as team.example.com/tier";
/// The values of a label expression.
pub const LABEL_VALUES: &str =
    "must have at least one value with In or NotIn, and none with Exists or DoesNotExist";
/// A network.
pub const CIDR: &str = "must be an address and a prefix length, such as 10.0.0.0/8 or fd00::/8";
/// The families of the Service.
pub const SINGLE_STACK: &str =
    "SingleStack may not be set together with two ipFamilies; remove one, or use PreferDualStack";
/// `spec.certificates.mode: Shared` without certificates.
pub const SHARED_REQUIRED: &str = "at least one certificate when mode is Shared";
/// `spec.networkPolicy.namespaceSelector` with `mode: Restrict`.
pub const RESTRICT_WHERE: &str =
    "the namespaces to restrict, such as {matchLabels: {team: a}}, or {} for every namespace";
