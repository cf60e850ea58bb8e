use std::collections::BTreeSet;

use super::*;

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

/// A disk with a file `a` of three sectors of ones, durable.
fn disk() -> (SimulatedDisk, Box<dyn DiskFile>) {
    let disk = SimulatedDisk::default();
    disk.create_folder(Path::new("/d")).unwrap();
    let file = disk.create(&path("a")).unwrap();
    write(&*file, &[1; 1536], 0).unwrap();
    file.sync_data().unwrap();
    disk.sync_folder(Path::new("/d")).unwrap();
    (disk, file)
}

fn write(file: &dyn DiskFile, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_at(&mut [IoSlice::new(bytes)], at)
}

fn content(disk: &SimulatedDisk, name: &str) -> Option<Vec<u8>> {
    disk.files().remove(&path(name))
}

/// What a power loss may leave, over many seeds.
fn survivors<T: Ord>(disk: &SimulatedDisk, look: impl Fn(&SimulatedDisk) -> T) -> BTreeSet<T> {
    (0..200).map(|seed| look(&disk.power_loss(seed))).collect()
}

#[test]
fn any_sectors_of_a_write_survive_but_each_as_a_whole() {
    let (disk, file) = disk();
    write(&*file, &[2; 1024], 256).unwrap();
    let seen = survivors(&disk, |disk| {
        let bytes = content(disk, "a").unwrap();
        assert_eq!(bytes.len(), 1536);
        assert!(bytes[..256].iter().chain(&bytes[1280..]).all(|byte| *byte == 1));
        let sectors = [&bytes[256..512], &bytes[512..1024], &bytes[1024..1280]];
        sectors.map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
            sector[0]
        })
    });
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn a_sector_shows_the_changes_in_their_order() {
    let (disk, file) = disk();
    write(&*file, &[2; 100], 0).unwrap();
    write(&*file, &[3; 100], 100).unwrap();
    let seen = survivors(&disk, |disk| {
        let bytes = content(disk, "a").unwrap();
        (bytes[0], bytes[100])
    });
    assert_eq!(seen, BTreeSet::from([(1, 1), (2, 1), (2, 3)]));
}

#[test]
fn what_was_synced_survives() {
    let (disk, file) = disk();
    write(&*file, &[2; 1536], 0).unwrap();
    file.sync_data().unwrap();
    file.truncate(512).unwrap();
    file.sync_data().unwrap();
    assert_eq!(survivors(&disk, |disk| content(disk, "a")), BTreeSet::from([Some(vec![2; 512])]));
}

#[test]
fn a_cut_wipes_what_lay_behind_it_once_it_is_synced() {
    let (disk, file) = disk();
    file.truncate(600).unwrap();
    file.allocate(1536).unwrap();
    let seen = survivors(&disk, |disk| content(disk, "a").unwrap().len());
    assert_eq!(seen, BTreeSet::from([600, 1536]));
    file.sync_data().unwrap();
    let expected = [vec![1; 600], vec![0; 936]].concat();
    assert_eq!(survivors(&disk, |disk| content(disk, "a")), BTreeSet::from([Some(expected)]));
}

#[test]
fn names_are_lost_until_their_folder_is_synced() {
    let (disk, file) = disk();
    disk.create(&path("b")).unwrap();
    disk.remove(&path("a")).unwrap();
    let names = |disk: &SimulatedDisk| disk.files().into_keys().collect::<Vec<_>>();
    let every = [vec![], vec![path("a")], vec![path("a"), path("b")], vec![path("b")]];
    assert_eq!(survivors(&disk, names), BTreeSet::from(every));
    let mut bytes = [0; 2];
    assert_eq!(file.read_at(&mut bytes, 1535).unwrap(), 1, "a file without a name is still open");
    disk.sync_folder(Path::new("/d")).unwrap();
    disk.rename(&path("b"), &path("c")).unwrap();
    assert_eq!(survivors(&disk, names), BTreeSet::from([vec![path("b")], vec![path("c")]]));
}

#[test]
fn a_failed_sync_loses_what_came_before_it_and_the_next_one_says_nothing() {
    let (disk, file) = disk();
    write(&*file, &[2; 512], 0).unwrap();
    disk.fail_call(disk.calls(), Fault::Io);
    assert!(file.sync_data().is_err());
    write(&*file, &[3; 512], 512).unwrap();
    file.sync_data().unwrap();
    assert_eq!(content(&disk, "a").unwrap()[..1024], [[2; 512], [3; 512]].concat(), "readers see both");
    let expected = [[1; 512], [3; 512], [1; 512]].concat();
    assert_eq!(survivors(&disk, |disk| content(disk, "a")), BTreeSet::from([Some(expected)]));
}

