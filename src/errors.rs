//! The catalogue of problems a user can meet: a stable code each, and what `ferrymq explain CODE` says about it.
//!
//! A message says what happened here and now; the page says what it means in general. F10.. is about files and keys,
//! F12.. about values, F20.. about running. A code is never given to another problem.

/// One page of the catalogue.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: &'static str,
    pub title: &'static str,
    pub text: &'static str,
}

pub static UNREADABLE_FILE: Problem = Problem {
    code: "F1001",
    title: "a configuration file cannot be read",
    text: "\
The file named with -c must exist, be readable and be no larger than 1 MiB. Without -c another file is read if it exists, which
is where changes made by request are kept then: a name server's at configStorePath (~/namesrv/namesrv.properties unless set
otherwise), a broker's at brokerConfigPath (~/store/config/broker.properties).

Check the path and the permissions: `ls -l FILE`. In a container, check that the file is mounted.",
};

pub static MALFORMED_LINE: Problem = Problem {
    code: "F1002",
    title: "a line of a configuration file cannot be read",
    text: "\
Configuration files have the syntax of Java properties: `key=value`, `key: value` or `key value` a line, comments behind # or !
at the start of a line. A backslash at the end of a line continues it; elsewhere it begins an escape, so a backslash itself is
written twice. The escape \\uXXXX takes exactly four hexadecimal digits; a character beyond U+FFFF takes two such escapes. A
line needs a key in front of its separator.",
};

pub static UNKNOWN_KEY: Problem = Problem {
    code: "F1010",
    title: "a key is unknown",
    text: "\
Keys are spelled as in Apache RocketMQ, upper and lower case included. A key that neither Apache nor ferrymq knows is ignored
with a warning, as it is most likely a typo; with --strict it is an error. docs/config.md lists all keys.",
};

pub static DUPLICATE_KEY: Problem = Problem {
    code: "F1011",
    title: "a key stands in the file twice",
    text: "\
As in Java the last one counts. Delete the other one: the next reader may take it for the value that holds.",
};

pub static KEY_WITHOUT_EFFECT: Problem = Problem {
    code: "F1012",
    title: "keys have no effect here",
    text: "\
These keys steer parts of Apache RocketMQ that ferrymq does not have or sizes by itself, such as thread pools and Netty's
buffers. They are accepted so that an existing file works unchanged, and listed once so that nobody tunes them in vain.
docs/config.md gives the reason for each.",
};

pub static STORE_PATH_NOT_OBEYED: Problem = Problem {
    code: "F1013",
    title: "configStorePath or brokerConfigPath names another file than the one that was read",
    text: "\
Changes made by request (mqadmin updateNamesrvConfig, updateBrokerConfig) must be found again after a restart, so they go to the
file that is read at the start: the one named with -c, as in Apache RocketMQ; without -c the one that configStorePath (of a
name server) or brokerConfigPath (of a broker) names in the environment or on the command line. Such a key inside that file
changes nothing.",
};

pub static WRONG_VALUE: Problem = Problem {
    code: "F1203",
    title: "a value does not fit its key",
    text: "\
Values are checked before anything starts, and all mistakes are listed at once. Switches are true or false. Times are whole
numbers in the unit of the key, or numbers with a unit: 500ms, 10s, 5m, 1h. Sizes are bytes, or numbers with B, KiB, MiB or GiB.
(Apache RocketMQ leaves a value that it cannot read at its default, without a word.)",
};

pub static CONTRADICTING_KEYS: Problem = Problem {
    code: "F1205",
    title: "keys contradict each other",
    text: "\
Each value is well formed, and together they describe a node that cannot be, or one that is probably not meant: a slave without
a number or without a master, a member of a group that is not in the list of its members, the same port twice. Nothing starts
with a contradiction that is an error; one that is a warning starts as the message says.

A master has brokerRole=ASYNC_MASTER or SYNC_MASTER. Its slaves have the same brokerName, brokerRole=SLAVE and brokerId=1, 2 and
so on, each its own. The nodes of a group that elects its leader have enableDLegerCommitLog=true, the same brokerName and
dLegerPeers, and each its own dLegerSelfId, which stands in dLegerPeers.",
};

pub static MALFORMED_SETTING: Problem = Problem {
    code: "F1204",
    title: "--set needs KEY=VALUE",
    text: "\
One key and one value, joined by an equals sign: `--set listenPort=9877`. Give --set once for each key. It wins over the
environment and the file.",
};

pub static FEATURE_NOT_OFFERED: Problem = Problem {
    code: "F1210",
    title: "a key asks for a feature that ferrymq does not offer",
    text: "\
Starting without it would leave other machines waiting for a service that is not there, so ferrymq does not start. Remove the
key, or keep Apache RocketMQ's component for this task. A ferrymq broker group elects its leader by itself and needs no
controller. The message says what would be missing.",
};

pub static SECURITY_NOT_OFFERED: Problem = Problem {
    code: "F1211",
    title: "a key asks for security that ferrymq does not offer yet",
    text: "\
TLS and access control (ACL, authentication, authorization) are not offered yet. A server that was told to use them, and speaks
plain text or serves everybody instead, would be a hole that nobody sees, so ferrymq does not start. Remove the key if that is
acceptable in this network, or put a TLS tunnel or a firewall in front. Options named -Dtls... in JAVA_OPT_EXT count as keys
here; all its other options are ignored.",
};

