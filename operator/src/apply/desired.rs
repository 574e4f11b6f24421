//! What a child should be, made ready to be written: with a mark by which it is known again.

use super::kind::ChildId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The annotation that holds the digest of what was last desired. With it, a pass sees also what a
/// comparison cannot: a field that is desired no longer, and so must vanish.
pub(super) const DESIRED: &str = "portolan.dev/desired";

/// A child as it should be, with its mark.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Which object.
    pub id: ChildId,
    /// The whole manifest, marked.
    pub manifest: Value,
    /// The mark.
    pub digest: String,
}

impl Desired {
    /// `None` when the manifest is of no kind that we write, or has no name; the core makes no such thing.
    pub fn new(mut manifest: Value) -> Option<Self> {
        let id = ChildId::of(&manifest)?;
        let digest = digest(&manifest);
        let metadata = manifest.get_mut("metadata")?.as_object_mut()?;
        metadata
            .entry("annotations")
            .or_insert_with(|| json!({}))
            .as_object_mut()?
            .insert(DESIRED.to_owned(), Value::String(digest.clone()));
        Some(Self {
            id,
            manifest,
            digest,
        })
    }
}

/// 128 bits of SHA-256 over a form that does not depend on the order of fields.
fn digest(manifest: &Value) -> String {
    let mut hash = Sha256::new();
    feed(&mut hash, manifest);
    let digest = hash.finalize();
    hex::encode(digest.get(..16).unwrap_or(&digest))
}

fn feed(hash: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| name.as_str());
            hash.update(format!("{{{}", fields.len()));
            for (name, value) in fields {
                hash.update(format!("{}:{name}", name.len()));
                feed(hash, value);
            }
        }
        Value::Array(elements) => {
            hash.update(format!("[{}", elements.len()));
            elements.iter().for_each(|element| feed(hash, element));
        }
        Value::String(text) => hash.update(format!("\"{}:{text}", text.len())),
        scalar => hash.update(format!("={scalar};")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(spec: Value) -> Desired {
        let metadata = json!({"name": "shop", "namespace": "team-a"});
        Desired::new(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}),
        )
        .unwrap()
    }

    #[test]
    fn the_mark_changes_with_every_change_and_with_nothing_else() {
        let base = service(json!({"a": 1, "b": ["x"]}));
        let reordered: Value = serde_json::from_str(r#"{"b": ["x"], "a": 1}"#).unwrap();
        assert_eq!(base.digest, service(reordered).digest);
        for other in [
            json!({"a": 1}),
            json!({"a": "1", "b": ["x"]}),
            json!({"a": 1, "b": ["x", ""]}),
            json!({"a": 1, "b": [["x"]]}),
        ] {
            assert_ne!(base.digest, service(other).digest);
        }
        let annotations = &base.manifest["metadata"]["annotations"];
        assert_eq!(annotations[DESIRED], base.digest);
    }
}
