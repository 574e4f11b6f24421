//! Checks without an API server what it requires of a schema: it is structural, its lists and texts are
//! bounded where rules look at them, and its messages name a remedy.

use portolan_crds::{ExposeClass, ExposedPort, HostnameHold, manifest};
use serde_json::Value;

fn schemas() -> Vec<(&'static str, Value)> {
    [
        ("ExposedPort", manifest::definition::<ExposedPort>()),
        ("ExposeClass", manifest::definition::<ExposeClass>()),
        ("HostnameHold", manifest::definition::<HostnameHold>()),
    ]
    .into_iter()
    .map(|(kind, definition)| {
        let schema = &definition.unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        (kind, schema.clone())
    })
    .collect()
}

/// Calls `look` for every schema in the tree, with its path.
fn walk(path: &str, schema: &Value, look: &mut dyn FnMut(&str, &Value)) {
    look(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, look);
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            walk(&format!("{path}[]"), &schema[inner], look);
        }
    }
}

#[test]
fn every_schema_is_structural() {
    for (kind, schema) in schemas() {
        walk(kind, &schema, &mut |path, schema| {
            let typed = schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true;
            assert!(typed, "{path} has no type");
            for refused in [
                "$ref",
                "anyOf",
                "oneOf",
                "nullable",
                "uniqueItems",
                "definitions",
            ] {
                assert!(schema[refused].is_null(), "{path} has {refused}");
            }
            let format = schema["format"].as_str().unwrap_or("date-time");
            assert!(
                ["int32", "int64", "date-time"].contains(&format),
                "{path} has format {format}"
            );
        });
    }
}

#[test]
fn every_list_has_a_type_and_every_input_is_bounded() {
    for (kind, schema) in schemas() {
        walk(
            kind,
            &schema,
            &mut |path, schema| match schema["type"].as_str() {
                Some("array") => {
                    assert!(schema["maxItems"].is_u64(), "{path} has no maxItems");
                    assert!(
                        schema["x-kubernetes-list-type"].is_string(),
                        "{path} has no list type"
                    );
                }
                Some("string") if path.contains(".spec") => {
                    let bounded = schema["maxLength"].is_u64()
                        || schema["enum"].is_array()
                        || schema["format"].is_string();
                    assert!(bounded, "{path} has no maxLength");
                }
                Some("integer") if path.contains(".spec") => {
                    assert!(schema["maximum"].is_number(), "{path} has no maximum");
                }
                Some("object") if schema["additionalProperties"].is_object() => {
                    assert!(
                        schema["maxProperties"].is_u64(),
                        "{path} has no maxProperties"
                    );
                }
                _ => {}
            },
        );
    }
}

/// The API server writes field and cause before a message.
#[test]
fn every_rule_has_a_remedy_and_a_field_that_exists() {
    let mut rules = 0;
    for (kind, schema) in schemas() {
        walk(kind, &schema, &mut |path, schema| {
            let all = schema["x-kubernetes-validations"].as_array();
            for rule in all.into_iter().flatten() {
                rules += 1;
                let message = rule["message"].as_str().unwrap_or_default();
                let says = ["must ", "may not ", "may have ", "requires "];
                let required = rule["reason"] == "FieldValueRequired";
                assert!(
                    required || says.iter().any(|says| message.contains(says)),
                    "{path}: {message:?} does not say what would be right"
                );
                assert!(
                    !message.starts_with("spec"),
                    "{path}: the API server writes the field: {message:?}"
                );
                let field = rule["fieldPath"].as_str().unwrap_or_default();
                let names = field.split('.').skip(1);
                let found = names.fold(schema, |schema, name| &schema["properties"][name]);
                assert!(found.is_object(), "{path}{field} does not exist");
            }
        });
    }
    assert!(rules >= 40, "only {rules} rules were seen");
}

#[test]
fn required_fields_are_required() {
    let (_, schema) = schemas().swap_remove(0);
    let spec = &schema["properties"]["spec"];
    assert_eq!(
        spec["required"],
        Value::Null,
        "a rule asks for hostnames or allowedParents"
    );
    assert_eq!(
        spec["properties"]["hostnames"]["x-kubernetes-list-type"],
        "set"
    );
}

#[test]
fn every_field_has_a_description() {
    let mut fields = 0;
    for (kind, schema) in schemas() {
        walk(kind, &schema, &mut |path, schema| {
            // Written by Kubernetes' own types, or the values of a list that is explained itself.
            let (of, name) = path.rsplit_once('.').unwrap_or_default();
            let standard = of == kind && ["apiVersion", "kind", "metadata"].contains(&name);
            if of.is_empty() || standard || path.ends_with("[]") {
                return;
            }
            fields += 1;
            let text = schema["description"].as_str().unwrap_or_default();
            let sentence = text.split("\n\n").next().unwrap_or_default();
            let words = sentence.split_whitespace().count();
            assert!(
                words >= 3 && sentence.ends_with('.'),
                "{path}: {text:?} is no sentence"
            );
        });
    }
    assert!(fields >= 150, "only {fields} fields were seen");
}

/// `kubectl explain` answers what happens when a field is omitted. (The text of an enumeration is that of its
/// type: kube puts it over that of the field.)
#[test]
fn every_optional_choice_documents_its_default() {
    for (kind, schema) in schemas() {
        walk(kind, &schema, &mut |path, schema| {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            let properties = schema["properties"].as_object().into_iter().flatten();
            for (name, property) in properties.filter(|_| path.contains(".spec")) {
                let type_ = property["type"].as_str().unwrap_or_default();
                let choice = property["enum"].is_array() || ["boolean", "integer"].contains(&type_);
                // A field that may only be true, such as `present`, is one of several.
                let only_true = property["enum"] == serde_json::json!([true]);
                let text = property["description"].as_str().unwrap_or_default();
                assert!(
                    !choice
                        || only_true
                        || required.contains(&name.as_str().into())
                        || text.contains("Defaults to")
                        || text.contains("If omitted"),
                    "{path}.{name}: {text:?} does not document the default"
                );
            }
        });
    }
}
