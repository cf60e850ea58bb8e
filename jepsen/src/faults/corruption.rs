//! Damage to the files of a node that does not run.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::dice::Dice;

/// Files that hold messages are larger than this; small files of configuration are left alone.
const FILE_BYTES_MIN: u64 = 4096;
const FLIPS: usize = 2;
/// The part of the written bytes that a truncation may take: the newest tenth.
const TRUNCATED_SHARE: u64 = 10;

/// The log files below a folder: where brokers of either maker keep their messages.
fn log_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if is_log(&path) && path.metadata()?.len() >= FILE_BYTES_MIN {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// `…/commitlog/00000000000000000000`, or `data` in the place of `commitlog` in DLedger's store.
fn is_log(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(folder, Some("commitlog" | "data")) && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// One past the last byte that is not zero: files are made longer than what is written to them.
fn written_bytes(file: &mut File) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let last = bytes.iter().rposition(|byte| *byte != 0);
    Ok(last.map_or(0, |last| last as u64 + 1))
}

fn choose(folder: &Path, dice: &mut Dice) -> io::Result<Option<(PathBuf, File, u64)>> {
    let mut files = log_files(folder)?;
    dice.shuffle(&mut files);
    for path in files {
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let written = written_bytes(&mut file)?;
        if written > 0 {
            return Ok(Some((path, file, written)));
        }
    }
    Ok(None)
}

/// Flips some bits among what is written. Says where; `None` when nothing is written.
pub fn flip_bits(folder: &Path, dice: &mut Dice) -> io::Result<Option<String>> {
    let Some((path, mut file, written)) = choose(folder, dice)? else { return Ok(None) };
    let mut places = Vec::new();
    for _ in 0..FLIPS {
        let at = dice.below(written);
        let mut byte = [0];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut byte)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&byte.map(|byte| byte ^ (1 << dice.below(8))))?;
        places.push(at.to_string());
    }
    file.sync_all()?;
    Ok(Some(format!("a bit flipped in {} at {} of {written} bytes", path.display(), places.join(" and "))))
}

/// Takes the newest part of what is written away; the file keeps its length.
pub fn truncate(folder: &Path, dice: &mut Dice) -> io::Result<Option<String>> {
    let Some((path, file, written)) = choose(folder, dice)? else { return Ok(None) };
    let length = file.metadata()?.len();
    let kept = written - 1 - dice.below(written / TRUNCATED_SHARE + 1).min(written - 1);
    file.set_len(kept)?;
    file.set_len(length)?;
    file.sync_all()?;
    Ok(Some(format!("{} cut from {written} to {kept} bytes", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("store/commitlog/00000000000000000000");
        fs::create_dir_all(log.parent().expect("a folder")).expect("made");
        fs::create_dir_all(folder.path().join("store/config")).expect("made");
        fs::write(folder.path().join("store/config/00000000000000000000"), [1; 8192]).expect("written");
        let mut bytes = vec![7; 5000];
        bytes.resize(1 << 16, 0);
        fs::write(&log, bytes).expect("written");
        (folder, log)
    }

    #[test]
    fn bits_flip_only_in_what_is_written() {
        let (folder, log) = store();
        let proof = flip_bits(folder.path(), &mut Dice::new(1)).expect("done").expect("a file");
        assert!(proof.contains("of 5000 bytes"), "{proof}");
        let bytes = fs::read(&log).expect("the file");
        assert!(bytes[..5000].iter().any(|byte| *byte != 7));
        assert!(bytes[5000..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_truncated_file_keeps_its_length() {
        let (folder, log) = store();
        truncate(folder.path(), &mut Dice::new(1)).expect("done").expect("a file");
        let bytes = fs::read(&log).expect("the file");
        assert_eq!(bytes.len(), 1 << 16);
        let kept = bytes.iter().take_while(|byte| **byte == 7).count();
        assert!((4499..5000).contains(&kept), "{kept}");
        assert!(bytes[kept..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn nothing_to_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(flip_bits(folder.path(), &mut Dice::new(1)).expect("done"), None);
    }
}
