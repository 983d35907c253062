//! Tests of slabs with both of their sides in one process.

use std::fs::File;
use std::io::{self, Write};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::*;

fn pages(count: usize) -> usize {
    count * page_size()
}

#[test]
fn bytes_that_one_process_writes_the_other_reads_in_both_directions() {
    let (mut region, file) = create(pages(4)).unwrap();
    let view = View::open(file).unwrap();
    let mut theirs = region.split_off(pages(2));
    region.as_mut()[..3].copy_from_slice(b"abc");
    assert_eq!(view.part(0, 3).unwrap().as_ref(), b"abc");
    let mut writer = view.writer(pages(2), pages(1)).unwrap();
    writer.write_all(b"de").unwrap();
    writer.write_all(b"f").unwrap();
    drop(writer);
    assert_eq!(&theirs.as_mut()[..4], b"def\0");
    assert_eq!(view.offset_of(&view.part(7, 9).unwrap().as_ref()[1..]), Some(8));
    assert_eq!(view.offset_of(b"elsewhere"), None);
}

#[test]
fn a_region_is_split_and_joined_only_where_it_belongs() {
    let (mut first, _file) = create(pages(4)).unwrap();
    let (other, _other_file) = create(pages(1)).unwrap();
    let mut middle = first.split_off(pages(1));
    let last = middle.split_off(pages(1));
    let last = first.join(last).unwrap_err();
    assert!(first.join(other).is_err(), "it is of another slab");
    first.join(middle).unwrap();
    first.join(last).unwrap();
    assert_eq!((first.offset(), first.len()), (0, pages(4)));
}

#[test]
fn no_process_can_change_the_size_or_the_seals_of_the_file() {
    let (_region, file) = create(pages(1)).unwrap();
    let file = File::from(file);
    assert!(file.set_len(0).is_err());
    assert!(file.set_len(pages(2) as u64).is_err());
    assert!(fcntl_add_seals(&file, SealFlags::WRITE).is_err());
}

#[test]
fn ranges_outside_the_slab_and_parts_of_pages_are_refused() {
    let (_region, file) = create(pages(2)).unwrap();
    let view = View::open(file).unwrap();
    assert!(view.part(0, pages(2)).is_some());
    assert!(view.part(pages(2), 0).is_some());
    for (offset, length) in [(0, pages(2) + 1), (pages(2), 1), (usize::MAX, 2), (2, usize::MAX)] {
        assert!(view.part(offset, length).is_none(), "{offset} {length}");
    }
    for (offset, length) in [(1, pages(1)), (0, 1), (pages(1), pages(2)), (usize::MAX - pages(1) + 1, pages(1))] {
        assert!(view.writer(offset, length).is_err(), "{offset} {length}");
    }
    let mut writer = view.writer(pages(1), pages(1)).unwrap();
    assert!(writer.write_all(&vec![1; pages(1) + 1]).is_err(), "it is full before");
}

#[test]
fn other_files_are_no_slabs() {
    assert!(create(1).is_err());
    assert!(create(0).is_err());
    let unsealed = memfd_create(c"test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    File::from(unsealed.try_clone().unwrap()).set_len(pages(1) as u64).unwrap();
    assert!(View::open(unsealed).is_err());
    assert!(View::open(File::open("/dev/null").unwrap().into()).is_err());
}

#[test]
fn a_slab_of_more_than_half_of_the_available_memory_is_refused() {
    assert_eq!(create(1 << 50).unwrap_err().kind(), io::ErrorKind::OutOfMemory);
}

#[test]
fn a_discarded_region_takes_no_memory_and_its_neighbours_stay() {
    let (mut region, file) = create(pages(3)).unwrap();
    region.as_mut().fill(7);
    let view = View::open(file.try_clone().unwrap()).unwrap();
    let mut middle = region.split_off(pages(1));
    let mut last = middle.split_off(pages(1));
    middle.discard().unwrap();
    let blocks = std::os::unix::fs::MetadataExt::blocks(&File::from(file).metadata().unwrap());
    assert_eq!(blocks, pages(2) as u64 / 512);
    assert!(middle.as_ref().iter().all(|byte| *byte == 0));
    assert!(view.part(0, pages(1)).unwrap().as_ref().iter().all(|byte| *byte == 7));
    assert!(last.as_ref().iter().all(|byte| *byte == 7));
    let _unaligned = last.split_off(1);
    assert!(last.discard().is_err());
}

#[test]
fn a_view_is_writable_only_where_there_is_a_writer() {
    let (_region, file) = create(pages(2)).unwrap();
    let view = View::open(file).unwrap();
    let maps = || {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let start = format!("{:x}-", view.part(0, 1).unwrap().as_ref().as_ptr().addr() + pages(1));
        maps.lines().find(|line| line.starts_with(&start)).map(|line| line.contains(" rw-s "))
    };
    assert_eq!(maps(), None, "all of it is one mapping");
    let writer = view.writer(pages(1), pages(1)).unwrap();
    assert_eq!(maps(), Some(true));
    drop(writer);
    assert_eq!(maps(), None, "one mapping again");
}
