//! How far a long look has come: a bar on standard error, if that is a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use ferrymq_storage::look::Progress;

const BAR_CELLS: u64 = 30;
/// What is drawn more often nobody can read.
const INTERVAL: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub struct Bar {
    begun: Instant,
    drawn: Option<Instant>,
    is_shown: bool,
}

impl Bar {
    pub fn new() -> Self {
        Self { begun: Instant::now(), drawn: None, is_shown: io::stderr().is_terminal() }
    }

    pub fn show(&mut self, progress: Progress) {
        let is_due = self.drawn.is_none_or(|drawn| drawn.elapsed() >= INTERVAL);
        if self.is_shown && is_due {
            self.drawn = Some(Instant::now());
            draw(&line(progress, self.begun.elapsed()));
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if self.is_shown && self.drawn.is_some() {
            draw("");
        }
    }
}

/// Over what was drawn before.
fn draw(text: &str) {
    let mut terminal = io::stderr().lock();
    let _ = write!(terminal, "\r\x1b[K{text}").and_then(|()| terminal.flush());
}

fn line(progress: Progress, elapsed: Duration) -> String {
    let Progress { bytes_done, bytes_total } = progress;
    let share = if bytes_total == 0 { 1.0 } else { bytes_done as f64 / bytes_total as f64 };
    let cells = (share * BAR_CELLS as f64) as usize;
    let rate = bytes_done as f64 / elapsed.as_secs_f64().max(0.001);
    let left = bytes_total.saturating_sub(bytes_done) as f64 / rate.max(1.0);
    let bar = "#".repeat(cells) + &"-".repeat(BAR_CELLS as usize - cells);
    let (percent, seconds) = ((share * 100.0) as u64, left.ceil() as u64);
    format!("[{bar}] {percent:3}%  {:.0} MB/s  {}:{:02} left", rate / 1e6, seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_and_remaining_time() {
        let half = Progress { bytes_done: 1_500_000_000, bytes_total: 6_000_000_000 };
        assert_eq!(
            line(half, Duration::from_secs(30)),
            "[#######-----------------------]  25%  50 MB/s  1:30 left"
        );
        let nothing = Progress { bytes_done: 0, bytes_total: 0 };
        assert!(line(nothing, Duration::ZERO).contains("100%  0 MB/s  0:00 left"));
    }
}
