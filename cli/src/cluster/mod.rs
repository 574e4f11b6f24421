//! Client of the API server: connected like kubectl, with a timeout for every request, read-only.
//!
//! Objects are returned as text and parsed by the caller, so that parts of a Secret that are not needed
//! are neither kept nor logged.

mod connection;
mod error;
mod object;

pub(crate) use connection::{Connection, object_name};
pub(crate) use error::Error;
pub(crate) use object::Object;

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::Client;
use kube::api::{GetParams, ListParams};
use kube::core::request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Objects per page of a list, as kubectl uses.
const PAGE_SIZE: u32 = 500;

/// A cluster, with the timeout of requests.
pub(crate) struct Cluster {
    client: Client,
    /// Timeout of one request; absent: none.
    timeout: Option<Duration>,
}

/// Page of a list. Its objects are parsed one by one, so that an invalid one does not affect others.
#[derive(Deserialize)]
struct ListPage {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Value>,
}

impl Cluster {
    pub(crate) fn new(client: Client, timeout: Option<Duration>) -> Self {
        Self { client, timeout }
    }

    /// Reads one object.
    pub(crate) async fn get<T: DeserializeOwned>(&self, object: &Object) -> Result<T, Error> {
        let request = request::Request::new(object.collection());
        let text = self.send(object, request.get(object.name(), &GetParams::default()));
        parse(object, &text.await?)
    }

    /// Reads all objects of a kind in a namespace, or in all of them, by a label selector.
    pub(crate) async fn list(
        &self,
        collection: &Object,
        selector: Option<&str>,
    ) -> Result<Vec<Value>, Error> {
        let request = request::Request::new(collection.collection());
        let mut params = ListParams::default().limit(PAGE_SIZE);
        params.label_selector = selector.map(str::to_owned);
        let mut items = Vec::new();
        loop {
            let page = match self.send(collection, request.list(&params)).await {
                // The version of the first page is compacted: a list in one page cannot expire.
                Err(Error::Expired { .. }) if params.continue_token.is_some() => {
                    items.clear();
                    params.continue_token = None;
                    params.limit = None;
                    continue;
                }
                result => result?,
            };
            let page: ListPage = parse(collection, &page)?;
            items.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(items),
            }
        }
    }

    async fn send(
        &self,
        object: &Object,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<String, Error> {
        let request =
            request.map_err(|error| Error::request(object, kube::Error::BuildRequest(error)))?;
        let response = self.client.request_text(request);
        let response = match self.timeout {
            None => response.await,
            Some(timeout) => match tokio::time::timeout(timeout, response).await {
                Ok(response) => response,
                Err(_) => return Err(Error::timeout(object, timeout)),
            },
        };
        response.map_err(|error| Error::request(object, error))
    }
}

fn parse<T: DeserializeOwned>(object: &Object, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::malformed(object, &error))
}
