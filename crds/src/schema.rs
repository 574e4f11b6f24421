//! Pieces of schema that a derive cannot say: text with a rule and a sentence for whoever breaks it.
//!
//! A rule's message reads `<field>: <problem>; <what would be right>`, in the words of the operator, which
//! judges files and older objects; a number in a list it does not know, nor does it repeat a value: the API
//! server writes both before it. Everything that a rule or its message looks at is bounded, because the API
//! server refuses a definition whose rules could cost too much; the text of a number is not (`string(self)`).

use crate::{
    CHILD_LABELS_MAX, DOMAINS_MAX, EDITS_MAX, EXPRESSIONS_MAX, HOSTNAME_MAX, HOSTNAMES_MAX,
    LABEL_VALUES_MAX, ORIGINS_MAX, PATH_MAX, VALUE_MAX, WEIGHT_MAX,
};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// One label of a DNS name (RFC 1123); case is folded later.
const LABEL: &str = "[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?";

/// A set of at most so many DNS names, each judged by these rules.
fn names(most: usize, rules: Value) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": most,
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

/// `spec.hostnames`: a set of names, perhaps with a leftmost `*`, perhaps ending in `.*` for the class's domain.
pub(crate) fn hostnames(_: &mut SchemaGenerator) -> Schema {
    let name = quoted(&format!(r"^((\*\.)?{LABEL}(\.{LABEL})*(\.\*|\.)?|\*\.\*)$"));
    names(
        HOSTNAMES_MAX,
        json!([
            {
                "rule": r"!self.matches('^[0-9.]+$') && !self.contains(':')",
                "message": "spec.hostnames: an IP address is no hostname; write a DNS name such as shop.example.com",
                "messageExpression": r#"'spec.hostnames: "' + self + '" is an IP address; write a DNS name such as shop.example.com'"#,
            },
            {
                "rule": format!("self.matches('^[0-9.]+$') || self.contains(':') || self.matches({name})"),
                "message": "spec.hostnames: not a DNS name; write labels of at most 63 letters, digits and inner hyphens with dots between, perhaps with *. before or .* (the domain of the class) behind",
                "messageExpression": r#"'spec.hostnames: "' + self + '" is not a DNS name; write labels of at most 63 letters, digits and inner hyphens with dots between, perhaps with *. before or .* (the domain of the class) behind'"#,
            },
        ]),
    )
}

/// Names of domains, perhaps with `{namespace}` as a part.
pub(crate) fn domains(_: &mut SchemaGenerator) -> Schema {
    let name = quoted(&format!(r"^{LABEL}(\.{LABEL})*$"));
    names(
        DOMAINS_MAX,
        json!([{
            "rule": format!("self.replace('{{namespace}}', 'n').matches({name})"),
            "message": "spec.hostnames.domains: not a DNS name; write labels of letters, digits and inner hyphens with dots between, perhaps with {namespace}; a name stands for all below it, so no wildcard is needed",
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
            "message": "spec.certificates.shared.hostnames: not a DNS name; write labels of letters, digits and inner hyphens with dots between, perhaps with *. before",
        }]),
    )
}

/// A port by number or by name.
pub(crate) fn port(_: &mut SchemaGenerator) -> Schema {
    port_of("spec.port")
}

/// A port of a backend.
pub(crate) fn backend_port(_: &mut SchemaGenerator) -> Schema {
    port_of("spec.routes.backends.port")
}

fn port_of(field: &str) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 63,
        "x-kubernetes-validations": [
            {
                "rule": "type(self) != int || (self >= 1 && self <= 65535)",
                "message": format!("{field}: is no port; write a number from 1 to 65535"),
            },
            {
                "rule": "type(self) == int || (self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self.matches('[a-z]'))",
                "message": format!("{field}: is no name of a port; write small letters, digits and inner hyphens, such as http, or a number"),
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
            "message": "spec.proxy.ipFamilies: a family is given twice; write each once, the preferred one first",
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

/// Annotations that are copied as they are.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 4096},
    })
}

/// Labels that are copied as they are; the operator judges their names.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    labelled(CHILD_LABELS_MAX)
}

/// Labels that something must have.
pub(crate) fn match_labels(_: &mut SchemaGenerator) -> Schema {
    labelled(EXPRESSIONS_MAX)
}

fn labelled(most: usize) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": most,
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
            "message": "a label: not a value of a label; write letters, digits, hyphens, underscores and dots, with a letter or digit at both ends",
        }],
    })
}

/// The name of a label, perhaps with the domain of whoever defines it.
pub(crate) fn label_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": 317,
        "x-kubernetes-validations": [{
            "rule": r"self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",
            "message": "namespaceSelector.matchExpressions.key: not the name of a label; write letters, digits, hyphens, underscores and dots, perhaps with a domain and a slash before, such as team.example.com/tier",
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
            "message": "a duration: cannot be read; write numbers with units, such as 150ms, 15s or 1h30m, 0s or infinity for no limit",
            "messageExpression": r#"'a duration: "' + self + '" cannot be read; write numbers with units, such as 150ms, 15s or 1h30m, 0s or infinity for no limit'"#,
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
            "message": "spec.expiresAfter: cannot be read; write how long the object is wanted, such as 30m, 2h or 168h",
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
            "message": "spec.lease.duration: is no duration of a lease; write 5s to 24h, several times as long as from one renewal to the next",
        }],
    })
}

/// A path as it is after normalisation; the operator judges the escapes.
pub(crate) fn path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": PATH_MAX,
        "x-kubernetes-validations": [{
            "rule": r"self.matches('^/[^?# \\\\]*$')",
            "message": "a path: does not begin with a slash, or has a question mark, hash, backslash or space; write it such as /blog, without query",
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
            "message": "a method: not the name of a method; write it in capitals, such as GET",
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

/// Names of header fields with values; the operator judges the names.
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
                "message": "cors.allowOrigins: not an origin; write scheme and host without a path, such as https://app.example.com, perhaps with *. before the host, or * for all",
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
                "message": "spec.proxy.deniedCIDRs: not a network; write an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8",
                "messageExpression": r#"'spec.proxy.deniedCIDRs: "' + self + '" is not a network; write an address and the length of its prefix, such as 10.0.0.0/8 or fd00::/8'"#,
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
            "message": format!("spec.routes.backends.weight: is negative; write 0 to send nothing there, or a number up to {WEIGHT_MAX}"),
        }],
    })
}

/// The statuses that send a client elsewhere.
pub(crate) fn redirect_status(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "integer",
        "format": "int32",
        "minimum": 301,
        "maximum": 308,
        "enum": [301, 302, 303, 307, 308],
    })
}

/// A field that only says yes.
pub(crate) fn always_true(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "boolean", "enum": [true]})
}

/// Turns a derived schema into one that an API server takes without a warning.
///
/// - `format: uint16` and the like are unknown to it; the bounds beside them say the same.
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
                let paragraphs = text.split("\n\n").map(|it| match example(it) {
                    Some(lines) => lines.to_owned(),
                    None => it.replace('\n', " "),
                });
                *text = paragraphs.collect::<Vec<_>>().join("\n\n");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

/// What stands between fences.
fn example(paragraph: &str) -> Option<&str> {
    let (_, lines) = paragraph.strip_prefix("```")?.split_once('\n')?;
    lines.strip_suffix("\n```")
}
