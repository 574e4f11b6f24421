//! Pieces of schema that a derive cannot say: text with a rule and a sentence for whoever breaks it.
//!
//! A rule's message reads `<field>: <problem>; <what would be right>`. Everything that a rule
//! looks at is bounded, because the API server refuses a definition whose rules could cost too much.

use crate::{HOSTNAME_MAX, HOSTNAMES_MAX};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// One label of a DNS name (RFC 1123); case is folded later.
const LABEL: &str = "[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?";

/// `spec.hostnames`: a set of names, perhaps with a leftmost `*`, perhaps ending in `.*` for the class's domain.
pub(crate) fn hostnames(_: &mut SchemaGenerator) -> Schema {
    let name = format!(r"^((\*\.)?{LABEL}(\.{LABEL})*(\.\*|\.)?|\*\.\*)$");
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": HOSTNAMES_MAX,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": HOSTNAME_MAX,
            "x-kubernetes-validations": [
                {
                    "rule": r"!self.matches('^[0-9.]+$') && !self.contains(':')",
                    "message": "spec.hostnames: an IP address is no hostname; write a DNS name such as shop.example.com",
                    "messageExpression": r#"'spec.hostnames: "' + self + '" is an IP address; write a DNS name such as shop.example.com'"#,
                },
                {
                    "rule": format!("self.matches('^[0-9.]+$') || self.contains(':') || self.matches('{}')", name.replace('\\', r"\\")),
                    "message": "spec.hostnames: not a DNS name; write labels of at most 63 letters, digits and inner hyphens with dots between, perhaps with *. before or .* (the domain of the class) behind",
                    "messageExpression": r#"'spec.hostnames: "' + self + '" is not a DNS name; write labels of at most 63 letters, digits and inner hyphens with dots between, perhaps with *. before or .* (the domain of the class) behind'"#,
                },
            ],
        },
    })
}

/// A port by number or by name.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    let message =
        "spec.port: not a port; write a number from 1 to 65535 or the name of a port, such as http";
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int ? (self >= 1 && self <= 65535) : self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches('[a-z]')",
            "message": message,
        }],
    })
}

/// An amount of a resource, as in `resources` of a container.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 32,
        "pattern": r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$",
    })
}

/// The labels that choose pods.
pub(crate) fn selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 63},
    })
}

/// Annotations that are copied as they are.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// Turns a derived schema into one that an API server takes without a warning.
///
/// - `format: uint16` and the like are unknown to it; the bounds beside them say the same.
/// - `nullable` would let a stored null differ from an absent field; every field of ours may be left out, none may be null.
pub(crate) fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields
                .get("format")
                .and_then(Value::as_str)
                .is_some_and(|format| format.starts_with("uint"))
            {
                fields.remove("format");
            }
            if fields.get("nullable") == Some(&json!(true)) {
                fields.remove("nullable");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
