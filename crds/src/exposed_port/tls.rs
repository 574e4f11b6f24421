//! How TLS is done for the hostnames of an object.

use crate::{messages, schema};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How TLS is done for the hostnames of an object.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(has(self.secret) && has(self.issuerRef))")
        .message(messages::ISSUER_WITH_SECRET).reason(Reason::FieldValueForbidden).field_path(".issuerRef"),
    validation = Rule::new("!has(self.mode) || self.mode != 'Disabled' || !(has(self.secret) || has(self.issuerRef))")
        .message(messages::DISABLED_WITH_CERTIFICATE).reason(Reason::FieldValueForbidden).field_path(".mode"),
    validation = Rule::new("!has(self.mode) || self.mode != 'Disabled' || !(has(self.additionalSecrets) || has(self.minVersion) || has(self.maxVersion) || has(self.hsts) || has(self.redirectHTTP) || has(self.clientCA))")
        .message(messages::DISABLED_WITH_SETTINGS).reason(Reason::FieldValueForbidden).field_path(".mode"),
    validation = Rule::new("!has(self.additionalSecrets) || has(self.secret)")
        .message(messages::ADDITIONAL_SECRETS).reason(Reason::FieldValueForbidden).field_path(".additionalSecrets"),
    validation = Rule::new("!has(self.minVersion) || !has(self.maxVersion) || self.minVersion <= self.maxVersion")
        .message(messages::MAX_VERSION).reason(Reason::FieldValueInvalid).field_path(".maxVersion"),
)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// What is done with TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// An existing Secret of type kubernetes.io/tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// Further Secrets for the same hostnames with keys of another type, such as RSA beside ECDSA;
    /// each client is shown one that it understands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "atomic"))]
    pub additional_secrets: Vec<SecretRef>,
    /// Who issues the certificates; absent takes the issuer of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
    /// The oldest version that is spoken. The class may ask for a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<MinTlsVersion>,
    /// The newest version that is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<MaxTlsVersion>,
    /// Tells browsers to come by HTTPS only (Strict-Transport-Security, RFC 6797). Absent: they are told nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// Whether plain HTTP is redirected to HTTPS; absent means true. A route opts out with
    /// `permitInsecure`.
    #[serde(
        default,
        rename = "redirectHTTP",
        skip_serializing_if = "Option::is_none"
    )]
    pub redirect_http: Option<bool>,
    /// Mutual TLS: whose certificates clients must show.
    #[serde(default, rename = "clientCA", skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<ClientCa>,
}

/// What is done with TLS: `Terminate` ends it at the proxy; `Disabled` serves plain HTTP. Absent:
/// `Terminate` when there is a secret or an issuer, here or in the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// TLS ends at the proxy.
    Terminate,
    /// Plain HTTP only.
    Disabled,
}

/// The oldest version of TLS that is spoken: that of the object or of its class, whichever is newer.
/// Absent means `1.2`; `1.1` is served as 1.2 (RFC 8996), and status says so.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum MinTlsVersion {
    /// Taken for `1.2`: RFC 8996 forbids 1.1.
    #[serde(rename = "1.1")]
    V1_1,
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// The newest version of TLS that is spoken; absent means `1.3`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum MaxTlsVersion {
    /// RFC 5246.
    #[serde(rename = "1.2")]
    V1_2,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    V1_3,
}

/// Strict-Transport-Security (RFC 6797).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hsts {
    /// For how long a browser remembers, such as `8760h` for a year; `0s` makes it forget.
    #[schemars(schema_with = "schema::duration")]
    pub max_age: String,
    /// Whether names below the hostname are meant too; absent means false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_sub_domains: Option<bool>,
}

/// Whose certificates clients must show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCa {
    /// A Secret with the certificates of the authorities in `ca.crt`.
    pub secret: SecretRef,
    /// What happens to a client without a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ClientCaMode>,
}

/// What happens to a client without a certificate: `Require` refuses it, `Optional` serves it. One whose
/// certificate does not hold is always refused. Absent means `Require`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientCaMode {
    /// It is refused.
    Require,
    /// It is served.
    Optional,
}

/// A Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// The name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; absent is that of the object. In another one a ReferenceGrant of the Gateway API must
    /// let ExposedPorts of this namespace refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Who issues certificates: an issuer as cert-manager knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerRef {
    /// The name of the issuer.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// `ClusterIssuer`, or `Issuer` for one of the object's own namespace, or the kind of an external issuer.
    #[serde(default = "IssuerRef::default_kind")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// The API group of the issuer.
    #[serde(default = "IssuerRef::default_group")]
    #[schemars(length(min = 1, max = 253))]
    pub group: String,
}

impl IssuerRef {
    /// The ClusterIssuer of this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: Self::default_kind(),
            group: Self::default_group(),
        }
    }

    fn default_kind() -> String {
        "ClusterIssuer".into()
    }

    fn default_group() -> String {
        "cert-manager.io".into()
    }
}
