//! What a process takes, and how many connections this one may open.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const KIB: usize = 1024;
/// Files besides connections.
const OTHER_FILES: usize = 200;

/// What a process holds in memory.
pub fn resident(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * KIB
}

/// As many connections as are wanted or, where this process may not open so many files, as many as it may.
pub fn connections(wanted: usize) -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let files = maximum.map_or(usize::MAX, |files| usize::try_from(files).unwrap());
    wanted.min(files - OTHER_FILES)
}