#[test]
fn the_end_of_a_process_loses_no_byte_and_syncs_none() {
    let (disk, file) = disk();
    assert!(file.try_lock().unwrap());
    assert!(!disk.open(&path("a"), Access::Write).unwrap().try_lock().unwrap());
    write(&*file, &[2; 512], 0).unwrap();
    let after = disk.process_loss();
    assert_eq!(content(&after, "a"), content(&disk, "a"));
    assert_eq!(survivors(&after, |disk| content(disk, "a").unwrap()[0]), BTreeSet::from([1, 2]));
    assert!(after.open(&path("a"), Access::Write).unwrap().try_lock().unwrap());
}

#[test]
fn the_power_fails_at_the_change_that_was_said() {
    let (disk, file) = disk();
    disk.crash_at_change(disk.changes() + 1);
    write(&*file, &[2; 512], 0).unwrap();
    assert!(!disk.has_crashed());
    assert!(write(&*file, &[3; 512], 512).is_err());
    assert!(disk.has_crashed());
    assert!(file.read_at(&mut [0], 0).is_err());
    let seen = survivors(&disk, |disk| content(disk, "a").unwrap()[512]);
    assert_eq!(seen, BTreeSet::from([1, 3]), "the write was under way");
}

#[test]
fn the_same_seed_loses_the_same() {
    let (disk, file) = disk();
    for at in 0..20 {
        write(&*file, &[at as u8; 300], at * 61).unwrap();
    }
    assert_eq!(disk.power_loss(7).files(), disk.power_loss(7).files());
    let images = survivors(&disk, SimulatedDisk::files);
    assert!(images.len() > 20, "{} images of 200 seeds", images.len());
}

#[test]
fn room_ends_at_the_byte_that_was_said() {
    let (disk, file) = disk();
    disk.set_room(Some(2000));
    let kind = |result: io::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(write(&*file, &[2; 1000], 1500)), io::ErrorKind::StorageFull);
    assert_eq!(file.bytes().unwrap(), 2000, "what there was room for landed");
    assert_eq!(kind(file.allocate(2001)), io::ErrorKind::StorageFull);
    disk.remove(&path("a")).unwrap();
    disk.create(&path("b")).unwrap().allocate(2000).unwrap();
}

#[test]
fn faults_strike_the_call_that_was_said() {
    let (disk, file) = disk();
    disk.fail_call(disk.calls(), Fault::Misdirected(512));
    write(&*file, &[2; 512], 0).unwrap();
    assert_eq!(content(&disk, "a").unwrap(), [[1; 512], [2; 512], [1; 512]].concat());
    disk.fail_call(disk.calls() + 1, Fault::Io);
    file.read_at(&mut [0], 0).unwrap();
    assert!(file.read_at(&mut [0], 0).is_err());
    disk.fail_call(disk.calls(), Fault::NoRoom);
    assert!(disk.create(&path("b")).is_err());
    disk.set_read_only(true);
    assert!(disk.open(&path("a"), Access::Write).is_err());
    assert!(disk.open(&path("a"), Access::Read).unwrap().truncate(0).is_err());
}

#[test]
fn a_disk_may_lie_about_what_it_has_done() {
    let (disk, file) = disk();
    disk.pretend(Lie::SyncData, &path("a"));
    write(&*file, &[2; 512], 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(survivors(&disk, |disk| content(disk, "a").unwrap()[0]), BTreeSet::from([1, 2]));
    disk.pretend(Lie::SyncData, &path("b"));
    file.sync_data().unwrap();
    assert_eq!(survivors(&disk, |disk| content(disk, "a").unwrap()[0]), BTreeSet::from([2]));
}

#[test]
fn bits_rot_on_the_platter_too() {
    let (disk, _file) = disk();
    assert!(disk.flip_bit(&path("a"), 9));
    assert!(!disk.flip_bit(&path("a"), 1536 * 8));
    assert_eq!(content(&disk.power_loss(0), "a").unwrap()[..2], [1, 3]);
}

#[test]
fn a_cold_file_makes_its_readers_wait_and_nobody_else() {
    let (disk, file) = disk();
    disk.chill(&path("a"));
    assert_eq!(file.read_cached_at(&mut [0], 0).unwrap(), None);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut byte = [0];
            file.read_at(&mut byte, 0).map(|_| byte)
        });
        while disk.waiting_reads() == 0 {
            std::thread::yield_now();
        }
        write(&*file, &[2], 0).unwrap();
        file.sync_data().unwrap();
        disk.warm(&path("a"));
        assert_eq!(reader.join().unwrap().unwrap(), [2]);
    });
    assert_eq!(file.read_cached_at(&mut [0], 0).unwrap(), Some(1));
}
