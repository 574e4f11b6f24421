//! State that the TLS handshakes of one worker share.

use crate::tls::termination::Termination;
use std::cell::RefCell;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many signatures a worker makes between two looks at its sockets. An RSA key of 4096 bits
/// takes milliseconds for each, in which no request moves.
pub(crate) const SIGNATURES_PER_TURN: usize = 4;

/// What handshakes of one worker share.
#[derive(Debug)]
pub(crate) struct Desk {
    unnamed: RefCell<Option<Arc<Termination>>>,
    pub(crate) signing: Semaphore,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            unnamed: RefCell::default(),
            signing: Semaphore::new(SIGNATURES_PER_TURN),
        }
    }
}

impl Desk {
    /// How TLS is spoken with clients that ask for no server name, if it is.
    pub(crate) fn set_unnamed(&self, termination: Option<Arc<Termination>>) {
        self.unnamed.replace(termination);
    }

    /// How TLS is spoken with clients that ask for no server name, if it is.
    pub(crate) fn unnamed(&self) -> Option<Arc<Termination>> {
        self.unnamed.borrow().clone()
    }
}
