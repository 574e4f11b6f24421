//! Names that the cluster knows: labels, annotations, finalizers, and the objects of the installation.

/// Field manager of everything that Portolan writes.
pub const FIELD_MANAGER: &str = "portolan";
/// Label of everything that Portolan writes.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "portolan");
/// Selects everything that Portolan writes, and the Secrets of its Certificates.
pub const MANAGED_SELECTOR: &str = "app.kubernetes.io/managed-by=portolan";
/// Label of the proxies: the application.
pub(crate) const APP_NAME: (&str, &str) = ("app.kubernetes.io/name", "portolan");
/// Label of the proxies: their part in it.
pub(crate) const APP_COMPONENT: (&str, &str) = ("app.kubernetes.io/component", "proxy");
/// Label of the proxies: the version of the program.
pub(crate) const APP_VERSION: &str = "app.kubernetes.io/version";
/// Label with the name of the ExposedPort that an object was made for.
pub const EXPOSED_PORT: &str = "portolan.dev/exposed-port";
/// Label with the name of the Ingress that an object was made for.
pub const INGRESS: &str = "portolan.dev/ingress";
/// Label with the name of the ExposeClass that an object was made for.
pub const CLASS: &str = "portolan.dev/class";
/// Finalizer of a class that objects use.
pub const IN_USE: &str = "portolan.dev/in-use";
/// Annotation with the UID of the owner.
pub const OWNER_UID: &str = "portolan.dev/owner-uid";
/// Annotation with the namespace of the owner, where that is another one: an ownerReference has no field for it.
pub const OWNER_NAMESPACE: &str = "portolan.dev/owner-namespace";
/// `spec.controller` of our IngressClasses.
pub const INGRESS_CONTROLLER: &str = "portolan.dev/ingress";
/// Audience of the tokens that proxies show to discovery.
pub const DISCOVERY_AUDIENCE: &str = "portolan-discovery";
/// Headless Service of the operator, and the port of discovery.
pub const DISCOVERY_SERVICE: (&str, u16) = ("portolan-discovery", 9443);
/// Secret with the certificate authority of discovery, and ConfigMap with its certificate in `ca.crt`.
pub const CA_CONFIG_MAP: &str = "portolan-ca";
/// Label that the API server gives every namespace.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Label that cert-manager gives the Ingresses of its solvers, with the value `true`.
pub const SOLVER: &str = "acme.cert-manager.io/http01-solver";
/// Annotation by which Ingresses named their class before `spec.ingressClassName`; cert-manager writes it
/// where an issuer has `class`.
pub(crate) const INGRESS_CLASS: &str = "kubernetes.io/ingress.class";
