//! What the tests stand on.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};
use ferrymq_proto::record::{self, Record};
use ferrymq_storage::disk::{Disk, RealDisk};
use ferrymq_storage::stamp::StampError;
use ferrymq_storage::{
    AppendedFrame, BootId, FatalHook, FlushMode, FramedAppender, Layout, Mark, NewFrame, OpenLog, Settings, Term,
    recovery,
};

use crate::{App, At, Leadership, LogKept, Stamps};

pub const SEGMENT_BYTES: u64 = 64 << 10;

pub fn open_log(disk: Arc<dyn Disk>, folder: &Path, mode: FlushMode) -> OpenLog {
    let settings = Settings {
        folder: folder.to_owned(),
        layout: Layout::Framed,
        segment_bytes: SEGMENT_BYTES,
        mode,
        boot: BootId([1; 16]),
        on_fatal: FatalHook::new(|error| panic!("{error}")),
    };
    recovery::open(disk, settings).unwrap()
}

pub fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Gives queue offsets from a table of its own.
#[derive(Debug, Default)]
pub struct TestStamps {
    pub next: HashMap<(String, QueueId), i64>,
}

impl Stamps for TestStamps {
    fn append(
        &mut self,
        appender: &mut FramedAppender,
        frame: NewFrame,
        body: &mut [u8],
    ) -> Result<AppendedFrame, StampError> {
        let place = appender.place(body.len() as u64)?;
        let mut at = 0;
        for _ in 0..frame.records {
            let (record, bytes) = Record::decode(&body[at..]).unwrap();
            let next = self.next.entry((record.topic.to_owned(), record.queue_id)).or_default();
            let log_offset = LogOffset(place.body_offset().0 + at as i64);
            record::stamp(&mut body[at..], QueueOffset(*next), log_offset, frame.appended_at).unwrap();
            *next += 1;
            at += bytes;
        }
        Ok(place.write(frame, body)?)
    }
}

/// A state of commands, in their order.
#[derive(Debug, Default)]
pub struct TestApp {
    pub commands: Mutex<Vec<(At, Bytes)>>,
    pub changes: Mutex<Vec<Leadership>>,
}

impl App for TestApp {
    fn apply(&self, at: At, command: &[u8]) -> Bytes {
        let mut commands = self.commands.lock().unwrap();
        commands.push((at, Bytes::copy_from_slice(command)));
        Bytes::from(format!("{} commands", commands.len()))
    }

    fn checkpoint(&self, _: Mark) -> io::Result<Vec<u8>> {
        let commands = self.commands.lock().unwrap();
        let lines = commands.iter().map(|(at, command)| {
            format!("{} {} {}\n", at.index, at.term, String::from_utf8_lossy(command))
        });
        Ok(lines.collect::<String>().into_bytes())
    }

    fn restore(&self, state: &[u8], _: Mark, _: LogKept) -> io::Result<()> {
        let text = std::str::from_utf8(state).map_err(io::Error::other)?;
        let parse = |line: &str| {
            let mut fields = line.splitn(3, ' ');
            let mut number = || fields.next()?.parse().ok();
            let at = At { index: ferrymq_storage::Index(number()?), term: Term(number()?) };
            Some((at, Bytes::copy_from_slice(fields.next()?.as_bytes())))
        };
        *self.commands.lock().unwrap() = text.lines().filter_map(parse).collect();
        Ok(())
    }

    fn prepare(&self, _: Term, _: Mark) -> io::Result<Box<dyn Stamps>> {
        Ok(Box::new(TestStamps::default()))
    }

    fn leadership(&self, change: &Leadership) {
        self.changes.lock().unwrap().push(change.clone());
    }
}
