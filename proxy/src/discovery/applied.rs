//! Resources that the data plane has accepted. A synchronous state machine.
//!
//! Verdicts may come later than the answer to their own batch, so what is still being tried is
//! remembered beside what is applied.

use super::snapshot::State;
use portolan_discovery::delta::Update;
use portolan_discovery::session::ResourceAck;
use portolan_discovery::table::ResourceName;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(super) struct Applied {
    state: Arc<State>,
    trying: BTreeMap<ResourceName, Arc<Update>>,
}

impl Applied {
    /// Notes what is tried now.
    pub(super) fn begin(&mut self, upserts: &[Update]) {
        let upserts = upserts.iter().cloned().map(Arc::new);
        self.trying
            .extend(upserts.map(|update| (update.resource.name(), update)));
    }

    /// Notes what became of it.
    pub(super) fn end(&mut self, verdicts: &[ResourceAck], removed: &[ResourceName]) {
        let state = Arc::make_mut(&mut self.state);
        for verdict in verdicts {
            let tried = self.trying.get(&verdict.name);
            if tried.map(|update| update.version) != Some(verdict.version) {
                continue;
            }
            let tried = self.trying.remove(&verdict.name);
            if let (Some(update), None) = (tried, &verdict.refused) {
                state.insert(verdict.name.clone(), update);
            }
        }
        for name in removed {
            state.remove(name);
            self.trying.remove(name);
        }
    }

    /// Returns the applied state as a snapshot that later changes leave alone.
    pub(super) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_discovery::table::{EndpointSet, Resource};

    fn update(generation: u16) -> Update {
        let address = format!("10.0.0.1:{generation}").parse().unwrap();
        let endpoint = portolan_discovery::table::Endpoint {
            address,
            uid: String::new(),
        };
        let set = EndpointSet {
            name: "team/a:http".into(),
            endpoints: vec![endpoint],
            external: None,
        };
        Update::new(Resource::Endpoints(set), Vec::new())
    }

    fn verdict(update: &Update, refused: Option<&str>) -> ResourceAck {
        ResourceAck {
            name: update.resource.name(),
            version: update.version,
            origins: Vec::new(),
            refused: refused.map(str::to_owned),
        }
    }

    fn state(applied: &Applied) -> Vec<Update> {
        let state = applied.state();
        state
            .values()
            .map(|update| update.as_ref().clone())
            .collect()
    }

    #[test]
    fn a_refused_version_leaves_the_one_before_it() {
        let (first, second) = (update(1), update(2));
        let mut applied = Applied::default();
        applied.begin(std::slice::from_ref(&first));
        applied.end(&[verdict(&first, None)], &[]);
        applied.begin(std::slice::from_ref(&second));
        applied.end(&[verdict(&second, Some("no"))], &[]);
        assert_eq!(state(&applied), [first]);
    }

    #[test]
    fn counts_late_verdicts_unless_superseded() {
        let (first, second) = (update(1), update(2));
        let mut applied = Applied::default();
        applied.begin(std::slice::from_ref(&first));
        applied.end(&[], &[]);
        assert_eq!(state(&applied), []);
        applied.begin(std::slice::from_ref(&second));
        applied.end(&[verdict(&first, None)], &[]);
        assert_eq!(state(&applied), []);
        applied.end(&[verdict(&second, None)], &[]);
        assert_eq!(state(&applied), [second]);
    }

    #[test]
    fn what_is_removed_is_neither_applied_nor_tried() {
        let first = update(1);
        let mut applied = Applied::default();
        applied.begin(std::slice::from_ref(&first));
        applied.end(&[], &[first.resource.name()]);
        applied.end(&[verdict(&first, None)], &[]);
        assert_eq!(state(&applied), []);
    }

    #[test]
    fn a_state_that_is_being_saved_does_not_change() {
        let first = update(1);
        let mut applied = Applied::default();
        applied.begin(std::slice::from_ref(&first));
        applied.end(&[verdict(&first, None)], &[]);
        let saving = applied.state();
        applied.end(&[], &[first.resource.name()]);
        assert_eq!(saving.len(), 1);
        assert_eq!(state(&applied), []);
    }
}
