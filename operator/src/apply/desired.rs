//! Desired child with a digest of its manifest, ready to be written.

use super::kind::ChildId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Annotation with the digest of the last desired manifest. It reveals what a comparison cannot: a field that is no
/// longer desired and has to be removed.
pub(super) const DESIRED: &str = "portolan.dev/desired";

/// Desired state of a child, with its digest.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Identity of the object.
    pub id: ChildId,
    /// Complete manifest, with the annotation.
    pub manifest: Value,
    /// Digest of the manifest.
    pub digest: String,
}

impl Desired {
    /// Returns `None` if the manifest has no name or is of a kind that is not written; the core returns neither.
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
    fn digest_changes_with_every_change_and_nothing_else() {
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
