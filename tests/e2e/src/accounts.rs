//! Tokens of ServiceAccounts.

use crate::Cluster;
use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

impl Cluster {
    /// A token of a ServiceAccount for an audience; `None`: for the API server.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn token(
        &self,
        namespace: &str,
        account: &str,
        audience: Option<&str>,
    ) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        let spec = TokenRequestSpec {
            audiences: audience.map(|audience| vec![audience.to_owned()]),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest {
            spec: Some(spec),
            ..TokenRequest::default()
        };
        let response = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await;
        let response = response.with_context(|| format!("token of {namespace}/{account}"))?;
        response
            .status
            .and_then(|status| status.token)
            .context("the API server gave no token")
    }
}
