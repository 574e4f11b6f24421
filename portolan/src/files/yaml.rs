//! YAML as `kubectl apply` reads it, with the line of every field.
//!
//! kubectl converts YAML to JSON by the rules of YAML 1.1: a plain `on` is true, a plain `0777` is 511.
//! A folder must mean here what it means in a cluster, so the same rules apply.
//!
//! Everything is bounded: nesting, and the growth of a document by aliases.

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag, options};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// Maximum nesting of collections; the deepest field of a Kubernetes object is at about 20.
const NESTING: usize = 64;
/// Maximum number of values of a document, counting those that aliases repeat each time.
const VALUES: usize = 200_000;

/// One document of a file.
#[derive(Debug, PartialEq)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) lines: Lines,
}

/// Line of each field of a document in its file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Lines {
    first: usize,
    /// Lines by paths such as `spec.hostnames[1]`.
    fields: HashMap<String, usize>,
}

/// Error in the syntax of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    /// Empty if unknown.
    pub(super) field: String,
    pub(super) problem: String,
}

impl Lines {
    /// Returns the line of a field, or of its nearest present parent.
    pub(crate) fn of(&self, field: &str) -> usize {
        let mut path = field;
        loop {
            if let Some(line) = self.fields.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = path.get(..end).unwrap_or_default(),
                None => return self.first,
            }
        }
    }

    /// Returns the lines of an item, as if it were a document.
    pub(super) fn below(&self, prefix: &str) -> Self {
        let inner = self.fields.iter().filter_map(|(path, line)| {
            let rest = path.strip_prefix(prefix)?.strip_prefix('.')?;
            Some((rest.to_owned(), *line))
        });
        Self {
            first: self.of(prefix),
            fields: inner.collect(),
        }
    }
}

/// Parses the documents of a file, without empty ones. An invalid one does not affect those after it.
pub(super) fn documents(text: &str) -> Vec<Result<Document, SyntaxError>> {
    let options = options! {
        emit_comments: false,
        flow_nesting_limit: NESTING,
        block_nesting_limit: NESTING,
    };
    let mut events = Parser::new_from_str_with_options(text, options);
    let mut documents = Vec::new();
    loop {
        let mut composer = Composer::new(&mut events);
        match composer.document() {
            Ok(Some(document)) if document.value.is_null() => {}
            Ok(Some(document)) => documents.push(Ok(document)),
            Ok(None) => return documents,
            Err(error) => {
                documents.push(Err(error));
                if !events.proceed_next_document().unwrap_or(false) {
                    return documents;
                }
            }
        }
    }
}

/// Builds a value from the events of a document.
struct Composer<'p, 'text> {
    events: &'p mut Parser<'text, StrInput<'text>>,
    /// Value of each anchor, and its number of values.
    anchors: HashMap<usize, (Value, usize)>,
    lines: Lines,
    path: String,
    values: usize,
}

impl<'p, 'text> Composer<'p, 'text> {
    fn new(events: &'p mut Parser<'text, StrInput<'text>>) -> Self {
        Self {
            events,
            anchors: HashMap::new(),
            lines: Lines::default(),
            path: String::new(),
            values: 0,
        }
    }

    /// Returns the next document; `None` at the end of the file.
    fn document(&mut self) -> Result<Option<Document>, SyntaxError> {
        loop {
            let Some((event, _)) = self.next()? else {
                return Ok(None);
            };
            match event {
                Event::DocumentStart(..) => break,
                Event::StreamEnd => return Ok(None),
                _ => {}
            }
        }
        let (event, span) = self.expect()?;
        self.lines.first = span.start.line();
        let value = self.node(event, span)?;
        Ok(Some(Document {
            value,
            lines: std::mem::take(&mut self.lines),
        }))
    }

    fn next(&mut self) -> Result<Option<(Event<'text>, Span)>, SyntaxError> {
        let next = self.events.next_event().transpose();
        next.map_err(|error| SyntaxError {
            line: error.marker().line(),
            field: String::new(),
            problem: format!("invalid YAML: {}", error.info()),
        })
    }

    fn expect(&mut self) -> Result<(Event<'text>, Span), SyntaxError> {
        let line = self.lines.first;
        self.next()?.ok_or_else(|| SyntaxError {
            line,
            field: String::new(),
            problem: "unexpected end of document".to_owned(),
        })
    }

    fn error(&self, span: Span, problem: impl Into<String>) -> SyntaxError {
        SyntaxError {
            line: span.start.line(),
            field: self.path.clone(),
            problem: problem.into(),
        }
    }

