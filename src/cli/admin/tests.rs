use ferrymq_proto::position::Timestamp;

use super::options::{Given, all};
use super::{VERBS, shown, trace};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn every_verb_is_well_formed() {
    for verb in VERBS {
        let letters: Vec<String> = all(verb.options).map(|known| known.to_string()).collect();
        // The name servers' option comes with all of them.
        assert_eq!(letters.len(), verb.options.split_whitespace().count() + 1, "{}", verb.name);
        let unique: std::collections::BTreeSet<_> = letters.iter().map(|known| known.get(..2)).collect();
        assert_eq!(unique.len(), letters.len(), "{}: {letters:?}", verb.name);
        assert_eq!(VERBS.iter().filter(|other| other.name == verb.name).count(), 1);
    }
}

#[test]
fn options_are_read_as_mqadmin_reads_them() {
    let spec = "t:topic! l.list";
    for line in ["-t orders -l -n a:1", "--topic orders --list --namesrvAddr a:1", "-l -n a:1 --topic=orders"]
    {
        let given = Given::read(spec, &words(line)).unwrap();
        assert_eq!(
            (given.text('t'), given.has('l'), given.get('n')),
            ("orders", true, Some("a:1")),
            "{line}"
        );
    }
    for (line, problem) in [
        ("-l", "-t (topic) is missing"),
        ("-t", "-t wants a value"),
        ("-t a -x", "there is no option \"-x\""),
        ("-t a b", "there is no option \"b\""),
    ] {
        assert_eq!(Given::read(spec, &words(line)).unwrap_err(), problem, "{line}");
    }
}

#[test]
fn times_are_milliseconds_or_written() {
    let spec = "s:timestamp";
    for (text, time) in
        [("0", 0), ("1795273445678", 1_795_273_445_678), ("2026-11-21#15:04:05:678", 1_795_273_445_678)]
    {
        let given = Given::read(spec, &words(&format!("-s {text}"))).unwrap();
        assert_eq!(given.time('s').unwrap(), Some(Timestamp(time)), "{text}");
    }
    assert!(Given::read(spec, &words("-s soon")).unwrap().time('s').is_err());
    assert_eq!(shown::time(Timestamp(1_795_273_445_678)), "2026-11-21 15:04:05,678");
    assert_eq!(shown::time_of_second(Timestamp(1_795_273_445_678)), "2026-11-21 15:04:05");
}

#[test]
fn json_is_spread_over_lines() {
    let written = shown::pretty("{\"a\":[1,2],\"b\":\"x{,\\\"}\"}");
    assert_eq!(written, "{\n\t\"a\":[\n\t\t1,\n\t\t2\n\t],\n\t\"b\":\"x{,\\\"}\"\n}");
}

#[test]
fn traces_tell_of_sending_and_consuming() {
    let sent = "Pub\u{1}1700\u{1}region\u{1}producers\u{1}orders\u{1}ID1\u{1}tag\u{1}key\u{1}host\u{1}5\u{1}7\u{1}0\u{1}PLACE\u{1}true\u{1}10.0.0.1\u{2}";
    let got = "SubAfter\u{1}request\u{1}ID1\u{1}3\u{1}false\u{1}key\u{1}0\u{1}1800\u{1}readers\u{2}";
    let steps = trace::steps(&format!("{sent}{got}"), "ID1");
    let shown: Vec<_> = steps
        .iter()
        .map(|step| (step.group.as_str(), step.time.0, step.cost_ms.as_str(), step.is_success))
        .collect();
    assert_eq!(shown, [("producers", 1700, "7", true), ("readers", 1800, "3", false)]);
    assert!(trace::steps(sent, "ID2").is_empty());
    assert!(trace::steps("Pub\u{1}\u{2}nonsense\u{2}SubAfter", "ID1").is_empty());
}
