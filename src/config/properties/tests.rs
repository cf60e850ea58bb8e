//! The first table was compared with java.util.Properties of JDK 17, and so were a million random texts of [`PIECES`]. The
//! differences are meant: UTF-8 is read as such, a byte order mark is skipped, half a surrogate pair is a fault, and a lone
//! backslash at the end of a text is no entry.

use super::{Fault, FaultReason, escape_key, escape_value, line_number, natural_line, read, set};

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    read(text).entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
}

#[test]
fn reads_what_java_reads() {
    let table: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("\n \t\n\r\n\x0c", &[]),
        ("a=b", &[("a", "b")]),
        ("a = b \n", &[("a", "b ")]),
        ("a:b\na2 : b2", &[("a", "b"), ("a2", "b2")]),
        ("a b c", &[("a", "b c")]),
        ("a\t\x0c=\t b", &[("a", "b")]),
        ("a==b\na:=b\na =:b", &[("a", "=b"), ("a", "=b"), ("a", ":b")]),
        ("a", &[("a", "")]),
        ("a=\nb:", &[("a", ""), ("b", "")]),
        ("=b\n: c", &[("", "b"), ("", "c")]),
        ("# a=b\n ! c=d\n\te=f", &[("e", "f")]),
        ("# no continuation \\\na=b", &[("a", "b")]),
        ("a=b # c", &[("a", "b # c")]),
        ("a=b\\\n   c\\\r\n\td\\\r e", &[("a", "bcde")]),
        ("a=b\\\n\nc=d", &[("a", "b"), ("c", "d")]),
        ("a=b\\\n# c", &[("a", "b# c")]),
        ("\\\n# c\na=b", &[("a", "b")]),
        ("a\\\n=b\\\n", &[("a", "b")]),
        ("a=b\\\\\nc=d", &[("a", "b\\"), ("c", "d")]),
        ("a=b\\\\\\\nc=d", &[("a", "b\\c=d")]),
        ("a=b\\", &[("a", "b")]),
        ("\\", &[]),
        (r"a\ b\=c\:d\#e=f", &[("a b=c:d#e", "f")]),
        (r"a\\=b", &[("a\\", "b")]),
        (r"a=\t\n\r\f\x\0\'", &[("a", "\t\n\r\x0cx0'")]),
        (r"\u0061=\u20AC\u00e4z", &[("a", "€äz")]),
        (r"a=\uD83D\uDE00!", &[("a", "😀!")]),
        (r"a=\U0061\\u0061", &[("a", r"U0061\u0061")]),
        ("a=ä€😀", &[("a", "ä€😀")]),
        ("\u{feff}a=b", &[("a", "b")]),
        ("a=1\na=2\rb=3\r\nc=4", &[("a", "1"), ("a", "2"), ("b", "3"), ("c", "4")]),
    ];
    for (text, expected) in table {
        let expected: Vec<_> =
            expected.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        assert_eq!(pairs(text.as_bytes()), expected, "{text:?}");
        assert_eq!(read(text.as_bytes()).faults, [], "{text:?}");
    }
}

#[test]
fn a_line_that_is_not_utf8_is_latin1() {
    assert_eq!(pairs(b"a=\xe4\nb=\xc3\xa4"), [("a".into(), "ä".into()), ("b".into(), "ä".into())]);
}

