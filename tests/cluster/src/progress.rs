//! Progress on the terminal: one line per step, on standard error, with the time that it took.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Between two lines about a long step where no terminal shows the seconds.
const LINE_EVERY: Duration = Duration::from_secs(60);

/// How much of a step is done.
#[derive(Debug)]
pub(crate) struct Count {
    done: AtomicUsize,
    total: usize,
}

impl Count {
    /// Notes that one more is done.
    pub(crate) fn one(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// Time since the start, and with a total the share that is done and the time that is left at this pace.
    fn text(&self, elapsed: Duration) -> String {
        let done = self.done.load(Ordering::Relaxed).min(self.total);
        let mut text = seconds(elapsed);
        if let Some(share) = (done * 100).checked_div(self.total) {
            text.push_str(&format!(", {share} %"));
            // The first packages are small, and say little about the rest.
            if share >= 10 {
                let whole = elapsed.mul_f64(self.total as f64 / done as f64);
                let left = whole.saturating_sub(elapsed).as_secs();
                text.push_str(&format!(", about {left} s left"));
            }
        }
        text
    }
}

/// Runs one step and prints how long it took: `making certificates … 1.2 s`. On a terminal the seconds count while
/// it runs; elsewhere the line is written at the end of the step.
///
/// # Errors
/// The error of the step.
pub(crate) fn step<T>(label: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    counted(label, 0, |_| work())
}

/// Runs one step of `total` pieces that counts those that are done, and prints while it runs how far it is.
///
/// # Errors
/// What the step fails with.
pub(crate) fn counted<T>(
    label: &str,
    total: usize,
    work: impl FnOnce(&Count) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let count = Count {
        done: AtomicUsize::new(0),
        total,
    };
    let terminal = std::io::stderr().is_terminal();
    eprint!("{label} … ");
    let _ = std::io::stderr().flush();
    let (done, ticks) = mpsc::channel::<()>();
    let every = if terminal {
        Duration::from_secs(1)
    } else {
        LINE_EVERY
    };
    let shown = &count;
    let result = std::thread::scope(|scope| {
        scope.spawn(move || {
            while ticks.recv_timeout(every) == Err(mpsc::RecvTimeoutError::Timeout) {
                let text = shown.text(started.elapsed());
                if terminal {
                    eprint!("\r{label} … {text}  ");
                } else if total > 0 {
                    eprint!("{text}\n{label} … ");
                }
                let _ = std::io::stderr().flush();
            }
            if terminal {
                eprint!("\r\x1b[K{label} … ");
            }
        });
        let result = work(&count);
        drop(done);
        result
    });
    match &result {
        Ok(_) => eprintln!("{}", seconds(started.elapsed())),
        Err(_) => eprintln!("failed after {}", seconds(started.elapsed())),
    }
    result
}

/// A line about something that takes no time.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// A duration for people: tenths below ten seconds, whole seconds above.
pub(crate) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} s", time.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_have_tenths() {
        assert_eq!(seconds(Duration::from_millis(1_240)), "1.2 s");
        assert_eq!(seconds(Duration::from_millis(172_400)), "172 s");
    }

    #[test]
    fn a_count_shows_its_share_and_the_time_left() {
        let count = Count {
            done: AtomicUsize::new(0),
            total: 4,
        };
        assert_eq!(count.text(Duration::from_secs(20)), "20 s, 0 %");
        count.one();
        assert_eq!(
            count.text(Duration::from_secs(20)),
            "20 s, 25 %, about 60 s left"
        );
    }
}
