//! The library of the black-box tests: the programs under test, the processes of one run, folders with graphs, and
//! runs of programs in which a hang fails the test.

pub mod binaries;
pub mod folder;
pub mod interpreters;
pub mod kernel_view;
pub mod libraries;
pub mod limits;
pub mod page;
pub mod parallel;
pub mod processes;
pub mod random;
pub mod run;
