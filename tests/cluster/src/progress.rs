//! Progress on the terminal: one line per step, on standard error, with the time that it took.

use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Runs one step and tells how long it took: `building kube-apiserver … 172 s`. On a terminal the seconds
/// count while it runs; elsewhere the line is written once, at the end of the step.
///
/// # Errors
/// The error of the step.
pub(crate) fn step<T>(label: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    eprint!("{label} … ");
    let _ = std::io::stderr().flush();
    let (done, ticks) = mpsc::channel::<()>();
    let counter = std::io::stderr().is_terminal().then(|| {
        let label = label.to_owned();
        std::thread::spawn(move || {
            while ticks.recv_timeout(Duration::from_secs(1)) == Err(mpsc::RecvTimeoutError::Timeout)
            {
                eprint!("\r{label} … {} s ", started.elapsed().as_secs());
                let _ = std::io::stderr().flush();
            }
            eprint!("\r{label} … ");
        })
    });
    let result = work();
    drop(done);
    if let Some(counter) = counter {
        let _ = counter.join();
    }
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
}
