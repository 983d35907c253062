//! What the black-box tests share: the programs under test, the processes of one run, folders with graphs in them, and
//! running a program so that a hang fails the test.

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
