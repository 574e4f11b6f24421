//! Checks that `docs/reference/proxy-responses.md` is up to date with the code.
//!
//! With `PORTOLAN_REGENERATE=1` (`make generate`) the test writes the page instead of comparing it.

use portolan_proxy_core::reason::Reason;
use std::path::Path;

const HEAD: &str = "\
<!-- Generated from proxy/core/src/reason.rs by `make generate`. -->
# Proxy responses

Responses that the proxy sends itself. Each carries its reason in `x-portolan-reason`, and `x-request-id`;
503 also has `Retry-After`. A route that cannot be resolved gets 503 with one of the
[status reasons](status-reasons.md).

| Reason | Status | Meaning |
|---|---|---|
";

#[test]
fn the_page_of_responses_is_up_to_date() {
    let mut page = HEAD.to_owned();
    for reason in Reason::ALL {
        let status = match reason {
            Reason::RedirectToHttps => "301, 308".to_owned(),
            Reason::Redirect => "301, 302, 303, 307, 308".to_owned(),
            Reason::DirectResponse => "the route's".to_owned(),
            _ => reason.status().to_string(),
        };
        let (name, doc) = (reason.as_str(), reason.doc().trim());
        page.push_str(&format!("| `{name}` | {status} | {doc} |\n"));
    }
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/proxy-responses.md");
    if std::env::var_os("PORTOLAN_REGENERATE").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/reference/proxy-responses.md differs from proxy/core/src/reason.rs; run `make generate` and commit the result"
    );
}
