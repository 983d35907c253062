//! Real programs and a real Python.
