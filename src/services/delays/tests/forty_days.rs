//! The furthest moment that is promised: forty days ahead, whatever happens on the way.

use ferrymq_storage::retention::{Hours, Retention, RetentionSettings};

use super::*;
use crate::services::posting::{Posting, TimerRules};

const HOUR: u8 = 4;
const LIMIT_MS: i64 = 40 * 24 * HOUR_MS;
const DUE: i64 = START + LIMIT_MS;

/// What a broker makes of a message with these properties: it waits, or is refused.
fn post(crew: &Crew<Timers>, now: i64, body: &str, wishes: &[(&str, String)]) -> Result<(), NotStored> {
    let limits = MessageLimits { body_bytes_max: 1 << 20 };
    let rules = TimerRules { is_enabled: true, delay_ms_max: LIMIT_MS, precision_ms: 1000 };
    let delays = DelayLevels::parse("1s").unwrap();
    let posting = Posting::new(crew.site.writer.clone(), limits.into(), delays, rules);
    let mut message = message(TOPIC, 3, body);
    for (name, value) in wishes {
        message.set(name, value).unwrap();
    }
    posting.put_aside(&mut message, || Timestamp(now))?;
    assert_eq!(message.topic, TIMER_TOPIC);
    crew.send(now, message);
    Ok(())
}

/// As request 370 does it: by a moment within the tick.
fn call_off(crew: &Crew<Timers>, now: i64, body: &str) {
    let within = (DUE - 1) / 1000 * 1000 + 1;
    let wishes = [
        (property::TIMER_DELETE_UNIQUE_KEY, recall::key(TOPIC, body)),
        (property::TIMER_DELIVER_MS, within.to_string()),
    ];
    post(crew, now, body, &wishes).unwrap();
}

/// Other messages come, timers are rolled, and what is older than three days goes.
fn live(crew: &mut Crew<Timers>, now: i64) {
    for _ in 0..20 {
        crew.send(now, message("others", 0, &"x".repeat(4096)));
    }
    crew.run(now);
    let archive = &crew.site.archive;
    archive.derived().sync().unwrap();
    let settings = RetentionSettings { hours: Hours::of(&[HOUR]), ..RetentionSettings::default() };
    let mut retention = Retention::new(archive.log().clone(), settings);
    let keep_from = crew.waiting.counts().keep_from();
    while retention.step(Timestamp(now), HOUR, keep_from).unwrap().dropped.is_some() {}
    archive.drop_derived().unwrap();
}

/// Ends the process in one way or another.
fn end(mut crew: Crew<Timers>, now: i64, way: i64) -> Crew<Timers> {
    match way % 4 {
        // In order.
        0 => {
            crew.run(now);
            crew.note();
            crew.kill()
        }
        // After a batch that nobody has noted.
        1 => {
            crew.step(now);
            crew.kill()
        }
        // And once more, before what it finds is noted.
        2 => {
            crew.step(now);
            crew.kill().kill()
        }
        // Between two batches of one message.
        _ => {
            crew.portion = Portion::ONE;
            crew.step(now);
            crew.note();
            crew.step(now);
            let mut crew = crew.kill();
            crew.portion = Portion::USUAL;
            crew
        }
    }
}

