//! From what is affected to what proxies are offered.

use crate::discovery::Table;
use crate::metrics::Metrics;
use portolan_core::{ClassName, Index};
use portolan_discovery::table::ResourceName;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tracing::error;

/// Offers the resources as they are now: for each class one step, so that no proxy sees a virtual host
/// without what it names.
///
/// Compiling cannot fail. Should it panic nevertheless, that one resource keeps its last state and all
/// others go on: a fault of ours in one object must not stop the rest.
pub(super) fn publish(
    index: &Index,
    affected: &BTreeSet<(ClassName, ResourceName)>,
    table: &Table,
    metrics: &Metrics,
) {
    let mut by_class: BTreeMap<&ClassName, Vec<_>> = BTreeMap::new();
    for (class, name) in affected {
        // The index is only read: a panic leaves it as it was.
        match catch_unwind(AssertUnwindSafe(|| index.resource(class, name))) {
            Ok(content) => by_class
                .entry(class)
                .or_default()
                .push((name.clone(), content)),
            Err(_) => {
                metrics.compile_panics.inc();
                error!(%class, resource = %name, "compilation panicked, keeping the previous version");
            }
        }
    }
    for (class, changes) in by_class {
        table.apply(class.as_str(), changes);
    }
}
