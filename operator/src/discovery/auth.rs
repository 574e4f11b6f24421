//! Authorizes subscriptions to a class: only the ServiceAccount of its proxy.
//!
//! Any pod of the cluster can project a token of any audience, so a valid token proves little; what
//! counts is whose it is. The API server reports that (TokenReview), [`admits`] checks it.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::Client;
use kube::api::{Api, PostParams};
use portolan_core::DISCOVERY_AUDIENCE;
use portolan_discovery::session::Hello;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;
use tokio::sync::Semaphore;

/// Concurrent reviews: a client of the port must not be able to flood the API server.
const REVIEWS: usize = 8;
const REVIEW: Duration = Duration::from_secs(10);

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// `system:serviceaccount:<namespace>:<name>`.
    pub username: String,
    /// Name and UID of the pod that the token is bound to, if the API server says so.
    pub pod: Option<(String, String)>,
}

/// Error of a subscription that is not allowed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum Denied {
    /// No bearer token came along.
    #[error(
        "metadata: authorization: is absent; `Bearer <token of audience {DISCOVERY_AUDIENCE}>` is needed"
    )]
    NoToken,
    /// The API server does not know it, or not for this audience.
    #[error("token: is not valid for audience {DISCOVERY_AUDIENCE}: {0}")]
    Invalid(String),
    /// It belongs to another account.
    #[error("token: belongs to {found}; class {class} is served to {wanted} only")]
    AnotherAccount {
        /// Who asked.
        found: String,
        /// For which class.
        class: String,
        /// Who may.
        wanted: String,
    },
    /// It belongs to the right account, but another pod.
    #[error("hello: pod: is not the pod {0} that the token is bound to")]
    AnotherPod(String),
    /// The API server could not be asked; asking again may help.
    #[error("token: cannot be reviewed now: {0}")]
    Unreviewed(String),
}

/// Finds out whose token it is.
///
/// A trait, because the way through the wire is tested without a cluster: the tests' reviewer
/// knows its tokens. The one that asks the API server is [`ApiReviewer`].
pub(super) trait Reviewer: Send + Sync + 'static {
    /// Whose token it is, provided that it is valid for [`DISCOVERY_AUDIENCE`].
    fn review(&self, token: &str) -> impl Future<Output = Result<Identity, Denied>> + Send;
}

/// Asks the API server by TokenReview.
pub(super) struct ApiReviewer {
    reviews: Api<TokenReview>,
    places: Semaphore,
}

impl ApiReviewer {
    pub(super) fn new(client: &Client) -> Self {
        Self {
            reviews: Api::all(client.clone()),
            places: Semaphore::new(REVIEWS),
        }
    }

    async fn ask(&self, token: &str) -> Result<TokenReview, Denied> {
        let _place = self.places.acquire().await;
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![DISCOVERY_AUDIENCE.to_owned()]),
                token: token.to_owned(),
            },
            ..TokenReview::default()
        };
        let answer = self.reviews.create(&PostParams::default(), &review).await;
        answer.map_err(|error| Denied::Unreviewed(error.to_string()))
    }
}

impl Reviewer for ApiReviewer {
    async fn review(&self, token: &str) -> Result<Identity, Denied> {
        let answer = tokio::time::timeout(REVIEW, self.ask(token))
            .await
            .map_err(|_| Denied::Unreviewed(format!("no answer within {REVIEW:?}")))??;
        identity(answer.status.unwrap_or_default())
    }
}

/// What a review says. The audience is looked at too: an API server that does not know audiences
/// answers without (`TokenReviewStatus.audiences`, Kubernetes API reference).
fn identity(status: TokenReviewStatus) -> Result<Identity, Denied> {
    let for_us = status
        .audiences
        .iter()
        .flatten()
        .any(|it| it == DISCOVERY_AUDIENCE);
    if status.authenticated != Some(true) || !for_us {
        return Err(Denied::Invalid(status.error.unwrap_or_default()));
    }
    let user = status.user.unwrap_or_default();
    let extra = |key: &str| {
        let values = user.extra.as_ref()?.get(key)?;
        values.first().cloned()
    };
    Ok(Identity {
        pod: extra("authentication.kubernetes.io/pod-name")
            .zip(extra("authentication.kubernetes.io/pod-uid")),
        username: user.username.unwrap_or_default(),
    })
}

/// Whether this identity may say this `Hello`, `wanted` being the account of the class's proxy.
pub(super) fn admits(identity: &Identity, wanted: &str, hello: &Hello) -> Result<(), Denied> {
    if identity.username != wanted {
        return Err(Denied::AnotherAccount {
            found: identity.username.clone(),
            class: hello.class.clone(),
            wanted: wanted.to_owned(),
        });
    }
    // One proxy must not be able to acknowledge in the name of another.
    match &identity.pod {
        Some((name, uid)) if *name != hello.pod_name || *uid != hello.pod_uid => {
            Err(Denied::AnotherPod(name.clone()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::authentication::v1::UserInfo;

    const PROXY: &str = "system:serviceaccount:portolan-system:portolan-proxy-public";

    fn reviewed(audiences: &[&str]) -> TokenReviewStatus {
        let extra = [("pod-name", "proxy-0"), ("pod-uid", "u")].map(|(key, value)| {
            let key = format!("authentication.kubernetes.io/{key}");
            (key, vec![value.to_owned()])
        });
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(audiences.iter().map(|it| (*it).to_owned()).collect()),
            user: Some(UserInfo {
                username: Some(PROXY.to_owned()),
                extra: Some(extra.into()),
                ..UserInfo::default()
            }),
            ..TokenReviewStatus::default()
        }
    }

    fn hello(pod_uid: &str) -> Hello {
        Hello {
            class: "public".into(),
            pod_name: "proxy-0".into(),
            pod_uid: pod_uid.into(),
            ..Hello::default()
        }
    }

    #[test]
    fn rejects_a_token_of_another_audience() {
        assert!(identity(reviewed(&[DISCOVERY_AUDIENCE])).is_ok());
        let api = identity(reviewed(&["https://kubernetes.default.svc"]));
        assert!(matches!(api, Err(Denied::Invalid(_))));
        assert!(matches!(identity(reviewed(&[])), Err(Denied::Invalid(_))));
        let refused = TokenReviewStatus {
            authenticated: Some(false),
            error: Some("expired".into()),
            ..reviewed(&[DISCOVERY_AUDIENCE])
        };
        assert_eq!(identity(refused), Err(Denied::Invalid("expired".into())));
    }

    #[test]
    fn only_the_account_of_the_class_itself_is_admitted() {
        let identity = identity(reviewed(&[DISCOVERY_AUDIENCE])).unwrap();
        assert_eq!(admits(&identity, PROXY, &hello("u")), Ok(()));
        for other in [
            "system:serviceaccount:portolan-system:portolan-proxy-public-2",
            "system:serviceaccount:team:portolan-proxy-public",
            "",
        ] {
            let denied = admits(&identity, other, &hello("u"));
            assert!(
                matches!(denied, Err(Denied::AnotherAccount { .. })),
                "{other}"
            );
        }
    }

    #[test]
    fn a_pod_cannot_speak_for_another_of_its_account() {
        let bound = identity(reviewed(&[DISCOVERY_AUDIENCE])).unwrap();
        let denied = admits(&bound, PROXY, &hello("another"));
        assert_eq!(denied, Err(Denied::AnotherPod("proxy-0".into())));
        let unbound = Identity { pod: None, ..bound };
        assert_eq!(admits(&unbound, PROXY, &hello("another")), Ok(()));
    }
}