    fn count(&mut self, span: Span, values: usize) -> Result<(), SyntaxError> {
        self.values = self.values.saturating_add(values);
        if self.values > VALUES {
            let problem = format!("Too many: the document has more than {VALUES} values; split it");
            return Err(self.error(span, problem));
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'text>, span: Span) -> Result<Value, SyntaxError> {
        self.count(span, 1)?;
        if !self.path.is_empty() {
            let line = span.start.line();
            self.lines.fields.entry(self.path.clone()).or_insert(line);
        }
        let before = self.values;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, self.scalar(&text, style, tag.as_deref(), span)?)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.only_core(tag, span)?;
                (anchor, self.sequence()?)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.only_core(tag, span)?;
                (anchor, self.mapping(span)?)
            }
            Event::Alias(anchor) => {
                // An alias inside its own anchor is unknown: the anchor is not complete yet.
                let Some((value, values)) = self.anchors.get(&anchor).cloned() else {
                    return Err(self.error(span, "unknown alias"));
                };
                self.count(span, values)?;
                return Ok(value);
            }
            _ => return Err(self.error(span, "missing value")),
        };
        if anchor != 0 {
            let values = self.values - before + 1;
            self.anchors.insert(anchor, (value.clone(), values));
        }
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Value, SyntaxError> {
        let mut items = Vec::new();
        let length = self.path.len();
        loop {
            let (event, span) = self.expect()?;
            if event == Event::SequenceEnd {
                return Ok(Value::Array(items));
            }
            self.path.push_str(&format!("[{}]", items.len()));
            items.push(self.node(event, span)?);
            self.path.truncate(length);
        }
    }

    fn mapping(&mut self, start: Span) -> Result<Value, SyntaxError> {
        let mut fields = Map::new();
        let mut merged = Vec::new();
        let length = self.path.len();
        loop {
            let (event, span) = self.expect()?;
            if event == Event::MappingEnd {
                break;
            }
            let merges =
                matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.key(event, span)?;
            if length > 0 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            self.lines
                .fields
                .insert(self.path.clone(), span.start.line());
            let (event, of_value) = self.expect()?;
            let value = self.node(event, of_value)?;
            if merges {
                merged.push(value);
            } else if fields.insert(key, value).is_some() {
                return Err(self.error(span, "duplicate field; keep one"));
            }
            self.path.truncate(length);
        }
        self.merge(&mut fields, merged, start)?;
        Ok(Value::Object(fields))
    }

    /// Merges keys (YAML 1.1): those of the mapping itself take precedence, then earlier sources.
    fn merge(
        &self,
        into: &mut Map<String, Value>,
        merged: Vec<Value>,
        span: Span,
    ) -> Result<(), SyntaxError> {
        let sources = merged.into_iter().flat_map(|value| match value {
            Value::Array(values) => values,
            value => vec![value],
        });
        for source in sources {
            let Value::Object(fields) = source else {
                return Err(self.error(span, "`<<` must be a mapping or a list of mappings"));
            };
            for (key, value) in fields {
                into.entry(key).or_insert(value);
            }
        }
        Ok(())
    }

    /// Converts a key to a string, as in JSON.
    fn key(&mut self, event: Event<'text>, span: Span) -> Result<String, SyntaxError> {
        self.count(span, 1)?;
        let Event::Scalar(text, style, _, tag) = event else {
            return Err(self.error(span, "field names must be strings"));
        };
        match self.scalar(&text, style, tag.as_deref(), span)? {
            Value::String(text) => Ok(text),
            Value::Null => Err(self.error(span, "missing field name")),
            other => Ok(other.to_string()),
        }
    }

    fn scalar(
        &self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Value, SyntaxError> {
        let string = || Value::String(text.to_owned());
        let Some(tag) = tag else {
            return match style {
                ScalarStyle::Plain => resolve(text).map_err(|problem| self.error(span, problem)),
                _ => Ok(string()),
            };
        };
        let tag_type = tag.core_suffix();
        let resolved = resolve(text).map_err(|problem| self.error(span, problem))?;
        let fits = match tag_type {
            Some("str") => return Ok(string()),
            Some("null") => resolved.is_null(),
            Some("bool") => resolved.is_boolean(),
            Some("int") => resolved.is_i64() || resolved.is_u64(),
            Some("float") => resolved.is_number(),
            _ => false,
        };
        if fits {
            return Ok(resolved);
        }
        Err(self.error(
            span,
            format!(
                "Invalid value: {text:?}: must be of type {}",
                tag.original()
            ),
        ))
    }

    fn only_core(&self, tag: Option<Cow<'_, Tag>>, span: Span) -> Result<(), SyntaxError> {
        match tag {
            Some(tag) if !matches!(tag.core_suffix(), Some("map" | "seq")) => Err(self.error(
                span,
                format!("unsupported tag {}; remove it", tag.original()),
            )),
            _ => Ok(()),
        }
    }
}

