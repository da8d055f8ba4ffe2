//! A line on standard error that tells how far long work has come.
//!
//! Only on a terminal, only if the work takes longer than a blink, and gone when it is done: what
//! stays on the screen is the same as without.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use ckx_archive::Progress;

use crate::render::value::Look;

/// Work that ends sooner is not accompanied.
const SILENT: Duration = Duration::from_millis(300);

const INTERVAL: Duration = Duration::from_millis(100);

/// Carriage return, and clear to the end of the line.
const CLEAR: &str = "\r\x1b[K";

/// Runs `work`, which counts in the progress it is given. `what` is what it does, as in "reading".
pub fn watched<T>(what: &str, work: impl FnOnce(Option<Arc<Progress>>) -> T) -> T {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    if is_dumb || !io::stderr().is_terminal() {
        return work(None);
    }
    let progress = Arc::new(Progress::default());
    let (end, ended) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let seen = progress.clone();
        scope.spawn(move || draw(what, &seen, &ended));
        let result = work(Some(progress));
        drop(end);
        result
    })
}

/// Draws until the other end of the channel is gone.
fn draw(what: &str, progress: &Progress, ended: &mpsc::Receiver<()>) {
    let start = Instant::now();
    let mut wait = SILENT;
    let mut drawn = false;
    let mut err = io::stderr();
    while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        wait = INTERVAL;
        // What is mapped counts nothing.
        if progress.done() > 0 {
            let _ = write!(err, "{CLEAR}{}", line(what, progress.done(), progress.total(), start.elapsed()));
            let _ = err.flush();
            drawn = true;
        }
    }
    if drawn {
        let _ = write!(err, "{CLEAR}");
        let _ = err.flush();
    }
}

/// `reading 1.3 GiB of 2.0 GiB  67 %  1.9 GiB/s  0:04 left`.
fn line(what: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let look = Look::default();
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let speed = look.size(rate as u64);
    let have = look.size(done);
    match total.filter(|total| *total >= done) {
        Some(total) => {
            let percent = (done as f64 / total as f64 * 100.0).floor();
            let left = ((total - done) as f64 / rate.max(1.0)).round() as u64;
            let (minutes, seconds) = (left / 60, left % 60);
            let all = look.size(total);
            format!("{what} {have} of {all}  {percent} %  {speed}/s  {minutes}:{seconds:02} left")
        }
        None => format!("{what} {have}  {speed}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_and_how_long() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line("reading", 1 << 30, Some(3 << 30), second),
            "reading 1.0 GiB of 3.0 GiB  33 %  1.0 GiB/s  0:02 left"
        );
        assert_eq!(line("reading", 1 << 20, None, second * 2), "reading 1.0 MiB  512.0 KiB/s");
        // At the start nothing is known.
        let line = line("reading", 1, Some(u64::MAX), Duration::ZERO);
        assert!(line.starts_with("reading 1 B of 16.0 EiB  0 %"), "{line}");
    }
}
