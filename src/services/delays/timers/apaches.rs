//! Timers in the form of Apache's broker, left in the store when a classic node stops: who comes next may be Apache's.
//!
//! Its `timerlog` lists those that wait, in units of 52 bytes that are chained by the tick in which they are due; its wheel is
//! made anew from that. `config/timercheck` says from which tick on to go. From the queue Apache's broker reads on behind
//! the last unit's record, whatever that is; so when the last record does not wait, it is listed all the same, in a tick that is over.
//!
//! Only an orderly stop leaves them. After a crash Apache's broker would fire again what was served meanwhile.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bytes::BufMut;
use ferrymq_namesrv::stored_file;
use ferrymq_proto::bodies::TimerCheckpoint;
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueOffset, Timestamp};
use ferrymq_storage::queues::QueueEntry;

use super::place::Place;
use super::wheel::{Kind, Timer};
use super::{ENTRIES_AT_ONCE, QUEUE, timer_of};
use crate::services::archive::Archive;
use crate::services::delays::Trouble;

const UNIT_BYTES: u64 = 52;
/// As Apache's broker has it, unless its settings say something else: it starts only with files of that length.
const FILE_BYTES: u64 = 100 << 20;
/// What does not fit in a file begins the next one, behind a mark.
const BLANK_BYTES: u64 = 16;
const BLANK_MAGIC: i32 = (0xBBCC_DDEE_u32 as i32) ^ 1_880_681_594;
const WAITS: i32 = 1;
const ROLLS: i32 = 2;
const CALLS_OFF: i32 = 4;
/// Ticks. What is due later is written once more by then.
const WINDOW: i64 = 2 * 24 * 3600;

#[derive(Debug, thiserror::Error)]
pub enum NotLeft {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Queue(#[from] Trouble),
}

/// What is left, and where.
#[derive(Clone, Copy, Debug)]
pub struct Legacy<'a> {
    pub archive: &'a Archive,
    pub topic: &'a TopicName,
    pub place: Place,
    /// Of the store.
    pub root: &'a Path,
    pub tick_ms: i64,
}

/// The tick from which on Apache's broker goes on.
pub fn begin(place: &Place, tick_ms: i64) -> Timestamp {
    Timestamp((place.fired.due.0.div_euclid(tick_ms) + 1).saturating_mul(tick_ms))
}

/// Whether Apache's broker has served timers since this place was noted, by what it says of its own.
pub fn has_gone_on(place: &Place, tick_ms: i64, (read_time, read): (Timestamp, QueueOffset)) -> bool {
    read_time > begin(place, tick_ms) || read > place.read
}

impl Legacy<'_> {
    pub fn leave(&self, now: Timestamp) -> Result<(), NotLeft> {
        if self.place.read == QueueOffset(0) {
            return Ok(());
        }
        let (old, new) = (self.root.join("timerlog"), self.root.join("timerlog.new"));
        remove(fs::remove_dir_all(&new))?;
        let mut log = TimerLog::create(new.clone(), file_bytes(&old)?)?;
        self.list(&mut log, now)?;
        log.close()?;
        // A crash on the way leaves nothing that this node would read.
        remove(fs::remove_file(self.root.join("timerwheel")))?;
        remove(fs::remove_dir_all(&old))?;
        fs::rename(&new, &old)?;
        let checkpoint = TimerCheckpoint {
            last_read_time: begin(&self.place, self.tick_ms),
            last_timer_queue_offset: self.place.read,
            master_timer_queue_offset: self.place.read,
            ..TimerCheckpoint::default()
        };
        Ok(stored_file::replace(&self.root.join("config").join("timercheck"), &checkpoint.encode())?)
    }

    fn list(&self, log: &mut TimerLog, now: Timestamp) -> Result<(), NotLeft> {
        let begin = begin(&self.place, self.tick_ms);
        let mut at = self.place.low;
        let mut last = None;
        while at < self.place.read {
            let entries =
                self.archive.entries(self.topic, QUEUE, at, ENTRIES_AT_ONCE).map_err(Trouble::from)?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                if at < self.place.read {
                    last = Some((*entry, false));
                    let timer = timer_of(self.archive, at, entry)?;
                    if let Some(timer) = timer.filter(|timer| self.place.waits(*timer)) {
                        let tick = self.tick_of(timer).max(begin.0);
                        let calls_off = timer.kind == Kind::CallsOff;
                        log.append(&self.unit(entry, tick, calls_off, now))?;
                        last = Some((*entry, true));
                    }
                }
                at = QueueOffset(at.0 + 1);
            }
        }
        if let Some((entry, false)) = last {
            log.append(&self.unit(&entry, begin.0 - 2 * self.tick_ms, false, now))?;
        }
        Ok(())
    }

    /// A timer is due within a tick, but at its beginning if it calls others off.
    fn tick_of(&self, timer: Timer) -> i64 {
        let inside = if timer.kind == Kind::CallsOff { timer.due.0 } else { timer.due.0 - 1 };
        inside.div_euclid(self.tick_ms) * self.tick_ms
    }

    fn unit(&self, entry: &QueueEntry, tick: i64, calls_off: bool, now: Timestamp) -> Unit {
        let written = now.0 / self.tick_ms * self.tick_ms;
        let window = WINDOW * self.tick_ms;
        let rolls = tick - written >= window;
        // Time enough for the next one.
        let early = if tick - written - window < window / 3 { window / 2 } else { window };
        let tick = if rolls { written + early } else { tick };
        let magic = WAITS | if rolls { ROLLS } else { 0 } | if calls_off { CALLS_OFF } else { 0 };
        Unit { entry: *entry, tick, written, magic }
    }
}