pub static PORT_IN_USE: Problem = Problem {
    code: "F2001",
    title: "the port is in use",
    text: "\
Another program listens on this port, often a server of the same kind that is still running. Find it with `ss -ltnp` and stop
it, or choose another port with listenPort. Clients and brokers find a name server by its port, so change it there as well; a
broker tells the name servers its port by itself.",
};

pub static ADDRESS_NOT_USABLE: Problem = Problem {
    code: "F2002",
    title: "the address cannot be listened on",
    text: "\
bindAddress must be an address of this machine: `ip addr` lists them, 0.0.0.0 means all of them. Ports below 1024 need a
privilege (CAP_NET_BIND_SERVICE). brokerIP1 must be an address, or a name that this machine can look up.",
};

pub static START_FAILED: Problem = Problem {
    code: "F2003",
    title: "the server could not start",
    text: "\
The operating system refused something the server needs, such as a thread or a file handle; the message tells what. The limits
of the user (`ulimit -a`) and of the container are the common reasons.",
};

pub static KV_TABLE_UNUSABLE: Problem = Problem {
    code: "F2004",
    title: "the key-value table cannot be used",
    text: "\
The file at kvConfigPath holds what tools keep for clients in the name server, such as the order of ordered topics. If it
exists it must be readable and whole: starting with an empty table instead would overwrite it at the next change. Mend the
file, or move it away to start with an empty table.",
};

pub static STORE_UNUSABLE: Problem = Problem {
    code: "F2005",
    title: "the store cannot be used",
    text: "\
The folder at storePathRootDir must be writable, have room, and belong to no other running broker; what is in it must be what a
broker left there. The message says which file is the matter. Nothing was changed: a damaged file is never overwritten or
skipped by itself, only a last record that a crash left unfinished is cut off. Without a copy or a slave to restore the file
from, `ferrymq store cut` says what would be lost if the log of a single broker ended there, and cuts it off when it is told to.
Of a folder that Apache's broker has left, tables in RocksDB are not read: `mqadmin rocksDBConfigToJson` makes files of them. A
node of a group first asks the others for what is damaged in its log.",
};

pub static NOT_REACHED: Problem = Problem {
    code: "F2101",
    title: "a server cannot be reached",
    text: "\
Nothing answered at the address. A name server is looked for where -n says, or NAMESRV_ADDR, or at 127.0.0.1:9876. A broker is
looked for where it registered itself: brokerIP1 and listenPort of its configuration. In a container that is often an address
which only other containers can reach; set brokerIP1 to one that clients can.",
};

pub static NO_LEADER: Problem = Problem {
    code: "F2102",
    title: "a broker group has no leader",
    text: "\
Clients write to the leader of a group, and the name server knows none. In a Raft group more than half of the nodes must run and
reach each other; then they elect one within seconds. A single node or a master must run and reach the name server.",
};

pub static REQUEST_REFUSED: Problem = Problem {
    code: "F2103",
    title: "a server refused a request",
    text: "\
The server answered, and said no. Its code is one of RocketMQ's response codes and the sentence is its own.",
};

pub static NOTHING_FOUND: Problem = Problem {
    code: "F2104",
    title: "nothing was found",
    text: "\
The servers were asked, and none has what was named. Names are case-sensitive.",
};

/// All pages, by code.
pub static CATALOGUE: [&Problem; 20] = [
    &UNREADABLE_FILE,
    &MALFORMED_LINE,
    &UNKNOWN_KEY,
    &DUPLICATE_KEY,
    &KEY_WITHOUT_EFFECT,
    &STORE_PATH_NOT_OBEYED,
    &WRONG_VALUE,
    &MALFORMED_SETTING,
    &CONTRADICTING_KEYS,
    &FEATURE_NOT_OFFERED,
    &SECURITY_NOT_OFFERED,
    &PORT_IN_USE,
    &ADDRESS_NOT_USABLE,
    &START_FAILED,
    &KV_TABLE_UNUSABLE,
    &STORE_UNUSABLE,
    &NOT_REACHED,
    &NO_LEADER,
    &REQUEST_REFUSED,
    &NOTHING_FOUND,
];

/// The page of `code`, which may be written in any case and without its letter.
pub fn find(code: &str) -> Option<&'static Problem> {
    let digits = code.trim().trim_start_matches(['F', 'f']);
    CATALOGUE.into_iter().find(|problem| problem.code.trim_start_matches('F') == digits)
}

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, UNKNOWN_KEY, find};

    #[test]
    fn codes_are_in_order_and_unique() {
        for pair in CATALOGUE.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} stands before {}", pair[0].code, pair[1].code);
        }
    }

    #[test]
    fn pages_fit_a_terminal_and_end_as_sentences() {
        for problem in CATALOGUE {
            assert!(problem.text.ends_with(['.', ')']), "{}", problem.code);
            for line in problem.text.lines() {
                assert!(line.chars().count() <= 130, "{}: {line}", problem.code);
            }
        }
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        for code in ["F1010", "f1010", "1010", " F1010 "] {
            assert_eq!(find(code), Some(&UNKNOWN_KEY), "{code}");
        }
        for code in ["", "F", "F101", "F10100", "G1010"] {
            assert_eq!(find(code), None, "{code}");
        }
    }
}