/// Resolves a plain scalar like Go's yaml.v2, which kubectl uses.
fn resolve(text: &str) -> Result<Value, String> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Ok(Value::Bool(true));
        }
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Ok(Value::Bool(false));
        }
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => return Err(format!("{text} is not a JSON number")),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(Value::String(text.to_owned()));
    }
    Ok(number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

fn number(text: &str) -> Option<Number> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let radix = |prefix: &str, radix| Some((digits.strip_prefix(prefix)?, radix));
    let (digits, base) = radix("0x", 16)
        .or_else(|| radix("0X", 16))
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0", 8).filter(|(rest, _)| !rest.is_empty()))
        .unwrap_or((digits, 10));
    let unsigned = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if unsigned && let Ok(whole) = i128::from_str_radix(digits, base) {
        let whole = if negative { -whole } else { whole };
        return i64::try_from(whole)
            .map(Number::from)
            .or_else(|_| u64::try_from(whole).map(Number::from))
            .ok();
    }
    // `1e3` and `.5` are numbers, `1.2.3` and `12:30` are text.
    let float = plain
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    if !float {
        return None;
    }
    Number::from_f64(plain.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(text: &str) -> Value {
        let mut all = documents(text);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0).unwrap().value
    }

    fn error(text: &str) -> SyntaxError {
        documents(text).into_iter().find_map(Result::err).unwrap()
    }

    #[test]
    fn resolves_scalars_like_kubectl() {
        for (text, value) in [
            ("on", json!(true)),
            ("y", json!(true)),
            ("No", json!(false)),
            ("'on'", json!("on")),
            ("\"no\"", json!("no")),
            ("!!str on", json!("on")),
            ("~", json!(null)),
            ("8080", json!(8080)),
            ("0777", json!(511)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("-7", json!(-7)),
            ("1_000", json!(1000)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("08", json!(8.0)),
            ("1.2.3", json!("1.2.3")),
            ("12:30", json!("12:30")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("2026-01-01", json!("2026-01-01")),
            ("-x", json!("-x")),
            ("5s", json!("5s")),
            ("once", json!("once")),
        ] {
            assert_eq!(one(&format!("a: {text}"))["a"], value, "{text}");
        }
        assert_eq!(one("{on: 1, 80: 2}"), json!({"true": 1, "80": 2}));
    }

    #[test]
    fn records_the_line_of_every_field() {
        let text = "# first\nkind: X\nspec:\n  hosts:\n  - a\n  - b\n  tls: {mode:\n    c}\n---\nkind: Y\n";
        let all = documents(text);
        let first = all[0].as_ref().unwrap();
        for (field, line) in [
            ("kind", 2),
            ("spec", 3),
            ("spec.hosts[1]", 6),
            ("spec.tls.mode", 7),
            ("spec.hosts[7].x", 4),
            ("absent", 2),
        ] {
            assert_eq!(first.lines.of(field), line, "{field}");
        }
        assert_eq!(all[1].as_ref().unwrap().lines.of("kind"), 10);
        assert_eq!(first.lines.below("spec").of("tls.mode"), 7);
    }

    #[test]
    fn an_invalid_document_does_not_hide_the_next_one() {
        let all = documents("a: 1\n---\nb: [\n---\nc: 3\n");
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(all[1].is_err());
        assert_eq!(all[2].as_ref().unwrap().value, json!({"c": 3}));
    }

    #[test]
    fn rejects_what_kubectl_rejects_with_its_line() {
        let twice = error("a: 1\nb:\n  c: 1\n  c: 2\n");
        assert_eq!((twice.line, twice.field.as_str()), (4, "b.c"));
        assert_eq!(error("a: !x 1").line, 1);
        assert_eq!(error("a: !!int x").field, "a");
        assert!(error("a: .nan").problem.contains("not a JSON number"));
        assert!(error("a:\n\t- b").problem.starts_with("invalid YAML"));
        assert!(error("a: *missing").line == 1);
    }

    #[test]
    fn resolves_anchors_and_merge_keys() {
        let text = "base: &b {x: 1, z: 2}\nmade:\n  <<: *b\n  z: 3\nmore: *b\n";
        let made = one(text);
        assert_eq!(made["made"], json!({"x": 1, "z": 3}));
        assert_eq!(made["more"], json!({"x": 1, "z": 2}));
    }

    #[test]
    fn limits_the_growth_by_aliases() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
        }
        assert!(error(&text).problem.contains("200000"));
        let deep = format!("a: {}", "[".repeat(1000));
        assert_eq!(error(&deep).line, 1);
    }

    #[test]
    fn reads_json_too() {
        let text = "{\n\t\"kind\": \"X\",\n\t\"spec\": {\"a\": [true, 1.5, \"\\u00e9\"]}\n}\n";
        assert_eq!(
            one(text),
            json!({"kind": "X", "spec": {"a": [true, 1.5, "\u{e9}"]}})
        );
    }

    proptest! {
        #[test]
        fn reads_back_any_json(
            keys in prop::collection::btree_set("[a-z]{1,8}", 0..6),
            text in "\\PC{0,20}", number in any::<i64>(), flag in any::<bool>(),
        ) {
            let fields = keys.into_iter().map(|key| (key, json!([text, number, flag, {"t": text}])));
            let value = Value::Object(fields.collect());
            let read = documents(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert_eq!(&read[0].as_ref().unwrap().value, &value);
        }

        #[test]
        fn never_panics(text in "[-a-z:{}\\[\\]&*!|>'\"#% \\n\\t.,?]{0,80}") {
            for document in documents(&text) {
                if let Err(error) = document {
                    prop_assert!(!error.problem.is_empty());
                }
            }
        }
    }
}