struct Unit {
    entry: QueueEntry,
    tick: i64,
    written: i64,
    magic: i32,
}

/// The files, while they are written.
struct TimerLog {
    folder: PathBuf,
    file_bytes: u64,
    file: BufWriter<File>,
    /// Of the file in the whole, and of the next unit in the file.
    base: u64,
    at: u64,
    /// The last unit of each tick.
    ticks: HashMap<i64, u64>,
}

impl TimerLog {
    fn create(folder: PathBuf, file_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let file = create(&folder, 0)?;
        Ok(Self { folder, file_bytes, file, base: 0, at: 0, ticks: HashMap::new() })
    }

    fn append(&mut self, unit: &Unit) -> io::Result<()> {
        if UNIT_BYTES + BLANK_BYTES > self.file_bytes - self.at {
            let mut blank = Vec::with_capacity(BLANK_BYTES as usize);
            blank.put_i32(i32::try_from(self.file_bytes - self.at).unwrap_or(i32::MAX));
            blank.put_i64(0);
            blank.put_i32(BLANK_MAGIC);
            self.file.write_all(&blank)?;
            self.end_file()?;
            self.base += self.file_bytes;
            self.at = 0;
            self.file = create(&self.folder, self.base)?;
        }
        let position = self.base + self.at;
        let before = self.ticks.insert(unit.tick, position);
        let mut bytes = Vec::with_capacity(UNIT_BYTES as usize);
        bytes.put_i32(UNIT_BYTES as i32);
        bytes.put_i64(before.map_or(-1, |before| before as i64));
        bytes.put_i32(unit.magic);
        bytes.put_i64(unit.written);
        bytes.put_i32(i32::try_from(unit.tick - unit.written).unwrap_or(i32::MAX));
        bytes.put_i64(unit.entry.log_offset.0);
        bytes.put_u32(unit.entry.bytes);
        // Of the topic, to count by; and nothing yet.
        bytes.put_i32(0);
        bytes.put_i64(0);
        self.at += UNIT_BYTES;
        self.file.write_all(&bytes)
    }

    fn end_file(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().set_len(self.file_bytes)?;
        self.file.get_ref().sync_all()
    }

    fn close(mut self) -> io::Result<()> {
        self.end_file()
    }
}

fn create(folder: &Path, base: u64) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::create(folder.join(format!("{base:020}")))?))
}

/// As long as those that are there.
fn file_bytes(folder: &Path) -> io::Result<u64> {
    let files = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FILE_BYTES),
        files => files?,
    };
    let mut longest = 0;
    for file in files {
        longest = longest.max(file?.metadata()?.len());
    }
    Ok(if longest < UNIT_BYTES + BLANK_BYTES { FILE_BYTES } else { longest })
}

/// What was not there is removed as well.
fn remove(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
