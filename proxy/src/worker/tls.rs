//! State that the TLS handshakes of one worker share.

use crate::tls::termination::Termination;
use std::cell::RefCell;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many signatures a worker makes between two looks at its sockets. An RSA key of 4096 bits
/// takes milliseconds for each, in which no request moves.
pub(crate) const SIGNATURES_PER_TURN: usize = 4;

/// State that handshakes of one worker share.
#[derive(Debug)]
pub(crate) struct HandshakeState {
    default_termination: RefCell<Option<Arc<Termination>>>,
    pub(crate) signing: Semaphore,
}

impl Default for HandshakeState {
    fn default() -> Self {
        Self {
            default_termination: RefCell::default(),
            signing: Semaphore::new(SIGNATURES_PER_TURN),
        }
    }
}

impl HandshakeState {
    /// TLS termination for clients that send no server name, if any.
    pub(crate) fn set_default_termination(&self, termination: Option<Arc<Termination>>) {
        self.default_termination.replace(termination);
    }

    /// TLS termination for clients that send no server name, if any.
    pub(crate) fn default_termination(&self) -> Option<Arc<Termination>> {
        self.default_termination.borrow().clone()
    }
}
