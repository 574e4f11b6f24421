//! `docs/reference/status-reasons.md` says what the code says.
//!
//! With `PORTOLAN_REGENERATE=1` (`make generate`) the test writes the page instead of judging it.

use portolan_core::Reason;
use std::path::Path;

const HEAD: &str = "\
<!-- Made from operator/core/src/reason.rs by `make generate`. -->
# Status reasons

The `reason` of a condition, of an event, of an entry of `status.hostnames`, and of `x-portolan-reason` where a
route that cannot be resolved gets 503. Reasons are API. The other responses of the proxy are in
[proxy responses](proxy-responses.md).

| reason | meaning, and what to do |
|---|---|
";

#[test]
fn reasons_page_is_up_to_date() {
    let mut page = HEAD.to_owned();
    for reason in Reason::all() {
        let doc = reason
            .doc()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        page.push_str(&format!("| `{reason}` | {doc} |\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/status-reasons.md");
    if std::env::var_os("PORTOLAN_REGENERATE").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/reference/status-reasons.md differs from operator/core/src/reason.rs; run `make generate` and commit it"
    );
}
