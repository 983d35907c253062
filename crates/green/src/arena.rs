//! [`Arena`]: the tasks of an executor by key. The key of a task that has ended never names a later task.

use std::collections::VecDeque;

/// The name of a task within one executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    index: u32,
    /// How many tasks had this place before.
    generation: u32,
}

impl Key {
    /// The key as the one number that `epoll` keeps with a file.
    pub(crate) fn to_number(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// The key that [`Key::to_number`] made this number of.
    pub(crate) fn from_number(number: u64) -> Key {
        let half = |number: u64| u32::try_from(number & 0xffff_ffff).expect("32 bits are left");
        Key { index: half(number), generation: half(number >> 32) }
    }
}

/// Values by key. A value takes the place of one that was removed before.
#[derive(Debug)]
pub(crate) struct Arena<T> {
    slots: Vec<(u32, Option<T>)>,
    free: VecDeque<u32>,
}

impl<T> Arena<T> {
    pub(crate) fn new() -> Arena<T> {
        Arena { slots: Vec::new(), free: VecDeque::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slots.get_mut(key.index as usize) {
            Some((generation, slot)) if *generation == key.generation => slot.as_mut(),
            _ => None,
        }
    }

    /// Inserts the value that `make` makes for its key.
    pub(crate) fn insert(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        let index = self.free.pop_front().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).expect("there is no memory for so many tasks")
        });
        let (generation, slot) = &mut self.slots[index as usize];
        let key = Key { index, generation: *generation };
        *slot = Some(make(key));
        key
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        let (generation, slot) = &mut self.slots[key.index as usize];
        *generation = generation.wrapping_add(1);
        self.free.push_back(key.index);
        slot.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_never_names_what_came_later_to_its_place() {
        let mut arena = Arena::new();
        let first = arena.insert(|_| 'a');
        assert_eq!(arena.remove(first), Some('a'));
        let second = arena.insert(|_| 'b');
        assert_eq!(second.index, first.index);
        assert_eq!(arena.get_mut(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get_mut(second), Some(&mut 'b'));
        assert_eq!(Key::from_number(second.to_number()), second);
        assert!(!arena.is_empty());
        arena.remove(second);
        assert!(arena.is_empty());
    }
}
