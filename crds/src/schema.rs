//! Pieces of schema that a derive cannot express: text with a rule and a message.
//!
//! The API server writes the field, the cause and the value before a message, so a message of [`messages`] is
//! only the detail. Everything that a rule looks at is bounded, because the API server refuses a definition
//! whose rules could cost too much.

use crate::{
    CHILD_LABELS_MAX, DOMAINS_MAX, EDITS_MAX, EXPRESSIONS_MAX, HOSTNAME_MAX, HOSTNAMES_MAX,
    LABEL_VALUES_MAX, ORIGINS_MAX, PATH_MAX, VALUE_MAX, WEIGHT_MAX, messages,
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// One label of a DNS name (RFC 1123); case is folded later.
const LABEL: &str = "[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?";

/// A set of at most `max` DNS names with these rules.
fn names(max: usize, rules: Value) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": max,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": HOSTNAME_MAX,
            "x-kubernetes-validations": rules,
        },
    })
}

/// A regular expression as it stands in quotes in a rule.
fn quoted(expression: &str) -> String {
    format!("'{}'", expression.replace('\\', r"\\"))
}

/// `spec.hostnames`: a set of names, optionally with a leftmost `*`, or ending in `.*` for the domain of the class.
pub(crate) fn hostnames(_: &mut SchemaGenerator) -> Schema {
    let name = quoted(&format!(r"^((\*\.)?{LABEL}(\.{LABEL})*(\.\*|\.)?|\*\.\*)$"));
    names(
        HOSTNAMES_MAX,
        json!([
            {
                "rule": r"!self.matches('^[0-9.]+$') && !self.contains(':')",
                "message": messages::HOSTNAME_ADDRESS,
            },
            {
                "rule": format!("self.matches('^[0-9.]+$') || self.contains(':') || self.matches({name})"),
                "message": messages::HOSTNAME,
            },
        ]),
    )
}

/// Names of domains, optionally with `{namespace}` as a part.
pub(crate) fn domains(_: &mut SchemaGenerator) -> Schema {
    let name = quoted(&format!(r"^{LABEL}(\.{LABEL})*$"));
    names(
        DOMAINS_MAX,
        json!([{
            "rule": format!("self.replace('{{namespace}}', 'n').matches({name})"),
            "message": messages::DOMAIN,
        }]),
    )
}

/// Hostnames of a certificate: whole names, or wildcards for one label.
pub(crate) fn certified_hostnames(_: &mut SchemaGenerator) -> Schema {
    let name = quoted(&format!(r"^(\*\.)?{LABEL}(\.{LABEL})*$"));
    names(
        HOSTNAMES_MAX,
        json!([{
            "rule": format!("self.matches({name})"),
            "message": messages::CERTIFICATE_HOSTNAME,
        }]),
    )
}

/// A port by number or by name.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 63,
        "x-kubernetes-validations": [
            {
                "rule": "type(self) != int || (self >= 1 && self <= 65535)",
                "message": messages::PORT_NUMBER,
            },
            {
                "rule": "type(self) == int || (self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches('[a-z]'))",
                "message": messages::PORT_NAME,
            },
        ],
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

/// `spec.proxy.ipFamilies`: one or both, the preferred one first.
pub(crate) fn ip_families(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
        "x-kubernetes-list-type": "atomic",
        "items": {"type": "string", "enum": ["IPv4", "IPv6"]},
        "x-kubernetes-validations": [{
            "rule": "self.size() < 2 || self[0] != self[1]",
            "message": "must list each family once, the preferred one first",
        }],
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

/// Annotations that are copied unchanged.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// Labels that are copied unchanged; the operator validates their names.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    labelled(CHILD_LABELS_MAX)
}

/// Labels that a selector requires.
pub(crate) fn match_labels(_: &mut SchemaGenerator) -> Schema {
    labelled(EXPRESSIONS_MAX)
}

fn labelled(max: usize) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": max,
        "additionalProperties": label_value(),
    })
}

/// Values of a label, each once.
pub(crate) fn label_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": LABEL_VALUES_MAX,
        "x-kubernetes-list-type": "set",
        "items": label_value(),
    })
}

fn label_value() -> Value {
    json!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
            "message": messages::LABEL_VALUE,
        }],
    })
}

/// The name of a label, optionally with a DNS prefix.
pub(crate) fn label_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 317,
        "x-kubernetes-validations": [{
            "rule": r"self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",
            "message": messages::QUALIFIED_NAME,
        }],
    })
}

