//! The way to the API server: connected as kubectl would, every request bounded in time, only ever reading.
//!
//! Objects come as text and are read by whoever asks, so that a part of a Secret that nobody asked for
//! is neither kept nor logged.

mod connection;
mod object;
mod trouble;

pub(crate) use connection::{Connection, object_name};
pub(crate) use object::Object;
pub(crate) use trouble::Trouble;

use http::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::Client;
use kube::api::{GetParams, ListParams};
use kube::core::request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// How many objects are asked for at once, as kubectl does.
const PAGE: u32 = 500;

/// A cluster, and how long it is waited for.
pub(crate) struct Cluster {
    client: Client,
    /// How long one request may take; absent: for ever.
    patience: Option<Duration>,
}

/// A part of a list. Its objects are read one by one, so that one that cannot be read costs only itself.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<Value>,
}

impl Cluster {
    pub(crate) fn new(client: Client, patience: Option<Duration>) -> Self {
        Self { client, patience }
    }

    /// Reads one object.
    pub(crate) async fn get<T: DeserializeOwned>(&self, object: &Object) -> Result<T, Trouble> {
        let request = request::Request::new(object.collection());
        let what = object.to_string();
        let text = self.ask(&what, request.get(object.name(), &GetParams::default()));
        read(&what, &text.await?)
    }

    /// Reads all objects of a kind in a namespace, or in all of them, by a label selector.
    pub(crate) async fn list(
        &self,
        collection: &Object,
        selector: Option<&str>,
    ) -> Result<Vec<Value>, Trouble> {
        let what = collection.to_string();
        let request = request::Request::new(collection.collection());
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector = selector.map(str::to_owned);
        let mut items = Vec::new();
        loop {
            let page = match self.ask(&what, request.list(&params)).await {
                // What the first page was of is compacted by now: all at once cannot grow old.
                Err(Trouble::TooOld { .. }) if params.continue_token.is_some() => {
                    items.clear();
                    params.continue_token = None;
                    params.limit = None;
                    continue;
                }
                answer => answer?,
            };
            let page: Page = read(&what, &page)?;
            items.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(items),
            }
        }
    }

    async fn ask(
        &self,
        what: &str,
        request: Result<Request<Vec<u8>>, request::Error>,
    ) -> Result<String, Trouble> {
        let request =
            request.map_err(|error| Trouble::of(what, kube::Error::BuildRequest(error)))?;
        let answer = self.client.request_text(request);
        let answer = match self.patience {
            None => answer.await,
            Some(patience) => match tokio::time::timeout(patience, answer).await {
                Ok(answer) => answer,
                Err(_) => return Err(Trouble::late(what, patience)),
            },
        };
        answer.map_err(|error| Trouble::of(what, error))
    }
}

fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|error| Trouble::garbled(what, &error))
}
