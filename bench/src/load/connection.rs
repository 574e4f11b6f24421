//! One client's HTTP/1.1 connection: one operation at a time.

use crate::cases::{Exchange, Lifetime, Load};
use crate::load::Target;
use crate::load::answer::Answer;
use crate::load::wire::Wire;
use crate::message;
use crate::poller::{EventFlags, Poller};
use rustls::HandshakeKind;
use std::io;
use std::time::Instant;

/// Slot of an HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) wire: Option<Wire>,
    pub(super) stage: Stage,
    pub(super) due: Instant,
}

#[derive(Debug)]
pub(super) enum Stage {
    Free,
    /// The WebSocket's handshake is under way; the message follows.
    Upgrading(Answer),
    Asked(Answer),
    /// Answered; the proxy closes.
    Ending,
}

/// Outcome of an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Nothing,
    /// The WebSocket is open; the message that was due can go.
    Upgraded,
    Answered,
    /// The connection was closed where that was due.
    Ended,
}

impl Connection {
    pub(super) fn new() -> Self {
        Self {
            wire: None,
            stage: Stage::Free,
            due: Instant::now(),
        }
    }

    pub(super) fn begin(
        &mut self,
        key: usize,
        load: Load,
        target: &Target,
        request: &[u8],
        poller: &Poller,
    ) -> io::Result<()> {
        let new = self.wire.is_none();
        let wire = match &mut self.wire {
            Some(wire) => wire,
            wire => wire.insert(Wire::connect(target, key, poller)?),
        };
        if new && matches!(load.exchange, Exchange::Echo(_)) {
            wire.send(&message::upgrade(&target.host))?;
            self.stage = Stage::Upgrading(Answer::with_head(load.exchange));
        } else {
            wire.send(request)?;
            self.stage = Stage::Asked(match load.exchange {
                Exchange::Get(_) | Exchange::Call(_) => Answer::with_head(load.exchange),
                Exchange::Echo(_) => Answer::without_head(load.exchange),
            });
        }
        wire.watch(key, poller)
    }

    pub(super) fn handle_event(
        &mut self,
        flags: EventFlags,
        load: Load,
        request: &[u8],
        buffer: &mut [u8],
        poller: &Poller,
        key: usize,
    ) -> Result<Progress, String> {
        let Some(wire) = &mut self.wire else {
            return Ok(Progress::Nothing);
        };
        let message = |error: io::Error| error.to_string();
        let mut progress = Progress::Nothing;
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let stage = &mut self.stage;
            let open = wire.receive(buffer, |bytes| match stage {
                Stage::Upgrading(answer) => answer.take(bytes).map(|whole| {
                    if whole {
                        *stage = Stage::Asked(Answer::without_head(load.exchange));
                        progress = Progress::Upgraded;
                    }
                }),
                Stage::Asked(answer) => answer.take(bytes).map(|whole| {
                    if whole {
                        *stage = match load.lifetime {
                            Lifetime::Kept => Stage::Free,
                            Lifetime::Fresh | Lifetime::Resumed => Stage::Ending,
                        };
                        progress = Progress::Answered;
                    }
                }),
                Stage::Free | Stage::Ending => Err("unexpected bytes"),
            });
            let open = open.map_err(|failed| failed.to_string())?;
            match (progress == Progress::Answered, &self.stage) {
                (true, _) => check_handshake(load, wire.handshake())?,
                (false, Stage::Free | Stage::Ending) if !open => return Ok(Progress::Ended),
                _ if !open => return Err("closed within an answer".to_owned()),
                _ => {}
            }
            if progress == Progress::Upgraded {
                wire.send(request).map_err(message)?;
            }
            if !open && progress == Progress::Answered {
                self.stage = Stage::Free;
                self.wire = None;
                return Ok(progress);
            }
        }
        wire.flush().map_err(message)?;
        wire.watch(key, poller).map_err(message)?;
        Ok(progress)
    }
}

/// Each operation makes the handshake that the case is about.
fn check_handshake(load: Load, made: Option<HandshakeKind>) -> Result<(), String> {
    let due = match (load.tls, load.lifetime) {
        (None, _) | (_, Lifetime::Kept) => return Ok(()),
        (Some(_), Lifetime::Fresh) => HandshakeKind::Full,
        (Some(_), Lifetime::Resumed) => HandshakeKind::Resumed,
    };
    if made == Some(due) {
        return Ok(());
    }
    Err(format!("a handshake that was {made:?} and not {due:?}"))
}