/// Names of annotations, each once.
pub(crate) fn annotation_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 317},
    })
}

/// A duration as in GEP-2257, or `infinity`.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 2,
        "maxLength": 32,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^(infinity|([0-9]{1,5}(h|m|s|ms)){1,4})$')",
            "message": messages::DURATION,
        }],
    })
}

/// A duration as in GEP-2257 that is not zero.
pub(crate) fn lifetime(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 2,
        "maxLength": 32,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') && self.matches('[1-9]')",
            "message": messages::LIFETIME,
        }],
    })
}

/// A duration as in GEP-2257 of 5 s to 24 h.
pub(crate) fn lease(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 2,
        "maxLength": 32,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$') && duration(self) >= duration('5s') && duration(self) <= duration('24h')",
            "message": messages::LEASE,
        }],
    })
}

/// A normalised path; the operator validates the escapes.
pub(crate) fn path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": PATH_MAX,
        "x-kubernetes-validations": [{
            "rule": r"self.matches('^/[^?# \\\\]*$')",
            "message": messages::PATH,
        }],
    })
}

/// The name of a method (RFC 9110 9.1).
pub(crate) fn method(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 32,
        "x-kubernetes-validations": [{
            "rule": "self.matches('^[A-Z][A-Z0-9-]*$')",
            "message": messages::METHOD,
        }],
    })
}

/// Methods, each once.
pub(crate) fn methods(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 32, "pattern": "^[A-Z][A-Z0-9-]*$"},
    })
}

/// Names of header fields, each once (RFC 9110 5.6.2).
pub(crate) fn field_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": EDITS_MAX,
        "x-kubernetes-list-type": "set",
        "items": {"type": "string", "minLength": 1, "maxLength": 256, "pattern": FIELD_NAME},
    })
}

/// `token` of RFC 9110 5.6.2.
const FIELD_NAME: &str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";

/// The value of a header field: one line, of what can be seen (RFC 9110 5.5).
pub(crate) fn field_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": VALUE_MAX, "pattern": FIELD_VALUE})
}

const FIELD_VALUE: &str = r"^[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?$";

/// Names of header fields with values; the operator validates the names.
pub(crate) fn fields(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": EDITS_MAX,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": VALUE_MAX, "pattern": FIELD_VALUE},
    })
}

/// Origins as a browser writes them (RFC 6454 6.2).
pub(crate) fn origins(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": ORIGINS_MAX,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 270,
            "x-kubernetes-validations": [{
                "rule": r"self.matches('^(\\*|https?://(\\*\\.)?[-A-Za-z0-9.]+(:[0-9]{1,5})?)$')",
                "message": messages::ORIGIN,
            }],
        },
    })
}

/// Networks, as an address and the length of its prefix.
pub(crate) fn cidrs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "minLength": 1,
            "maxLength": 43,
            "x-kubernetes-validations": [{
                "rule": "isCIDR(self)",
                "message": messages::CIDR,
            }],
        },
    })
}

/// A share of the requests.
pub(crate) fn weight(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "format": "int32",
        "maximum": WEIGHT_MAX,
        "x-kubernetes-validations": [{
            "rule": "self >= 0",
            "message": messages::WEIGHT,
        }],
    })
}

/// The statuses of a redirect.
pub(crate) fn redirect_status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "format": "int32",
        "minimum": 301,
        "maximum": 308,
        "enum": [301, 302, 303, 307, 308],
    })
}

/// A boolean that may only be true.
pub(crate) fn always_true(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "boolean", "enum": [true]})
}

/// Turns a derived schema into one that an API server accepts without a warning.
///
/// - `format: uint16` and the like are unknown to it; the bounds beside them are equivalent.
/// - Lines of a description end where the source wrapped them; `kubectl explain` wraps by itself, and shows
///   an example as it stands here, without fences.
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
            if let Some(Value::String(text)) = fields.get_mut("description") {
                let paragraphs = text.split("\n\n").map(|text| match example(text) {
                    Some(lines) => lines.to_owned(),
                    None => text.replace('\n', " "),
                });
                *text = paragraphs.collect::<Vec<_>>().join("\n\n");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// The text between fences.
fn example(paragraph: &str) -> Option<&str> {
    let (_, lines) = paragraph.strip_prefix("```")?.split_once('\n')?;
    lines.strip_suffix("\n```")
}
