//! What both disks promise.

use super::*;

fn on_both(test: impl Fn(&dyn Disk, &Path)) {
    let folder = tempfile::tempdir().unwrap();
    test(&RealDisk, folder.path());
    let simulated = SimulatedDisk::default();
    simulated.create_folder(Path::new("/d")).unwrap();
    test(&simulated, Path::new("/d"));
}

fn names(disk: &dyn Disk, folder: &Path) -> Vec<(String, u64, bool)> {
    disk.list(folder).unwrap().into_iter().map(|entry| (entry.name, entry.bytes, entry.is_folder)).collect()
}

#[test]
fn parts_are_written_one_behind_the_other() {
    on_both(|disk, folder| {
        let file = disk.create(&folder.join("a")).unwrap();
        // More than the kernel takes at once, and some without bytes.
        let bytes: Vec<u8> = (0..3000_u32).map(|n| n as u8).collect();
        let mut parts: Vec<_> =
            bytes.chunks(1).flat_map(|part| [IoSlice::new(&[]), IoSlice::new(part)]).collect();
        file.write_at(&mut parts, 10).unwrap();
        file.write_at(&mut [], 0).unwrap();
        let mut read = vec![9; 3100];
        assert_eq!(file.read_at(&mut read, 5).unwrap(), 3005, "less only where the file ends");
        assert_eq!(read[..5], [0; 5]);
        assert_eq!(read[5..3005], bytes);
        assert_eq!(file.read_at(&mut read, 9999).unwrap(), 0);
    });
}

#[test]
fn long_parts_are_written_whole() {
    on_both(|disk, folder| {
        let file = disk.create(&folder.join("a")).unwrap();
        let bytes: Vec<u8> = (0..900_000_u32).map(|n| (n % 251) as u8).collect();
        // Many short ones that come to more than one write takes, one that is longer alone, and one that then just fits.
        let (short, long) = bytes.split_at(300_000);
        let (long, last) = long.split_at(600_000 - (256 << 10));
        let mut parts: Vec<_> = short.chunks(999).chain([long, last]).map(IoSlice::new).collect();
        file.write_at(&mut parts, 3).unwrap();
        let mut read = vec![0; bytes.len()];
        assert_eq!(file.read_at(&mut read, 3).unwrap(), bytes.len());
        assert!(read == bytes);
    });
}

#[test]
fn lengths() {
    on_both(|disk, folder| {
        let file = disk.create(&folder.join("a")).unwrap();
        file.write_at(&mut [IoSlice::new(&[7; 100])], 0).unwrap();
        file.truncate(50).unwrap();
        file.allocate(4096).unwrap();
        file.allocate(10).unwrap();
        assert_eq!(file.bytes().unwrap(), 4096);
        let mut read = [9; 100];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!((read[49], read[50]), (7, 0), "what was cut off is zero");
        file.sync_data().unwrap();
        file.sync_all().unwrap();
    });
}

#[test]
fn names_and_folders() {
    on_both(|disk, folder| {
        let deep = folder.join("x").join("y");
        assert_eq!(disk.list(&deep).unwrap_err().kind(), io::ErrorKind::NotFound);
        disk.create_folder(&deep).unwrap();
        disk.create_folder(&deep).unwrap();
        disk.create(&deep.join("b")).unwrap().truncate(3).unwrap();
        disk.create(&deep.join("a")).unwrap();
        let kind = disk.create(&deep.join("a")).unwrap_err().kind();
        assert_eq!(kind, io::ErrorKind::AlreadyExists);
        disk.rename(&deep.join("b"), &deep.join("c")).unwrap();
        disk.sync_folder(&deep).unwrap();
        assert_eq!(names(disk, &deep), [("a".to_owned(), 0, false), ("c".to_owned(), 3, false)]);
        let above = names(disk, folder);
        assert_eq!(
            above.iter().map(|(name, _, is_folder)| (name.as_str(), *is_folder)).next(),
            Some(("x", true))
        );
        for missing in [disk.remove(&deep.join("b")), disk.rename(&deep.join("b"), &deep.join("d"))] {
            assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        let opened = disk.open(&deep.join("b"), Access::Write);
        assert_eq!(opened.unwrap_err().kind(), io::ErrorKind::NotFound);
    });
}

#[test]
fn an_open_file_outlives_its_name() {
    on_both(|disk, folder| {
        let file = disk.create(&folder.join("a")).unwrap();
        file.write_at(&mut [IoSlice::new(b"still")], 0).unwrap();
        disk.remove(&folder.join("a")).unwrap();
        let mut read = [0; 5];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(&read, b"still");
    });
}

#[test]
fn one_handle_has_the_lock() {
    on_both(|disk, folder| {
        let first = disk.create(&folder.join("lock")).unwrap();
        let second = disk.open(&folder.join("lock"), Access::Write).unwrap();
        assert!(first.try_lock().unwrap());
        assert!(!second.try_lock().unwrap());
        let third = disk.open(&folder.join("lock"), Access::Read).unwrap();
        assert!(third.is_locked().unwrap());
        drop(first);
        assert!(!third.is_locked().unwrap());
        assert!(second.try_lock().unwrap());
    });
}

#[test]
fn what_is_in_memory_is_read_at_once() {
    on_both(|disk, folder| {
        let file = disk.create(&folder.join("a")).unwrap();
        file.write_at(&mut [IoSlice::new(&[7; 5000])], 0).unwrap();
        file.read_ahead(0, 5000);
        let mut read = [0; 100];
        assert_eq!(file.read_cached_at(&mut read, 4950).unwrap(), Some(50), "less only where the file ends");
        assert_eq!(read[..50], [7; 50]);
        file.sync_data().unwrap();
        file.let_go(0, 5000);
        // Whether it is gone is up to the disk. What is read counts.
        if let Some(bytes) = file.read_cached_at(&mut read, 0).unwrap() {
            assert_eq!(read[..bytes], [7; 100]);
        }
    });
}

#[test]
fn space_is_used_by_what_is_written() {
    on_both(|disk, folder| {
        let space = disk.space(folder).unwrap();
        assert!(space.total >= space.free && space.free >= space.available && space.available > 0);
    });
    let disk = SimulatedDisk::default();
    disk.create_folder(Path::new("/d")).unwrap();
    disk.set_room(Some(1000));
    disk.create(Path::new("/d/a")).unwrap().allocate(250).unwrap();
    assert_eq!(disk.space(Path::new("/d")).unwrap(), Space { total: 1000, free: 750, available: 750 });
    assert!(disk.space(Path::new("/d")).unwrap().used() == Percent(25));
}

#[test]
fn this_machine_has_one_life_at_a_time() {
    let id = RealDisk::boot_id().unwrap();
    assert_ne!(id, crate::BootId::default());
    assert_eq!(RealDisk::boot_id().unwrap(), id);
}