#[test]
fn a_fault_names_its_line_and_reading_goes_on() {
    let table = [
        (r"\u", 1, r"\u", FaultReason::NoCodeUnit),
        (r"a=\u12", 1, r"\u12", FaultReason::NoCodeUnit),
        ("x=1\ny=C:\\users", 2, r"\us", FaultReason::NoCodeUnit),
        ("x=1\\\n 2\\\n \\u00gg", 3, r"\u00g", FaultReason::NoCodeUnit),
        (r"a\u00é=1", 1, r"\u00é", FaultReason::NoCodeUnit),
        (r"a=\uD83D.", 1, r"\uD83D", FaultReason::LoneSurrogate),
        (r"a=\uD83D", 1, r"\uD83D", FaultReason::LoneSurrogate),
        (r"a=\uD83D\n", 1, r"\uD83D", FaultReason::LoneSurrogate),
        (r"a=\uDE00", 1, r"\uDE00", FaultReason::LoneSurrogate),
        (r"a=\uD83D\u0061", 1, r"\uD83D\u0061", FaultReason::LoneSurrogate),
    ];
    for (text, line, escape, reason) in table {
        let text = format!("{text}\nlast=1");
        let properties = read(text.as_bytes());
        let start = text.find(escape).unwrap();
        assert_eq!(properties.faults, [Fault { line, span: start..start + escape.len(), reason }], "{text}");
        assert_eq!(properties.entries.last().unwrap().key, "last", "{text}");
    }
}

#[test]
fn an_entry_knows_where_it_stands() {
    // Text, line of the key, the key's bytes, the value's bytes, the line where the value begins, and its number.
    let table = [
        ("a=b", 1, "a", "b", "a=b", 1),
        ("\n\n  key  :  value ", 3, "key", "value ", "  key  :  value ", 3),
        ("# é\r\nk\\u0065y=ü\r\n#", 2, "k\\u0065y", "ü", "k\\u0065y=ü", 2),
        ("k=\\\n  v", 1, "k", "v", "  v", 2),
        ("k\\\n = \\\n\\\n v\\\n w\n", 1, "k", "v\\\n w", " v\\", 4),
        ("k\\\r2 v\r", 1, "k\\\r2", "v", "2 v", 2),
        ("k=\nx", 1, "k", "", "k=", 1),
        ("k = \\\n\n", 1, "k", "\\", "k = \\", 1),
        ("k", 1, "k", "", "k", 1),
    ];
    for (text, line, key, value, value_line, value_number) in table {
        let entry = read(text.as_bytes()).entries.remove(0);
        assert_eq!(entry.line, line, "{text:?}");
        assert_eq!(&text[entry.key_span.clone()], key, "{text:?}");
        assert_eq!(&text[entry.value_span.clone()], value, "{text:?}");
        assert_eq!(&text[natural_line(text.as_bytes(), entry.value_span.start)], value_line, "{text:?}");
        let number = line_number(text.as_bytes(), entry.line, entry.key_span.start, entry.value_span.start);
        assert_eq!(number, value_number, "{text:?}");
    }
}

#[test]
fn set_changes_one_value_and_nothing_else() {
    let table = [
        ("a=1\nkey=2\nb=3", "a=1\nkey=new\nb=3"),
        ("key = 2  \n", "key = new\n"),
        ("key:2\r\nb=3\r\n", "key:new\r\nb=3\r\n"),
        ("key 2", "key new"),
        ("key", "key=new"),
        ("key\\\n\n", "key=new\n\n"),
        ("key=", "key=new"),
        ("key=2\\\n 3\\\n 4\nb=5", "key=new\nb=5"),
        ("key=\\\n  2\nb=5", "key=\\\n  new\nb=5"),
        ("key=1 # not a comment\n# key=0\n", "key=new\n# key=0\n"),
        ("key=1\nKey=2\nkey=3\n", "key=1\nKey=2\nkey=new\n"),
        ("other=1\n", "other=new\n"),
        ("k\\u0065y=1", "k\\u0065y=new"),
        ("", "key=new\n"),
        ("# c", "# c\nkey=new\n"),
        ("# c\\", "# c\\\nkey=new\n"),
        ("a=1", "a=1\nkey=new\n"),
        ("a=1\r\n", "a=1\r\nkey=new\r\n"),
        ("a=1\rb=2", "a=1\rb=2\rkey=new\r"),
        ("a=1\\", "a=1\\\n\nkey=new\n"),
        ("a=1\\\r\n", "a=1\\\r\n\r\nkey=new\r\n"),
        ("b=1\na=1\\\r", "b=1\na=1\\\r\n\nkey=new\n"),
        ("a=\\u12\n", "a=\\u12\nkey=new\n"),
    ];
    for (text, expected) in table {
        let new = set(text.as_bytes(), "key", |key| key == "key" || key == "other", "new");
        assert_eq!(String::from_utf8(new).unwrap(), expected, "{text:?}");
    }
    assert_eq!(set(b"a=\xff\nkey=1", "key", |key| key == "key", "2"), b"a=\xff\nkey=2");
}

