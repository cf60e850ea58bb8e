use std::time::{Duration, Instant};

use super::{ANSWER_MAX, GATHER_MAX, GOAL_MAX, Rhythm};

const TRIP: Duration = Duration::from_micros(500);

#[test]
fn a_lone_sender_never_waits() {
    let mut now = Instant::now();
    let mut rhythm = Rhythm::new(now);
    for _ in 0..5 {
        assert_eq!(rhythm.pause(100, now), None);
        rhythm.sent(100, now);
        now += TRIP;
        rhythm.answered(0, now);
    }
}

#[test]
fn two_halves_become_one() {
    let now = Instant::now();
    let mut rhythm = Rhythm::new(now);
    rhythm.sent(600, now);
    assert_eq!(rhythm.pause(400, now), Some(now + ANSWER_MAX), "the first half is under way");
    assert_eq!(rhythm.pause(GOAL_MAX, now), None, "so much does not wait");
    let answered = now + TRIP;
    rhythm.answered(400, answered);
    assert_eq!(rhythm.pause(400, answered), Some(answered + TRIP), "as long as the part took");
    assert_eq!(rhythm.enough(), 1000);
    assert_eq!(rhythm.pause(1000, answered), None);
}

#[test]
fn who_does_not_come_is_not_waited_for_again() {
    let now = Instant::now();
    let mut rhythm = Rhythm::new(now);
    rhythm.sent(600, now);
    rhythm.answered(400, now + 3 * GATHER_MAX);
    let late = now + 4 * GATHER_MAX;
    assert_eq!(rhythm.pause(500, late - TRIP), Some(late), "no longer than is reasonable");
    assert_eq!(rhythm.pause(500, late), None);
    rhythm.sent(500, late);
    rhythm.answered(0, late + TRIP);
    assert_eq!(rhythm.pause(500, late + TRIP), None);
}

#[test]
fn a_slave_that_does_not_answer_keeps_nobody_waiting() {
    let now = Instant::now();
    let mut rhythm = Rhythm::new(now);
    rhythm.sent(600, now);
    assert_eq!(rhythm.pause(10, now + ANSWER_MAX), None);
}