#[test]
fn a_message_waits_to_the_millisecond() {
    let mut crew = Crew::new(timers);
    for (body, name, value) in [
        ("moment", property::TIMER_DELIVER_MS, DUE),
        ("one early", property::TIMER_DELIVER_MS, DUE - 1),
        ("milliseconds", property::TIMER_DELAY_MS, LIMIT_MS - 400),
        ("seconds", property::TIMER_DELAY_SECONDS, LIMIT_MS / 1000),
    ] {
        post(&crew, START, body, &[(name, value.to_string())]).unwrap();
    }
    let posted = crew.site.archive.log().confirmed().offset;
    for (name, value) in [
        (property::TIMER_DELIVER_MS, DUE + 1),
        (property::TIMER_DELAY_MS, LIMIT_MS + 1),
        (property::TIMER_DELAY_SECONDS, LIMIT_MS / 1000 + 1),
        (property::TIMER_DELAY_SECONDS, i64::MAX),
        (property::TIMER_DELAY_MS, i64::MAX),
    ] {
        let refused = post(&crew, START, "too far", &[(name, value.to_string())]);
        let Err(NotStored::Illegal(reason)) = refused else { panic!("{name} {value}: {refused:?}") };
        assert!(reason.contains("should not be bigger than the max delay 3456000000ms"), "{reason}");
    }
    for half_day in 1..80 {
        let now = START + half_day * 12 * HOUR_MS;
        live(&mut crew, now);
        crew = end(crew, now + 1, half_day);
        crew.run(now + 2);
        assert_eq!(crew.bodies(), [""; 0], "after {half_day} half days");
        assert_eq!(crew.waiting.counts().waiting(), 4, "after {half_day} half days");
    }
    assert!(crew.site.archive.log().start() > posted, "the segment of the first copies has been dropped");
    let mut come: Vec<&str> = Vec::new();
    for (way, now, next) in [
        (1, DUE - 401, &[][..]),
        (2, DUE - 400, &["milliseconds"]),
        (3, DUE - 2, &[]),
        (1, DUE - 1, &["one early"]),
        (3, DUE, &["moment", "seconds"]),
    ] {
        crew.run(now);
        come.extend(next);
        assert_eq!(crew.bodies(), come, "{} ms before", DUE - now);
        crew = end(crew, now, way);
        crew.run(now);
        assert_eq!(crew.bodies(), come, "{} ms before, after an end", DUE - now);
    }
    let mut crew = end(crew, DUE + HOUR_MS, 2);
    crew.run(DUE + HOUR_MS);
    assert_eq!(crew.bodies().len(), 4, "once each");
    assert_eq!(crew.waiting.counts().waiting(), 0);
}

#[test]
fn a_message_is_called_off_on_any_day() {
    let days = [0, 1, 3, 20, 39];
    let mut crew = Crew::new(timers);
    for body in days.map(|day| format!("day {day}")).into_iter().chain(["kept".into(), "last".into()]) {
        post(&crew, START, &body, &[(property::TIMER_DELIVER_MS, DUE.to_string())]).unwrap();
    }
    for day in 0..40 {
        let now = START + day * 24 * HOUR_MS + 1;
        live(&mut crew, now);
        if days.contains(&day) {
            call_off(&crew, now, &format!("day {day}"));
        }
        crew = end(crew, now + 1, day);
    }
    crew.run(DUE - 1000);
    call_off(&crew, DUE - 1001, "last");
    // It is not read yet.
    let mut crew = end(crew, DUE - 1001, 2);
    crew.run(DUE - 1);
    assert_eq!(crew.bodies(), [""; 0]);
    crew.run(DUE);
    assert_eq!(crew.bodies(), ["kept"]);
    let mut crew = end(crew, DUE + HOUR_MS, 1);
    crew.run(DUE + HOUR_MS);
    assert_eq!(crew.bodies(), ["kept"]);
}

/// What was called off lies behind the message that calls it off, once it was rolled.
#[test]
fn what_was_rolled_stays_called_off() {
    let tick = START + 49 * HOUR_MS;
    let mut crew = Crew::new(timers);
    crew.send(START, timed(tick + 700, "called off"));
    crew.send(START, timed(tick + 700, "kept"));
    crew.send(START + 10 * HOUR_MS, calling_off(tick + 700, "called off"));
    crew.run(START + 48 * HOUR_MS + 1);
    // The tick has begun, and none of its messages is due.
    crew.run(tick + 100);
    crew.run(tick + 200);
    let mut crew = crew.kill();
    crew.run(tick + 700);
    assert_eq!(crew.bodies(), ["kept"]);
}