#[test]
fn escapes_are_plain_where_they_can_be() {
    assert_eq!(escape_key("tls.server.mode"), "tls.server.mode");
    assert_eq!(escape_key("a b=c:d#!\té"), r"a\ b\=c\:d\#\!\t\u00E9");
    assert_eq!(escape_value("/home/x y/a=b:c#d"), "/home/x y/a=b:c#d");
    assert_eq!(escape_value("  x"), r"\  x");
    assert_eq!(escape_value("=:"), r"\=:");
    assert_eq!(escape_value("C:\\\n\r\t\x0c\0€😀"), r"C:\\\n\r\t\f\u0000\u20AC\uD83D\uDE00");
}

/// A few random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn text(&mut self, alphabet: &[&str], length_max: usize) -> String {
        (0..self.roll(length_max + 1)).map(|_| alphabet[self.roll(alphabet.len())]).collect()
    }
}

const CHARACTERS: &[&str] =
    &["a", "b", " ", "=", ":", "#", "!", "\\", "\n", "\r", "\t", "\x0c", "é", "😀", "\0", "u0041"];
const PIECES: &[&str] = &[
    "a",
    "key",
    "key=",
    "\nkey",
    "=",
    ":",
    " ",
    "\t",
    "\x0c",
    "\n",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\\\n",
    "\\\r\n",
    "\\u0041",
    "\\u00",
    "\\t",
    "#",
    "!",
    "\\=",
    "\\ ",
    "\\\\",
    "1",
    "value",
    "é",
    "\\uD83D\\uDE00",
];

#[test]
fn what_is_written_is_read_back() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..20_000 {
        let (key, value) = (dice.text(CHARACTERS, 6), dice.text(CHARACTERS, 8));
        let text = format!("{}={}\n", escape_key(&key), escape_value(&value));
        assert_eq!(pairs(text.as_bytes()), [(key, value)], "{text:?}");
    }
}

#[test]
fn set_agrees_with_a_list_of_pairs() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for _ in 0..20_000 {
        let (text, value) = (dice.text(PIECES, 20), dice.text(CHARACTERS, 8));
        let mut expected = pairs(text.as_bytes());
        match expected.iter_mut().rfind(|(key, _)| key == "key") {
            Some((_, old)) => *old = value.clone(),
            None => expected.push(("key".to_string(), value.clone())),
        }
        let new = set(text.as_bytes(), "key", |key| key == "key", &value);
        assert_eq!(pairs(&new), expected, "{text:?} with {value:?}");
        assert_eq!(read(&new).faults.len(), read(text.as_bytes()).faults.len(), "{text:?}");
    }
}

#[test]
fn any_bytes_are_read_in_bounds() {
    let mut dice = Dice(0x1234_5678_9abc_def1);
    for _ in 0..20_000 {
        let bytes: Vec<u8> =
            (0..dice.roll(40)).map(|_| b"k=: \\\n\ru0d8\xc3\xa9\xff#"[dice.roll(15)]).collect();
        let properties = read(&bytes);
        for entry in properties.entries {
            assert!(
                bytes.get(entry.key_span.clone()).is_some() && bytes.get(entry.value_span.clone()).is_some()
            );
            assert!(entry.key_span.end <= entry.value_span.start, "{bytes:?}");
        }
        for fault in properties.faults {
            assert!(!bytes[fault.span].is_empty());
            assert!((1..=bytes.len()).contains(&fault.line));
        }
    }
}
