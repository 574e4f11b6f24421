//! A page of docs/guides/examples: YAML, a table of requests with their answers, a table of objects with
//! their status.

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use portolan_e2e::client::Scheme;
use std::fs;
use std::path::Path;

/// One example.
#[derive(Debug)]
pub(super) struct Page {
    /// Name of its file.
    pub(super) name: String,
    pub(super) yaml: String,
    pub(super) requests: Vec<RequestCase>,
    pub(super) statuses: Vec<ExpectedStatus>,
}

/// A request and its expected response.
#[derive(Debug)]
pub(super) struct RequestCase {
    pub(super) method: Method,
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) path: String,
    /// Name and value.
    pub(super) fields: Vec<(String, String)>,
    pub(super) status: u16,
    pub(super) expected: Vec<Expectation>,
}

/// Expectation of a response beside its status.
#[derive(Debug)]
pub(super) enum Expectation {
    /// This application answered.
    From(String),
    /// The application was asked for this path.
    Path(String),
    Body(String),
    Field(String, String),
}

/// Expected status of an object.
#[derive(Debug)]
pub(super) struct ExpectedStatus {
    /// `None`: that in which the page is applied.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// `None`: it is Ready.
    pub(super) reason: Option<String>,
}

/// Every page, but for the one that lists them.
pub(super) fn all() -> Result<Vec<Page>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guides/examples");
    let mut pages = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.unwrap_or_default().to_owned();
        if name != "README" {
            let text = fs::read_to_string(&path)?;
            pages.push(
                read(&name, &text).with_context(|| format!("docs/guides/examples/{name}.md"))?,
            );
        }
    }
    pages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(pages)
}

fn read(name: &str, text: &str) -> Result<Page> {
    let (_, behind) = text.split_once("```yaml\n").context("no YAML")?;
    let (yaml, behind) = behind.split_once("```").context("the YAML does not end")?;
    let mut page = Page {
        name: name.to_owned(),
        yaml: yaml.to_owned(),
        requests: Vec::new(),
        statuses: Vec::new(),
    };
    let mut of_objects = false;
    for line in behind.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        match cells.as_slice() {
            ["request", "answer"] => of_objects = false,
            ["object", "status"] => of_objects = true,
            [object, status] if of_objects => page.statuses.push(expected_status(object, status)?),
            [request, response] => page.requests.push(request_case(request, response)?),
            _ => bail!("{line}: not two cells"),
        }
    }
    ensure!(!page.statuses.is_empty(), "no table of statuses");
    Ok(page)
}

/// Texts in backquotes, each with the word before.
fn quoted(cell: &str) -> Vec<(&str, &str)> {
    let mut parts = cell.split('`');
    let mut found = Vec::new();
    while let (Some(text), Some(code)) = (parts.next(), parts.next()) {
        found.push((text.split_whitespace().last().unwrap_or_default(), code));
    }
    found
}

fn request_case(request: &str, response: &str) -> Result<RequestCase> {
    let cells = quoted(request);
    let ((_, first), fields) = cells.split_first().context("no request")?;
    let (method, url) = first.split_once(' ').context("no method")?;
    let (scheme, rest) = url.split_once("://").context("no scheme")?;
    let (host, path) = rest.split_once('/').context("no path")?;
    let digits = response.get(..3).context("no status")?;
    let expected = quoted(response).into_iter().map(|(what, code)| {
        Ok(match what {
            "from" => Expectation::From(code.to_owned()),
            "path" => Expectation::Path(code.to_owned()),
            "body" => Expectation::Body(code.to_owned()),
            "location" => Expectation::Field("location".to_owned(), code.to_owned()),
            "field" => field(code).map(|(name, value)| Expectation::Field(name, value))?,
            other => bail!("{response}: {other:?} is no expectation"),
        })
    });
    Ok(RequestCase {
        method: method.parse()?,
        scheme: match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            other => bail!("{other}: no scheme"),
        },
        host: host.to_owned(),
        path: format!("/{path}"),
        fields: fields
            .iter()
            .map(|(_, code)| field(code))
            .collect::<Result<_>>()?,
        status: digits.parse().context("no status")?,
        expected: expected.collect::<Result<_>>()?,
    })
}

fn field(code: &str) -> Result<(String, String)> {
    let (name, value) = code
        .split_once(": ")
        .with_context(|| format!("{code}: no field"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn expected_status(object: &str, status: &str) -> Result<ExpectedStatus> {
    let object = object.trim_matches('`');
    let (namespace, name) = match object.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, object),
    };
    let reason = quoted(status)
        .first()
        .map(|(_, reason)| (*reason).to_owned());
    ensure!(
        status == "Ready" || reason.is_some(),
        "{status}: neither Ready nor a reason"
    );
    Ok(ExpectedStatus {
        namespace,
        name: name.to_owned(),
        reason,
    })
}
