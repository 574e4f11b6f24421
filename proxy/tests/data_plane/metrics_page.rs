//! `docs/reference/metrics.md` has every metric of the proxy, with its type.

use crate::admin::{admin, page};
use crate::proxy::Proxy;
use std::collections::BTreeSet;
use std::path::Path;

#[tokio::test]
async fn the_metrics_page_has_the_metrics_of_the_proxy() {
    let proxy = Proxy::serving(Vec::new()).await;
    let (_, metrics) = page(admin(&proxy).await, "/metrics").await;
    let types = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let exported: BTreeSet<_> = types
        .map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            let suffix = if kind == "counter" { "_total" } else { "" };
            format!("`{name}{suffix}` | {kind}")
        })
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
    let documented = std::fs::read_to_string(path).unwrap();
    let documented: BTreeSet<_> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `portolan_proxy_"))
        .map(|row| {
            let cells: Vec<_> = row.split(" | ").collect();
            format!("`portolan_proxy_{} | {}", cells[0], cells[1])
        })
        .collect();
    assert_eq!(documented, exported, "docs/reference/metrics.md");
}
