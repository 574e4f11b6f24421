//! TLS settings of the hostnames of an object.

use crate::{messages, schema};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// TLS settings of the hostnames of an object.
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
    /// Terminates TLS or disables it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// Existing Secret of type kubernetes.io/tls. May not be set together with `issuerRef`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretRef>,
    /// Additional Secrets for the same hostnames with keys of other types, such as RSA beside ECDSA, at most 3.
    /// Each client gets a certificate that it supports. Requires `secret`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3), extend("x-kubernetes-list-type" = "atomic"))]
    pub additional_secrets: Vec<SecretRef>,
    /// Issuer of the certificates. Defaults to the issuer of the class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_ref: Option<IssuerRef>,
    /// Oldest TLS version. The class may require a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<MinTlsVersion>,
    /// Newest TLS version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<MaxTlsVersion>,
    /// Sends Strict-Transport-Security, so that browsers use HTTPS only (RFC 6797). If omitted, it is not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// Redirects plain HTTP to HTTPS. Defaults to true. A route opts out with `permitInsecure`.
    #[serde(
        default,
        rename = "redirectHTTP",
        skip_serializing_if = "Option::is_none"
    )]
    pub redirect_http: Option<bool>,
    /// Client certificates (mutual TLS). If omitted, none are requested.
    #[serde(default, rename = "clientCA", skip_serializing_if = "Option::is_none")]
    pub client_ca: Option<ClientCa>,
}

/// TLS mode: `Terminate` terminates TLS at the proxy; `Disabled` serves plain HTTP. Defaults to `Terminate`
/// when a certificate source is configured on the object or its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsMode {
    /// Terminates TLS at the proxy.
    Terminate,
    /// Serves plain HTTP only.
    Disabled,
}

/// Oldest TLS version: that of the object or of its class, whichever is newer. Defaults to `1.2`. `1.1` is
/// served as 1.2 (RFC 8996), which the status reports.
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

/// Newest TLS version. Defaults to `1.3`.
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
    /// Time for which browsers remember the policy, such as `8760h` for a year; `0s` clears it.
    #[schemars(schema_with = "schema::duration")]
    pub max_age: String,
    /// Applies the policy to all subdomains. Defaults to false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_sub_domains: Option<bool>,
}

/// Verification of client certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCa {
    /// Secret with the certificates of the authorities in `ca.crt`.
    pub secret: SecretRef,
    /// Handling of clients without a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ClientCaMode>,
}

/// Handling of clients without a certificate: `Require` rejects them, `Optional` serves them. Clients with an
/// invalid certificate are always rejected. Defaults to `Require`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientCaMode {
    /// Rejects the client.
    Require,
    /// Serves the client.
    Optional,
}

/// Reference to a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Secret. Defaults to the namespace of the object. In another one, a ReferenceGrant of
    /// the Gateway API must allow ExposedPorts of this namespace to refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Reference to an issuer of cert-manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IssuerRef {
    /// Name of the issuer.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Kind of the issuer: `ClusterIssuer`, `Issuer` for one of the object's namespace, or the kind of an
    /// external issuer. Defaults to `ClusterIssuer`.
    #[serde(default = "IssuerRef::default_kind")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// API group of the issuer. Defaults to `cert-manager.io`.
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
